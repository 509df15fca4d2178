"""Kills loads into DuckDB, Delta and Iceberg with SIGKILL, looks at the table as a reader would, and loads twice more.

    python -m tests.load_crash WORK_FOLDER STEPS INSTANTS [CASE ...]

Kills come before so many of the steps (statements, commits, files made and linked; evenly chosen, the last one is the
end of the load), and at so many instants spread over its time, wherever the libraries are then. Prints one JSON object
for all cases. The parent only imports the libraries, so it may fork.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import shutil
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.children import in_child
from tests.crash_export import Steps

USERS, OLD_USERS, PART_ROWS = 20_000, 5_000, 2_048
CASES = {
    "duckdb": ("duckdb:///{}/users.db", "replace"),
    "duckdb-scd2": ("duckdb:///{}/users.db", "scd2"),
    "duckdb-history": ("duckdb:///{}/users.db", "append-history"),
    "delta": ("delta:{}", "replace"),
    "delta-history": ("delta:{}", "append-history"),
    "iceberg": ("iceberg:crash.crm.users", "replace"),
}


class LoadSteps(Steps):
    """Counts what changes a table, in Python's calls of the libraries; those of this process only."""

    def install(self) -> None:
        import deltalake
        import duckdb
        from pyiceberg.io.pyarrow import PyArrowFile

        from syncer.load import into_delta

        super().install()
        step, connect = self.step, duckdb.connect

        class Connection:
            """DuckDB's, statement by statement."""

            def __init__(self, *args: Any, **more: Any) -> None:
                self._connection = connect(*args, **more)

            def __getattr__(self, name: str) -> Any:
                return getattr(self._connection, name)

            def execute(self, *args: Any) -> Any:
                step()
                return self._connection.execute(*args)

        class Catalog(sqlite3.Connection):
            """Iceberg's, commit by commit."""

            def commit(self) -> None:
                step()
                super().commit()

        duckdb.connect = Connection  # type: ignore[assignment]
        sqlite3.connect = partial(sqlite3.connect, factory=Catalog)  # type: ignore[misc]
        for owner, name in (
            (into_delta, "create_table_with_add_actions"),
            (deltalake.DeltaTable, "create_write_transaction"),
            (PyArrowFile, "create"),
        ):
            setattr(owner, name, self._counted(getattr(owner, name)))


@dataclass(frozen=True)
class Case:
    """One kind of load, with its table in ``place``."""

    name: str
    place: Path
    exports: Path

    def load(self, snapshot: str, report: Path, kill_before: int = 0) -> None:
        """In a child. Raises AssertionError when it does not end with 0. Leaves the number of its steps in a file."""
        from syncer.commands.main import main as syncer_main

        steps = LoadSteps(kill_before)
        steps.install()

        where, mode = CASES[self.name]
        descriptor = os.open(report, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, 1)
        flags = ["--destination", str(self.exports), "--mode", mode, "--json", "--log-level", "error"]
        assert syncer_main(["load", where.format(self.place), snapshot, *flags]) == 0
        steps.step()
        report.with_suffix(".steps").write_text(str(steps.count))

    def look(self, report: Path) -> None:
        """In a child: a hash of every row that a reader sees, which snapshots the table says it holds, and its tags."""
        rows, said, tags = _LOOKS[self.name.partition("-")[0]](self.place)
        digest = hashlib.sha256(repr(sorted(rows, key=repr)).encode()).hexdigest()
        report.write_text(json.dumps({"rows": len(rows), "sha256": digest, "said": sorted(said), "tags": sorted(tags)}))

    def load_twice(self, snapshot: str, report: Path) -> None:
        """In a child: finish what was killed, then find that there is nothing left to do."""
        self.load(snapshot, report)
        self.load(snapshot, report)
        assert json.loads(report.read_bytes())["changed"] is False
        self.look(report)


Seen = tuple[list[Any], list[str], list[str]]


def look_duckdb(place: Path) -> Seen:
    import duckdb

    with closing(duckdb.connect(str(place / "users.db"))) as connection:
        rows = connection.execute("SELECT CAST(COLUMNS(*) AS text) FROM users").fetchall()
        said = connection.execute("SELECT snapshot_id FROM syncer_loads").fetchall()
        tables = connection.execute("SELECT table_name FROM duckdb_tables() WHERE table_name NOT LIKE '%stage'")
        assert sorted(tables.fetchall()) == [("syncer_loads",), ("users",)]
    return rows, [snapshot for (snapshot,) in said], []


def look_delta(place: Path) -> Seen:
    from deltalake import DeltaTable

    table = DeltaTable(str(place))
    return _rows(table.to_pyarrow_table()), [uri.rpartition("/")[2][:16] for uri in table.file_uris()], []


def look_iceberg(place: Path) -> Seen:
    from pyiceberg.catalog import load_catalog

    table = load_catalog("crash").load_table("crm.users")
    current = table.current_snapshot()
    assert current is not None
    assert current.summary is not None
    said = current.summary.additional_properties["syncer.snapshot_id"]
    return _rows(table.scan().to_arrow()), [said], list(table.metadata.refs)


