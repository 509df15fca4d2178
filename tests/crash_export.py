"""Kills an export with SIGKILL before its n-th step on the disk, looks as a reader would, runs it again, and compares.

    python -m tests.crash_export WORK_FOLDER [STEP ...]

Steps are the calls that change the disk and the spool's transactions, in all modules and threads. Without numbers every
step is taken, up to a run that comes through. Prints one JSON object. The parent only imports Arrow, so it may fork.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import syncer.commands.exporting
import syncer.snapshot.verify  # noqa: F401  # imported before the forks, so that they are cheap
from syncer.commands.main import main as syncer_main
from tests.children import in_child
from tests.processes import SECRET, SID, emulator, export_flags

USERS, PAGE_USERS, WALKERS = 700, 50, 3
CHANGING = ("open", "write", "fsync", "mkdir", "rename", "replace", "link", "unlink", "remove", "rmdir", "ftruncate")
STEPS_MAX = 2000


class Steps:
    """Counts steps on the disk; kills the process before the chosen one (from 1; 0: never)."""

    def __init__(self, kill_before: int) -> None:
        self.count = 0
        self._kill_before = kill_before
        self._lock = threading.Lock()

    def step(self) -> None:
        with self._lock:
            self.count += 1
            if self.count == self._kill_before:
                os.kill(os.getpid(), signal.SIGKILL)

    def install(self) -> None:
        """Count every changing call of ``os``, and every transaction of sqlite3, from now on."""
        for name in CHANGING:
            setattr(os, name, self._counted(getattr(os, name)))
        steps = self

        class Connection(sqlite3.Connection):
            def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
                if sql in ("BEGIN IMMEDIATE", "COMMIT") or (sql.startswith("INSERT") and not self.in_transaction):
                    steps.step()
                return super().execute(sql, *parameters)

        sqlite3.connect = partial(sqlite3.connect, factory=Connection)  # type: ignore[misc]

    def _counted(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            self.step()
            return real(*args, **more)

        return call


def export(url: str, folder: Path, kill_before: int, count_file: Path | None = None) -> None:
    """One export in this process, which is a child. Ends the process."""
    os.environ.update(TWILIO_ACCOUNT_SID=SID, TWILIO_AUTH_TOKEN=SECRET)
    output = os.open(os.devnull if count_file else folder.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    steps = Steps(kill_before)
    steps.install()
    code = syncer_main(export_flags(url, folder, "--page-size", str(PAGE_USERS), "--concurrency", str(WALKERS)))
    if count_file:
        count_file.write_text(str(steps.count))
    os._exit(code)


def snapshot_files(folder: Path) -> dict[str, dict[str, str]]:
    """Hashes of everything in the data folders, by snapshot and by format and name."""
    found: dict[str, dict[str, str]] = {}
    for path in sorted(p for kind in ("parquet", "ndjson") for p in (folder / "exports" / kind).rglob("*")):
        if path.is_file():
            snapshot = path.parent.name.removeprefix("snapshot_id=")
            kind = path.relative_to(folder / "exports").parts[0]
            found.setdefault(snapshot, {})[f"{kind}/{path.name}"] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def wrongs(folder: Path, whole: dict[str, str]) -> list[str]:
    """What readers of ``latest.json``, of the manifests or of the partitions could be misled by."""
    account = folder / "exports" / "snapshots" / f"account_sid={SID}"
    found, wrong = snapshot_files(folder), []
    for snapshot, files in found.items():
        for kind in ("parquet", "ndjson"):
            seen = {name: digest for name, digest in files.items() if name.startswith(kind)}
            if seen and seen != {name: digest for name, digest in whole.items() if name.startswith(kind)}:
                wrong.append(f"{kind} of {snapshot} is not whole")
    for manifest in account.glob("*/manifest.json"):
        if found.get(manifest.parent.name) != whole:
            wrong.append(f"{manifest.parent.name} has a manifest and not all files")
        if not (manifest.parent / "pages.parquet").exists():
            wrong.append(f"{manifest.parent.name} has a manifest and no page index")
    pointer = json.loads((account / "latest.json").read_bytes())
    manifest = folder / "exports" / pointer["manifest"]
    if hashlib.sha256(manifest.read_bytes()).hexdigest() != pointer["sha256"]:
        wrong.append("latest.json names another manifest")
    return wrong


def count_by_duckdb(folder: Path) -> None:
    """Every partition that a reader of the Parquet table sees holds every user once; to be run in a child."""
    import duckdb

    query = "SELECT snapshot_id, count(*), count(DISTINCT id) FROM read_parquet(?, hive_partitioning=true) GROUP BY 1"
    rows = duckdb.connect().execute(query, [str(folder / "exports" / "parquet" / "**" / "*.parquet")]).fetchall()
    assert rows, "no partition"
    assert all(row[1:] == (USERS, USERS) for row in rows), rows


def verify(folder: Path) -> None:
    """The whole history, as it is found. Ends the process."""
    output = os.open(folder.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os._exit(syncer_main(["verify", "--all", "--destination", str(folder / "exports")]))


def leftovers(folder: Path) -> list[str]:
    """What a finished run must not leave behind."""
    left = [p for p in (folder / "exports").rglob("*") if ".syncer-tmp" in p.name]
    left += [p for p in (folder / "exports" / ".staging").rglob("*") if p.is_file()]
    left += list((folder / "state").rglob("spool.*"))
    return [f"{path.relative_to(folder)} is left" for path in left]


def try_step(url: str, template: Path, folder: Path, step: int, whole: dict[str, str]) -> tuple[int, bool, list[str]]:
    """Kill before the step, look, finish, look: how the run ended, whether its commit was done, and what was wrong."""
    shutil.copytree(template, folder)
    ended = in_child(lambda: export(url, folder, step))
    problems = wrongs(folder, whole)
    if in_child(lambda: count_by_duckdb(folder)):
        problems.append("DuckDB sees a partition that is not whole")
    if code := in_child(lambda: verify(folder)):
        problems.append(f"verify --all ended with {code}: {folder.with_suffix('.log').read_text()[-500:]}")
    published = len(list((folder / "exports" / "snapshots").glob("*/*/manifest.json"))) > 1
    if ended == signal.SIGKILL and (code := in_child(lambda: export(url, folder, 0))):
        problems.append(f"the next run ended with {code}: {folder.with_suffix('.log').read_text()[-500:]}")
    problems += wrongs(folder, whole) + leftovers(folder)
    if set(map(str, (files == whole for files in snapshot_files(folder).values()))) != {"True"}:
        problems.append("the data files differ from those of a run that was left alone")
    shutil.rmtree(folder)
    return ended, published, [f"step {step}: {problem}" for problem in problems]


def main(work: Path, chosen: list[int]) -> int:
    """All steps, or the chosen ones; a number beyond the last step is a run that comes through."""
    template, folder, counted = work / "template", work / "run", work / "steps"
    problems: list[str] = []
    killed = published = 0
    with emulator("--users", str(USERS)) as service:
        assert in_child(lambda: export(service.url, template, 0)) == 0, template.with_suffix(".log").read_text()
        (whole,) = snapshot_files(template).values()
        shutil.copytree(template, folder)
        assert in_child(lambda: export(service.url, folder, 0, counted)) == 0
        shutil.rmtree(folder)
        total = int(counted.read_text())
        for step in chosen or range(1, STEPS_MAX):
            ended, done, found = try_step(service.url, template, folder, step, whole)
            problems += found
            killed += ended == signal.SIGKILL
            published += done
            if ended == 0 and not chosen:
                break
    print(json.dumps({"steps": total, "killed": killed, "published": published, "problems": problems}))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), [int(word) for word in sys.argv[2:]]))
