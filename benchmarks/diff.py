"""What `syncer diff` costs: two snapshots of ten million users, written by the product's own sinks, with known changes.

``python -m benchmarks.diff [--users N]``; exit code 1 when a count is wrong or a limit is passed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.measure import Run, run

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "benchmarks" / "work" / "diff"
SID = "AC" + "0" * 32
OLD, NEW = "20261122T020000Z", "20261123T020000Z"
CHUNK = 65_536
SHARES = (("vanished", 0.005), ("purged", 0.001), ("deleted", 0.005), ("returned", 0.0005), ("updated", 0.025))
CREATED_SHARE = 0.015
WALL_SECONDS_MAX, PEAK_MIB_MAX = 60.0, 300.0
"""For ten million users in each."""


def main() -> int:
    """Make the snapshots, compare them, print and judge the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=10_000_000)
    parser.add_argument("--make", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.make:
        (WORK / "truth.json").write_text(json.dumps(make(args.users)))
        return 0
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    # In a process of its own: a child's peak memory begins with its parent's.
    run([sys.executable, "-m", "benchmarks.diff", "--make", "--users", str(args.users)], environment, WORK / "make.log")
    command = [sys.executable, "-m", "syncer", "diff", OLD, NEW, "--destination", str(WORK / "exports"), "--json"]
    counted = run(command, environment, WORK / "counted.json")
    written = run([*command, "--output", str(WORK / "out.parquet")], environment, WORK / "written.json")
    return judge(args.users, counted, written)


def judge(users: int, counted: Run, written: Run) -> int:
    """The table, and whether all is well."""
    truth = json.loads((WORK / "truth.json").read_bytes())
    right = all(json.loads((WORK / f"{n}.json").read_bytes())["counts"] == truth for n in ("counted", "written"))
    print(f"{users:,} users in each, {sum(truth.values()) - truth['unchanged']:,} changes")
    for name, cost in (("counted", counted), ("written as Parquet", written)):
        print(f"  {name:19} {cost.wall_seconds:6.2f} s wall  {cost.cpu_seconds:6.2f} s CPU  {cost.peak_mib:4.0f} MiB")
    print(f"  counts {'as they should be' if right else 'WRONG'}")
    slow = max(counted.wall_seconds, written.wall_seconds) > WALL_SECONDS_MAX * users / 10_000_000 + 5
    large = max(counted.peak_mib, written.peak_mib) > PEAK_MIB_MAX
    return 0 if right and not slow and not large else 1


def make(users: int) -> dict[str, int]:
    """Write both snapshots; the counts that their difference must have."""
    words: Counter[str] = Counter()
    _write(OLD, (table for table, _ in _chunks(users, words)))
    words.clear()
    _write(NEW, (table for _, table in _chunks(users, words)))
    names = ("created", "updated", "deleted", "returned", "vanished", "purged", "unchanged")
    return {name: words[name] for name in names}


def _write(snapshot_id: str, tables: Iterator[Any]) -> None:
    from syncer.model import Check
    from syncer.snapshot import layout
    from syncer.snapshot.local_store import LocalStore
    from syncer.snapshot.manifest import CrawlFacts, Manifest, Tool
    from syncer.snapshot.manifest_json import build
    from syncer.snapshot.sinks import SinkOptions, write_parts
    from syncer.snapshot.staging import Staging

    store = LocalStore(WORK / "exports")
    staging = Staging(store, SID, snapshot_id)
    staging.begin()
    files = write_parts(tables, staging.sinks(("parquet",), SinkOptions()), SinkOptions())
    index = staging.write_page_index([])
    store.place_folder(staging.parts("parquet"), layout.partition_folder("parquet", SID, snapshot_id))
    manifest = Manifest(
        snapshot_id=snapshot_id,
        account_sid=SID,
        started_at="2026-11-23T02:00:00+00:00",
        finished_at="2026-11-23T02:01:00+00:00",
        users=sum(facts.rows for facts in files),
        deleted_users=0,
        files=files,
        page_index=index,
        crawl=CrawlFacts(0, 0, 0, 0, 1, 0, 0, 0, "ascending", False),
        checks=(Check("made_up", True, "for a measurement"),),
        previous=None,
        tool=Tool("syncer", "0"),
    )
    store.put_new(layout.manifest_path(SID, snapshot_id), build(manifest))


def _chunks(users: int, words: Counter[str]) -> Iterator[tuple[Any, Any]]:
    """Rows of both snapshots, a range of ids at a time; equal in every call."""
    chance = random.Random(1)
    created = int(users * CREATED_SHARE)
    for start in range(0, users + created, CHUNK):
        rows = min(CHUNK, users + created - start)
        tail = chance.randbytes(8 * rows).hex()
        old: list[tuple[str, int, int, int | None]] = []
        new: list[tuple[str, int, int, int | None]] = []
        for n in range(rows):
            row = start + n
            user_id = f"comms_pushnotificationuser_{row:010x}{tail[16 * n : 16 * n + 16]}"
            updated = 1_700_000_000 + row + chance.randrange(400 * 86400)
            word = _word(chance) if row < users else "created"
            words[word] += 1
            before = updated if word in ("purged", "returned") else None
            if word != "created":
                old.append((user_id, 1_700_000_000 + row, updated, before))
            if word not in ("vanished", "purged"):
                after = updated + 1 if word == "deleted" else None
                new.append((user_id, 1_700_000_000 + row, updated + (word in ("updated", "deleted")), after))
        yield _table(old), _table(new)


def _word(chance: random.Random) -> str:
    drawn = chance.random()
    for word, share in SHARES:
        if drawn < share:
            return word
        drawn -= share
    return "unchanged"


def _table(rows: list[tuple[str, int, int, int | None]]) -> Any:
    import pyarrow as pa

    from syncer.snapshot.columns import USER_SCHEMA

    ids, *times = zip(*rows, strict=True) if rows else ((), (), (), ())
    columns = [pa.array(ids, pa.string())]
    for seconds in times:
        columns.append(pa.array([s * 1_000_000 if s is not None else None for s in seconds], USER_SCHEMA.field(1).type))
    columns.append(pa.nulls(len(rows), pa.string()))
    return pa.Table.from_arrays(columns, schema=USER_SCHEMA)


if __name__ == "__main__":
    sys.exit(main())
