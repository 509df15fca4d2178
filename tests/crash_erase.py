"""Kills `syncer erase` with SIGKILL before its n-th step on the disk, looks as readers would, runs it again, searches.

    python -m tests.crash_erase WORK_FOLDER [STEP ...]

Without numbers every step is taken, up to a run that comes through. Afterwards no file may name an erased user. Prints
one JSON object. The parent only imports Arrow, so that it may fork.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import sys
from pathlib import Path

import syncer.commands.verifying
import syncer.snapshot.erase
import syncer.snapshot.signing
import syncer.snapshot.verify  # noqa: F401  # imported before the forks, so that they are cheap
from syncer.commands.main import main as syncer_main
from syncer.commands.verifying import check_snapshot
from syncer.snapshot.catalog import list_manifests
from syncer.snapshot.local_store import LocalStore
from syncer.snapshot.reading import read_users
from tests.children import in_child
from tests.crash_export import STEPS_MAX, Steps
from tests.erased_traces import found
from tests.processes import SID, emulator, export

ERASED = (0, 29, 30, 31, 80, 119, 120, 199)
"""Places in the list: its ends, both sides of pages' borders, neighbours, one that was updated, one within."""
ORPHAN = f"account_sid={SID}/snapshot_date=2026-01-02/snapshot_id=20260102T000000Z/part-00000.parquet"


def begin(template: Path) -> list[str]:
    """Two snapshots with changes between them, a partition that a killed run left, and the users to erase."""
    rejects = {"SYNCER_MAX_REJECTS": "9"}
    with emulator("--users", "200", "--fault", "bad-row=0.2") as service:
        ids = [user["id"] for user in service.truth()]
        export(service.url, template, "--page-size", "30", "--changes", **rejects)
        service.change(update=[ids[80]], create=3)
        export(service.url, template, "--page-size", "30", "--changes", "--concurrency", "3", **rejects)
    orphan = template / "exports" / "parquet" / ORPHAN
    orphan.parent.mkdir(parents=True)
    orphan.write_text(ids[0])
    return [ids[place] for place in ERASED]


