"""Loading into a DuckDB file, read back by DuckDB."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from syncer.errors import DataRefused, LockHeld, SnapshotMismatch, UsageError
from syncer.load import into_duckdb
from syncer.load.into_duckdb import KEYED_ROWS_MAX, DuckDatabase, file_meant, open_duckdb
from syncer.load.source import Loaded, Source
from syncer.load.tables import How, load_table
from syncer.load.target import Mode, parse_table
from tests.loaded_data import FIRST, SECOND, THIRD, user_id, users_table

ROWS = "SELECT id, epoch_us(created_at), epoch_us(updated_at), epoch_us(deleted_at), extra FROM "


def source(snapshot_id: str, users: int, changed_each: int = 0, **other: Any) -> Source:
    def batches() -> Iterator[Any]:
        return iter(users_table(range(users), changed_each).to_batches(max_chunksize=100))

    return Source(**{"account_sid": "AC1", "snapshot_id": snapshot_id, "manifest_sha256": snapshot_id, "users": users,
                     "parts": (), "batches": batches, **other})  # fmt: skip


def load(file: Path, snapshot: Source, mode: Mode = "replace", table: str = "users", **how: bool) -> Loaded:
    with open_duckdb(str(file)) as database:
        return load_table(database, parse_table(table), snapshot, How(mode, **how))


def ask(file: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(file), read_only=True) as connection:
        return list(connection.execute(sql).fetchall())


def expected(users: int, changed_each: int = 0) -> list[tuple[Any, ...]]:
    table = users_table(range(users), changed_each)
    times = [table.column(name).cast("int64").to_pylist() for name in ("created_at", "updated_at", "deleted_at")]
    return list(zip(table.column("id").to_pylist(), *times, table.column("extra").to_pylist(), strict=True))


def test_every_row_arrives_with_its_types_and_key(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    assert load(file, source(FIRST, 1000)) == Loaded(True, "main.users", 1000)
    assert ask(file, ROWS + "users ORDER BY id") == expected(1000)
    columns = ask(file, "SELECT column_name, data_type, is_nullable FROM information_schema.columns "
                        "WHERE table_name = 'users' ORDER BY ordinal_position")  # fmt: skip
    assert columns == [
        ("id", "VARCHAR", "NO"),
        ("created_at", "TIMESTAMP WITH TIME ZONE", "NO"),
        ("updated_at", "TIMESTAMP WITH TIME ZONE", "NO"),
        ("deleted_at", "TIMESTAMP WITH TIME ZONE", "YES"),
        ("extra", "VARCHAR", "YES"),
    ]
    keys = ask(file, "SELECT constraint_column_names FROM duckdb_constraints() "
                     "WHERE table_name = 'users' AND constraint_type = 'PRIMARY KEY'")  # fmt: skip
    assert keys == [(["id"],)]


def test_the_same_snapshot_twice_changes_nothing_and_a_newer_one_replaces_it(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    load(file, source(FIRST, 300))
    before = file.read_bytes()
    assert load(file, source(FIRST, 300)) == Loaded(False, "main.users", 300)
    assert ask(file, "SELECT count(*) FROM syncer_loads") == [(1,)]
    assert len(file.read_bytes()) == len(before)
    load(file, source(SECOND, 400, changed_each=10))
    assert ask(file, ROWS + "users ORDER BY id") == expected(400, 10)
    assert ask(file, "SELECT table_name, snapshot_id, mode, account_sid, users FROM syncer_loads") == [
        ("users", SECOND, "replace", "AC1", 400)
    ]
    assert ask(file, "SELECT table_name FROM information_schema.tables ORDER BY 1") == [("syncer_loads",), ("users",)]


def test_keep_table_replaces_the_rows_below_an_index(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    load(file, source(FIRST, 300))
    with duckdb.connect(str(file)) as connection:
        connection.execute("CREATE INDEX by_time ON users (created_at)")
    with pytest.raises(UsageError, match=r"main\.users has indexes, which a swap would drop; give --keep-table"):
        load(file, source(SECOND, 200))
    assert load(file, source(SECOND, 200), keep_table=True) == Loaded(True, "main.users", 200)
    assert ask(file, ROWS + "users ORDER BY id") == expected(200)
    assert ask(file, "SELECT index_name FROM duckdb_indexes()") == [("by_time",)]


def test_a_table_too_large_for_an_index_in_memory_has_no_key() -> None:
    closed = DuckDatabase(None, Path("a.db"))
    assert not closed.has_key("replace", source(FIRST, KEYED_ROWS_MAX + 1))
    assert not closed.has_key("scd2", source(FIRST, 1))


def test_history_keeps_every_snapshot_and_takes_an_older_one_in_later(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    load(file, source(SECOND, 20), "append-history")
    load(file, source(FIRST, 10), "append-history")
    assert load(file, source(SECOND, 20), "append-history") == Loaded(False, "main.users", 20)
    load(file, source(SECOND, 30, manifest_sha256="made anew"), "append-history")
    assert ask(file, "SELECT snapshot_id, count(*), count(DISTINCT id) FROM users GROUP BY ALL ORDER BY ALL") == [
        (FIRST, 10, 10),
        (SECOND, 30, 30),
    ]


@pytest.mark.parametrize("piece_rows", [into_duckdb.PIECE_ROWS, 3, 1])
def test_versions_of_a_user_follow_each_other_without_a_gap(
    piece_rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(into_duckdb, "PIECE_ROWS", piece_rows)
    file = tmp_path / "a.db"
    load(file, source(FIRST, 6), "scd2")
    assert load(file, source(SECOND, 4, changed_each=3), "scd2") == Loaded(True, "main.users", 4)
    load(file, source(THIRD, 5, changed_each=3), "scd2")
    rows = ask(file, "SELECT id, strftime(valid_from AT TIME ZONE 'UTC', '%d'), "
                     "strftime(valid_to AT TIME ZONE 'UTC', '%d'), is_current FROM users ORDER BY 1, 2")  # fmt: skip
    assert rows == [
        (user_id(0), "21", "22", False),
        (user_id(0), "22", None, True),
        (user_id(1), "21", None, True),
        (user_id(2), "21", None, True),
        (user_id(3), "21", "22", False),
        (user_id(3), "22", None, True),
        (user_id(4), "21", "22", False),
        (user_id(4), "23", None, True),
        (user_id(5), "21", "22", False),
    ]


def test_a_failure_while_reading_keeps_the_old_table_and_its_own_words(tmp_path: Path) -> None:
    def broken() -> Iterator[Any]:
        yield from users_table(range(200)).to_batches(max_chunksize=100)
        raise SnapshotMismatch("the part is damaged")

    file = tmp_path / "a.db"
    load(file, source(FIRST, 300))
    with pytest.raises(SnapshotMismatch, match="the part is damaged"):
        load(file, source(SECOND, 300, batches=broken))
    assert ask(file, ROWS + "users ORDER BY id") == expected(300)
    assert ask(file, "SELECT table_name FROM information_schema.tables ORDER BY 1") == [("syncer_loads",), ("users",)]


def test_a_count_that_differs_from_the_manifests_keeps_the_old_table(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    load(file, source(FIRST, 300))
    few = replace(source(SECOND, 299), users=300)
    told = "the database counts 299 users instead of the 300 of snapshot 20261122T020000Z"
    with pytest.raises(DataRefused, match=told):
        load(file, few)
    assert ask(file, ROWS + "users ORDER BY id") == expected(300)


def test_a_table_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    with duckdb.connect(str(file)) as connection:
        connection.execute("CREATE TABLE users AS SELECT 42 AS answer")
    with pytest.raises(UsageError, match=r"main\.users is there but was not made by `syncer load`"):
        load(file, source(FIRST, 3))
    assert ask(file, "SELECT * FROM users") == [(42,)]
    assert load(file, source(FIRST, 3), table="ours") == Loaded(True, "main.ours", 3)


def test_a_table_that_was_dropped_is_made_again(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    load(file, source(FIRST, 3))
    with duckdb.connect(str(file)) as connection:
        connection.execute("DROP TABLE users")
    assert load(file, source(FIRST, 3)) == Loaded(True, "main.users", 3)


def test_a_file_that_another_process_has_open_is_told(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    holder = f"import duckdb; c = duckdb.connect({str(file)!r}); print('open', flush=True); input()"
    command = [sys.executable, "-c", holder]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        with pytest.raises(LockHeld, match="is open in another process"):
            load(file, source(FIRST, 3))
        process.communicate("\n", timeout=20)


def test_three_and_four_slashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert file_meant("a.db") == Path("a.db")
    assert file_meant(f"{tmp_path}/a.db") == tmp_path / "a.db"
    assert file_meant(f"{tmp_path}/a.db"[1:]) == tmp_path / "a.db"
    with pytest.raises(UsageError, match="the folder nowhere is not there"):
        load(Path("nowhere/a.db"), source(FIRST, 1))