def _rows(table: Any) -> list[Any]:
    return list(zip(*(table.column(name).to_pylist() for name in table.column_names), strict=True))


_LOOKS: dict[str, Callable[[Path], Seen]] = {
    "duckdb": look_duckdb,
    "delta": look_delta,
    "iceberg": look_iceberg,
}


@dataclass(frozen=True)
class States:
    """A table as it was before, the new load's steps and seconds, and the table after it."""

    old: dict[str, Any]
    steps: int
    seconds: float
    new: dict[str, Any]

    def is_whole(self, found: dict[str, Any]) -> bool:
        """Whether that is the old table or the new one. A tag may come a moment later."""
        return {**found, "tags": []} in ({**self.old, "tags": []}, {**self.new, "tags": []})

    def kills(self, steps: int, instants: int) -> list[tuple[int, float | None]]:
        """The step to kill before, or 0 and the seconds after which to kill."""
        chosen = sorted({max(1, round(self.steps * (n + 1) / steps)) for n in range(steps)})
        return [(step, None) for step in chosen] + [(0, self.seconds * (n + 0.5) / instants) for n in range(instants)]


def prepare(case: Case, template: Path, snapshots: tuple[str, str]) -> States:
    """An old table, copied to ``template``; and what a load makes of it that nobody disturbs, the second time."""
    report, (old_id, new_id) = template.with_suffix(".json"), snapshots
    case.place.mkdir()
    assert in_child(partial(case.load, old_id, report)) == 0
    old = seen(case, report)
    shutil.copytree(case.place, template)
    for _ in range(2):
        restore(case, template)
        began = time.monotonic()
        assert in_child(partial(case.load, new_id, report)) == 0
        seconds = time.monotonic() - began
    return States(old, int(report.with_suffix(".steps").read_text()), seconds, seen(case, report))


def restore(case: Case, template: Path) -> None:
    shutil.rmtree(case.place, ignore_errors=True)
    shutil.copytree(template, case.place)


def seen(case: Case, report: Path) -> dict[str, Any]:
    assert in_child(partial(case.look, report)) == 0
    return dict(json.loads(report.read_bytes()))


def run_case(case: Case, template: Path, snapshots: tuple[str, str], steps: int, instants: int) -> dict[str, Any]:
    """Kill, look, finish, look."""
    states, report = prepare(case, template, snapshots), template.with_suffix(".json")
    count, problems, killed = {"old": 0, "new": 0}, [], 0
    kills = states.kills(steps, instants)
    for step, seconds in kills:
        restore(case, template)
        when = f"killed before step {step}" if step else f"killed after {seconds:.3f} s"
        killed += in_child(partial(case.load, snapshots[1], report, step), seconds) == signal.SIGKILL
        found = seen(case, report)
        if not states.is_whole(found):
            problems.append(f"{when}: a reader sees {found}")
        count["old" if found["said"] == states.old["said"] else "new"] += 1
        again = in_child(partial(case.load_twice, snapshots[1], report))
        if again or json.loads(report.read_bytes()) != states.new:
            problems.append(f"{when}: the next loads ended with {again}: {report.read_text()}")
    shutil.rmtree(case.place)
    return {"steps": states.steps, "kills": len(kills), "killed": killed, **count, "problems": problems}


def main(work: Path, steps: int, instants: int, names: list[str]) -> None:
    """Publish two snapshots, then take the cases one by one."""
    settings = {"TYPE": "sql", "URI": f"sqlite:///{work}/iceberg/catalog.db", "WAREHOUSE": f"file://{work}/iceberg"}
    os.environ.update({f"PYICEBERG_CATALOG__CRASH__{name}": value for name, value in settings.items()})
    for module in ("duckdb", "delta", "iceberg"):
        importlib.import_module(f"syncer.load.into_{module}")  # before the forks, and after what it reads from there
    importlib.import_module("syncer.commands.loading")
    from syncer.snapshot.sinks import SinkOptions
    from tests.loaded_data import FIRST, SECOND, publish_users

    options = SinkOptions(part_rows=PART_ROWS, group_rows=PART_ROWS, frame_rows=PART_ROWS)
    exports = work / "exports"
    assert in_child(lambda: (publish_users(exports, OLD_USERS, FIRST, options=options), None)[1]) == 0
    more = {"changed_each": 10, "skipped_each": 7}
    assert in_child(lambda: (publish_users(exports, USERS, SECOND, options=options, **more), None)[1]) == 0  # type: ignore[arg-type]
    found = {}
    for name in names or CASES:
        case = Case(name, work / name.partition("-")[0], exports)
        found[name] = run_case(case, work / f"{name}.template", (FIRST, SECOND), steps, instants)
        print(f"{name}: {found[name]}", file=sys.stderr)
    print(json.dumps(found))
    sys.exit(any(outcome["problems"] for outcome in found.values()))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
