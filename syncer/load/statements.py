"""The SQL of a load, in words that DuckDB and PostgreSQL share. Pure. Names are checked before they get here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from syncer.load.source import Source
from syncer.load.target import Mode, TableName

RECORDS = "syncer_loads"
"""The table that says which snapshot each table holds."""
COLUMNS = ("id", "created_at", "updated_at", "deleted_at", "extra")
Piece = tuple[str | None, str | None]
"""Ids from the first on and before the second; None: without that bound."""
_LIST = ", ".join(COLUMNS)
_KEYS: dict[Mode, str] = {"replace": "id", "append-history": "snapshot_id, id", "scd2": "id, valid_from"}
_BEFORE: dict[Mode, str] = {"replace": "", "append-history": "snapshot_id text NOT NULL, ", "scd2": ""}
_AFTER: dict[Mode, str] = {
    "replace": "",
    "append-history": "",
    "scd2": ", valid_from timestamptz NOT NULL, valid_to timestamptz, is_current boolean NOT NULL",
}


@dataclass(frozen=True, slots=True)
class Statements:
    """What a load of one table says. ``table.schema`` is known."""

    table: TableName
    collation: str = ""
    """What follows the type of ``id``: byte order, where the database would not use it by itself."""

    @property
    def stage(self) -> TableName:
        """The table that a load fills first; no reader ever sees it, a load that ends leaves none."""
        return replace(self.table, name=f"{self.table.name}_syncer_stage")

    @property
    def records(self) -> TableName:
        """In the same schema."""
        return replace(self.table, name=RECORDS)

    def create_records(self) -> str:
        return (
            f"CREATE TABLE IF NOT EXISTS {quoted(self.records)} (table_name text NOT NULL, snapshot_id text NOT NULL, "
            "mode text NOT NULL, account_sid text NOT NULL, manifest_sha256 text NOT NULL, users bigint NOT NULL, "
            "loaded_at timestamptz NOT NULL, PRIMARY KEY (table_name, snapshot_id))"
        )

    def held(self) -> str:
        """What the table holds: rows of mode, account, snapshot and sha256 of its manifest."""
        return (
            f"SELECT mode, account_sid, snapshot_id, manifest_sha256 FROM {quoted(self.records)} "
            f"WHERE table_name = {literal(self.table.name)}"
        )

    def forget(self, mode: Mode, source: Source) -> str:
        """Remove records that the new one takes the place of."""
        only = f" AND snapshot_id = {literal(source.snapshot_id)}" if mode == "append-history" else ""
        return f"DELETE FROM {quoted(self.records)} WHERE table_name = {literal(self.table.name)}{only}"

    def record(self, mode: Mode, source: Source, loaded_at: str) -> str:
        values = ", ".join(
            map(literal, (self.table.name, source.snapshot_id, mode, source.account_sid, source.manifest_sha256))
        )
        return (
            f"INSERT INTO {quoted(self.records)} VALUES ({values}, {source.users}, "
            f"CAST({literal(loaded_at)} AS timestamptz))"
        )

    def exists(self, table: TableName) -> str:
        return (
            f"SELECT count(*) FROM information_schema.tables WHERE table_schema = {literal(table.schema)} "
            f"AND table_name = {literal(table.name)}"
        )

    def create(self, table: TableName, mode: Mode, *, keyed: bool) -> str:
        key = f", PRIMARY KEY ({_KEYS[mode]})" if keyed else ""
        return (
            f"CREATE TABLE {quoted(table)} ({_BEFORE[mode]}id text{self.collation} NOT NULL, "
            "created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL, deleted_at timestamptz, extra text"
            f"{_AFTER[mode]}{key})"
        )

    def add_key(self, table: TableName) -> str:
        return f"ALTER TABLE {quoted(table)} ADD PRIMARY KEY (id)"

    def analyze(self, table: TableName) -> str:
        return f"ANALYZE {quoted(table)}"

    def count(self, mode: Mode, source: Source) -> str:
        """How many rows of the table are users of this snapshot."""
        only = {
            "replace": "",
            "append-history": f" WHERE snapshot_id = {literal(source.snapshot_id)}",
            "scd2": " WHERE is_current",
        }[mode]
        return f"SELECT count(*) FROM {quoted(self.table)}{only}"

    def count_stage(self) -> str:
        return f"SELECT count(*) FROM {quoted(self.stage)}"

    def drop_stage(self) -> str:
        return f"DROP TABLE IF EXISTS {quoted(self.stage)}"

    def swap(self) -> tuple[str, ...]:
        """The stage becomes the table."""
        return (
            f"DROP TABLE IF EXISTS {quoted(self.table)}",
            f'ALTER TABLE {quoted(self.stage)} RENAME TO "{self.table.name}"',
        )

    def swap_rows(self) -> tuple[str, ...]:
        """The stage's rows become the table's: whatever else hangs on the table stays."""
        return (
            f"DELETE FROM {quoted(self.table)}",
            f"INSERT INTO {quoted(self.table)} ({_LIST}) SELECT {_LIST} FROM {quoted(self.stage)}",
            self.drop_stage(),
        )

    def append(self, source: Source) -> tuple[str, ...]:
        """The stage's rows, with the snapshot they are of."""
        snapshot = literal(source.snapshot_id)
        return (
            f"DELETE FROM {quoted(self.table)} WHERE snapshot_id = {snapshot}",
            f"INSERT INTO {quoted(self.table)} (snapshot_id, {_LIST}) SELECT {snapshot}, {_LIST} "
            f"FROM {quoted(self.stage)}",
            self.drop_stage(),
        )

    def bounds(self, rows: int) -> str:
        """The id of every so many-th row of a stage whose rows have numbers, from the first on, ascending."""
        return f"SELECT id FROM {quoted(self.stage)} WHERE rowid % {rows} = 0 ORDER BY id"

    def follow(self, source: Source, pieces: Sequence[Piece]) -> tuple[str, ...]:
        """Close rows that are gone or other now, then open new ones: only what changed is written."""
        close = [self._close(source, piece) for piece in pieces]
        return (*close, *(self._open(source, piece) for piece in pieces), self.drop_stage())

    def _close(self, source: Source, piece: Piece) -> str:
        same = " AND ".join(f"s.{name} IS NOT DISTINCT FROM t.{name}" for name in COLUMNS[1:])
        return (
            f"UPDATE {quoted(self.table)} AS t SET valid_to = {_moment(source)}, is_current = false "
            f"WHERE t.is_current{_within('t', piece)} AND NOT EXISTS "
            f"(SELECT 1 FROM {quoted(self.stage)} AS s WHERE s.id = t.id{_within('s', piece)} AND {same})"
        )

    def _open(self, source: Source, piece: Piece) -> str:
        listed = ", ".join(f"s.{name}" for name in COLUMNS)
        return (
            f"INSERT INTO {quoted(self.table)} ({_LIST}, valid_from, valid_to, is_current) "
            f"SELECT {listed}, {_moment(source)}, NULL, true FROM {quoted(self.stage)} AS s WHERE NOT EXISTS "
            f"(SELECT 1 FROM {quoted(self.table)} AS t WHERE t.is_current AND t.id = s.id{_within('t', piece)})"
            f"{_within('s', piece)}"
        )


def _moment(source: Source) -> str:
    return f"CAST({literal(source.moment.strftime('%Y-%m-%d %H:%M:%S+00'))} AS timestamptz)"


def _within(alias: str, piece: Piece) -> str:
    """A condition that follows others."""
    first, end = piece
    after = f" AND {alias}.id >= {literal(first)}" if first is not None else ""
    return after + (f" AND {alias}.id < {literal(end)}" if end is not None else "")


def quoted(table: TableName) -> str:
    """For SQL."""
    return f'"{table.schema}"."{table.name}"'


def literal(text: str) -> str:
    """A text in SQL."""
    return "'" + text.replace("'", "''") + "'"