def erase(folder: Path, ids: list[str], kill_before: int = 0, count_file: Path | None = None) -> None:
    """One run in this process, which is a child. Ends the process."""
    output = os.open(folder.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    steps = Steps(kill_before)
    steps.install()
    where = ["--destination", str(folder / "exports"), "--state-dir", str(folder / "state")]
    code = syncer_main(["erase", *ids, "--yes", *where])
    if count_file:
        count_file.write_text(str(steps.count))
    os._exit(code)


def partitions(folder: Path) -> dict[str, dict[str, str]]:
    """What a reader of the partitions sees: each with the hashes of its files; the one a killed run left is none."""
    seen: dict[str, dict[str, str]] = {}
    for path in sorted(p for kind in ("parquet", "ndjson", "changes") for p in (folder / "exports" / kind).rglob("*")):
        if path.is_file() and not path.match(f"*/{ORPHAN}"):
            place = str(path.parent.relative_to(folder / "exports"))
            seen.setdefault(place, {})[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return seen


def users_of(folder: Path) -> dict[str, list[str]]:
    """What a reader of the manifests sees: the users of each snapshot."""
    store = LocalStore(folder / "exports")
    return {
        p.manifest.snapshot_id: [i for b in read_users(store, p.manifest, ("id",)) for i in b.column("id").to_pylist()]
        for p in list_manifests(store, SID)
    }


def wrongs(folder: Path) -> list[str]:
    """What readers of ``latest.json``, of manifests or of partitions could be misled by. To be run in a child."""
    store, work = LocalStore(folder / "exports"), folder.parent
    before, after = (json.loads((work / f"{name}.json").read_bytes()) for name in ("before", "after"))
    whole = [*before["partitions"].values(), *after["partitions"].values()]
    wrong = [f"{place} is not whole" for place, files in partitions(folder).items() if files not in whole]
    allowed = [*before["users"].values(), *after["users"].values()]
    found_users = users_of(folder)
    wrong += [f"{snapshot} has other users" for snapshot, users in found_users.items() if users not in allowed]
    if not {json.dumps(u) for u in found_users.values()} & {json.dumps(allowed[n]) for n in (1, 3)}:
        wrong.append("the newest snapshot is gone")
    for published in list_manifests(store, SID):
        wrong += [f"{c.name}: {c.detail}" for c in check_snapshot(store, published).checks if not c.ok]
    pointer = json.loads((folder / "exports" / "snapshots" / f"account_sid={SID}" / "latest.json").read_bytes())
    if hashlib.sha256((folder / "exports" / pointer["manifest"]).read_bytes()).hexdigest() != pointer["sha256"]:
        wrong.append("latest.json leads nowhere")
    return wrong


def leftovers(folder: Path, ids: list[str]) -> list[str]:
    """What must not be there once a run has ended. To be run in a child."""
    after = json.loads((folder.parent / "after.json").read_bytes())
    left = [f"{path} names an erased user" for path in found(folder, ids)]
    left += [f"{p} is left" for p in (folder / "exports" / ".staging").rglob("*") if p.is_file()]
    left += [f"{p} is left" for p in (folder / "exports").rglob("*") if ".syncer-tmp" in p.name]
    if (partitions(folder), users_of(folder)) != (after["partitions"], after["users"]):
        left.append("other files than those of a run that was left alone")
    return left


def told(folder: Path, *looks: tuple[str, list[str]]) -> list[str]:
    """Run looks in one child, since they use Arrow, and hand over what they found."""
    answer = folder.with_suffix(".json")

    def look() -> None:
        problems = [
            wrong for name, ids in looks for wrong in (wrongs(folder) if name == "readers" else leftovers(folder, ids))
        ]
        answer.write_text(json.dumps(problems))

    code = in_child(look)
    return list(json.loads(answer.read_text())) if code == 0 else [f"the look ended with {code}"]


def try_step(template: Path, folder: Path, step: int, ids: list[str]) -> tuple[int, list[str]]:
    """Kill before the step, look, finish, look: how the run ended, and what was wrong."""
    shutil.copytree(template, folder)
    ended = in_child(lambda: erase(folder, ids, step))
    problems = told(folder, ("readers", []))
    ledger = folder / "state" / SID / "erased.ndjson"
    is_known = ledger.exists() and len(ledger.read_bytes().splitlines()) == len(ids)
    if code := in_child(lambda: erase(folder, [] if is_known and step % 2 else ids)):  # half of the runs ask the ledger
        problems.append(f"the next run ended with {code}: {folder.with_suffix('.log').read_text()[-500:]}")
    problems += told(folder, ("readers", []), ("leftovers", ids))
    shutil.rmtree(folder)
    return ended, [f"step {step}: {problem}" for problem in problems]


def main(work: Path, chosen: list[int]) -> int:
    """All steps, or the chosen ones; a number beyond the last step is a run that comes through."""
    template, folder, counted = work / "template", work / "run", work / "steps"
    ids = begin(template)
    shutil.copytree(template, work / "alone")
    assert in_child(lambda: erase(work / "alone", ids, 0, counted)) == 0, (work / "alone.log").read_text()
    for name, place in (("before", template), ("after", work / "alone")):
        in_child(
            lambda name=name, place=place: (work / f"{name}.json").write_text(  # type: ignore[misc]
                json.dumps({"partitions": partitions(place), "users": users_of(place)})
            )
        )
    total, killed = int(counted.read_text()), 0
    problems = told(work / "alone", ("readers", []), ("leftovers", ids))
    for step in chosen or range(1, STEPS_MAX):
        ended, wrong = try_step(template, folder, step, ids)
        problems += wrong
        killed += ended == -signal.SIGKILL or ended == signal.SIGKILL
        if ended == 0 and not chosen:
            break
    print(json.dumps({"steps": total, "killed": killed, "problems": problems}))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), [int(word) for word in sys.argv[2:]]))
