"""Prunes two of four snapshots in processes that are killed just before the n-th change of the disk, for every n.

Run as a script with a folder to work in; prints what readers saw. The parent never uses Arrow, so that it may fork.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from syncer.snapshot import files
from syncer.snapshot.catalog import list_manifests
from syncer.snapshot.chain import check_place
from syncer.snapshot.history import check_account
from syncer.snapshot.local_store import LocalStore
from syncer.snapshot.manifest import Previous
from syncer.snapshot.prune import plan_account, removal
from syncer.snapshot.publish import publish
from syncer.snapshot.retention import Policy
from syncer.snapshot.verify import verify_snapshot
from tests.children import in_child
from tests.failing_os import DyingOs
from tests.publish_crash import KILLED
from tests.snapshot_data import ACCOUNT, chunked, make_users, spool, stage_snapshot, tree

IDS = [f"202611{day}T020000Z" for day in (20, 21, 22, 23)]
KEEP = Policy(last=2)
NOW = datetime(2026, 11, 24, tzinfo=UTC)
FOLDER = f"snapshots/account_sid={ACCOUNT}"


def begin(root: Path) -> None:
    """Four snapshots in a chain; the pointer lags behind and names one that the policy removes."""
    store, previous = LocalStore(root), None
    for number, snapshot_id in enumerate(IDS):
        pages = spool([chunked([{"id": 5}, *make_users(40 + number)], 30)])
        manifest = stage_snapshot(store, pages, snapshot_id=snapshot_id, previous=previous, rejects=[b"{}\n"])
        publish(store, manifest)
        data = (root / FOLDER / snapshot_id / "manifest.json").read_bytes()
        previous = Previous(snapshot_id, hashlib.sha256(data).hexdigest())
        if number == 1:
            lagging = (root / FOLDER / "latest.json").read_bytes()
    (root / FOLDER / "latest.json").write_bytes(lagging)


def prune(root: Path) -> None:
    """Carry out the policy."""
    store = LocalStore(root)
    for step in removal(store, plan_account(store, ACCOUNT, KEEP, NOW, timedelta(hours=24))):
        step.run()


def wrongs(root: Path, before: dict[str, bytes]) -> list[str]:
    """What a reader of ``latest.json``, of the manifests, of the partitions or of the chain could be misled by."""
    found = {path: data for path, data in tree(root).items() if not path.startswith(".staging/")}
    wrong = [
        f"{path} has changed" for path, data in found.items() if path in before and not _is_same(path, data, before)
    ]
    partitions = {path.rpartition("/")[0] for path in found if path.startswith(("parquet/", "ndjson/"))}
    wrong += [f"{path} is missing" for path in before if path.rpartition("/")[0] in partitions and path not in found]
    pointer = json.loads(found[f"{FOLDER}/latest.json"])
    if hashlib.sha256(found.get(pointer["manifest"], b"")).hexdigest() != pointer["sha256"]:
        wrong.append("the pointer leads nowhere")
    for snapshot_id in IDS:
        manifest = f"{FOLDER}/{snapshot_id}/manifest.json"
        kept = found.get(f"{FOLDER}/{snapshot_id}/pruned.json", found.get(manifest))
        if kept != before[manifest]:
            wrong.append(f"the chain has lost {snapshot_id}")
        if manifest in found:
            named = json.loads(found[manifest])
            places = [*named["files"], named["page_index"], named["tree"], named["rejects"]]
            wrong += [f"{facts['path']} is missing" for facts in places if facts["path"] not in found]
    return wrong


def verify(root: Path) -> None:
    """What is there is sound, at any instant; fails otherwise."""
    store = LocalStore(root)
    checks = check_account(store, ACCOUNT)
    for published in list_manifests(store, ACCOUNT):
        checks += verify_snapshot(store, ACCOUNT, published.manifest)
        checks += check_place(store, ACCOUNT, published.manifest.snapshot_id, None)
    # The pointer lagged behind from the start, until the first step.
    wrong = [check for check in checks if not check.ok and check.name != "pointer"]
    assert not wrong, wrong


def _is_same(path: str, data: bytes, before: dict[str, bytes]) -> bool:
    return data == before[path] or path.endswith("/latest.json")  # judged by where it leads


def main(work: Path) -> None:
    """Kill before every change, look, finish, look again."""
    template, complete = work / "template", work / "complete"
    assert in_child(lambda: begin(template)) == 0
    before = tree(template)
    shutil.copytree(template, complete)
    assert in_child(lambda: prune(complete)) == 0
    whole = tree(complete)
    problems = [f"after all: {wrong}" for wrong in wrongs(complete, before)]
    steps, ended = 0, KILLED
    while ended == KILLED:
        steps += 1
        root = work / f"run-{steps}"
        shutil.copytree(template, root)
        ended = in_child(partial(_dying, root, steps))
        problems += [f"killed before change {steps}: {wrong}" for wrong in wrongs(root, before)]
        if in_child(partial(verify, root)):
            problems.append(f"killed before change {steps}: verify is not content")
        again = in_child(partial(prune, root))
        if again or tree(root) != whole:
            problems.append(
                f"after a kill before change {steps} the second run ended with {again} and left other files"
            )
        shutil.rmtree(root)
    assert ended == 0, ended
    print(json.dumps({"steps": steps - 1, "left": sorted(whole), "problems": problems}))


def _dying(root: Path, step: int) -> None:
    files.os = DyingOs(step)  # type: ignore[assignment]
    prune(root)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
