"""The statements of docs/warehouse.md that apply changes in DuckDB, run as they stand there over four nights."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pytest

from syncer.commands.main import main
from syncer.snapshot.catalog import list_manifests
from syncer.snapshot.local_store import LocalStore
from tests.golden.make import SIGNED, START, export, nights
from tests.snapshot_data import User

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "warehouse.md").read_text()
USERS = "id VARCHAR, created_at TIMESTAMPTZ, updated_at TIMESTAMPTZ, deleted_at TIMESTAMPTZ, extra VARCHAR"


def statements() -> tuple[str, str, str, str]:
    """Preparation, MERGE, SCD2, and the proof."""
    section = PAGE.partition("## From the changes alone")[2].partition("\n## ")[0]
    begin, merge, scd2, proof = re.findall(r"```sql\n(.*?)```", section, re.S)
    return begin, merge, scd2, proof


def four_nights() -> list[list[User]]:
    """Created, updated, deleted, vanished; then purged, returned, and one that vanished is there again."""
    first, second, third = nights()
    fourth = [user for user in third if user["id"] != second[5]["id"]]
    living = next(place for place, user in enumerate(fourth) if user["deletedAt"] is not None)
    fourth[living] = {**fourth[living], "deletedAt": None}
    return [first, second, third, sorted([*fourth, second[7]], key=lambda user: str(user["id"]))]


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    folder = tmp_path_factory.mktemp("changes")
    for night, users in enumerate(four_nights()):
        asyncio.run(export(folder / "exports", folder / "state", SIGNED, users, START + timedelta(days=night)))
    return folder, [p.manifest.snapshot_id for p in list_manifests(LocalStore(folder / "exports"), SIGNED)]


COLUMNS = "id, epoch_us(created_at), epoch_us(updated_at), epoch_us(deleted_at), extra"
"""Times as numbers: what DuckDB's client makes of them needs another library."""


def parts_of(snapshot_id: str) -> str:
    """The users of a snapshot as a table."""
    path = f"exports/parquet/account_sid=*/*/snapshot_id={snapshot_id}/*.parquet"
    return f"read_parquet('{path}', hive_partitioning = false)"


def rows(connection: Any, table: str) -> list[Any]:
    """Users by id."""
    return list(connection.execute(f"SELECT {COLUMNS} FROM {table} ORDER BY id").fetchall())


def at(snapshot_id: str) -> str:
    """When its run started, in SQL."""
    return f"(strptime('{snapshot_id}', '%Y%m%dT%H%M%SZ') AT TIME ZONE 'UTC')"


def begun(folder: Path, snapshot_id: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A warehouse that holds one snapshot, and a history that begins with it."""
    monkeypatch.chdir(folder)
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'America/New_York'")
    connection.execute(f"CREATE TABLE users ({USERS})")
    connection.execute(f"CREATE TABLE users_history ({USERS}, valid_from TIMESTAMPTZ, valid_to TIMESTAMPTZ)")
    connection.execute(f"INSERT INTO users FROM {parts_of(snapshot_id)}")
    connection.execute(f"INSERT INTO users_history SELECT *, {at(snapshot_id)}, NULL FROM users")
    return connection


def test_merged_night_by_night_the_table_is_the_snapshot_and_the_history_is_all_of_them(
    exports: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, ids = exports
    begin, merge, scd2, proof = statements()
    connection = begun(folder, ids[0], monkeypatch)
    for before, night in pairwise(ids):
        for _ in range(2):  # the second time changes nothing
            for statement in (begin.replace("20261124T020000Z", night), merge, scd2):
                connection.execute(statement)
            assert rows(connection, "users") == rows(connection, parts_of(night))
        count = len(rows(connection, parts_of(night)))
        assert connection.execute(proof).fetchall() == [(count, count, before)]
    for night in ids:
        held = f"users_history WHERE valid_from <= {at(night)} AND ({at(night)} < valid_to OR valid_to IS NULL)"
        assert rows(connection, held) == rows(connection, parts_of(night))


def test_a_night_that_was_missed_is_made_good_by_diff(
    exports: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, ids = exports
    _, merge, _, _ = statements()
    connection = begun(folder, ids[0], monkeypatch)
    for name in ("changes.parquet", "changes.ndjson", "changes.ndjson.zst"):
        assert main(["diff", ids[0], ids[-1], "--destination", "exports", "--output", name]) == 0
        connection.execute(f"CREATE OR REPLACE TEMP VIEW changes AS FROM '{name}'")
        changed = connection.execute("SELECT change, count(*) FROM changes GROUP BY ALL ORDER BY ALL").fetchall()
        assert changed == [("created", 20), ("returned", 1), ("updated", 2), ("vanished", 1)]
        for _ in range(2):
            connection.execute(merge)
            assert rows(connection, "users") == rows(connection, parts_of(ids[-1]))
        connection.execute(f"CREATE OR REPLACE TABLE users AS FROM {parts_of(ids[0])}")
