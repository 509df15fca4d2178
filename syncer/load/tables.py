"""Loading into a database: stage and check, then swap and record in one transaction. Knows no particular database.

A reader sees the table as it was or as it is to be. The stage is committed before the swap: a reader whose snapshot is
a moment older than the swap would find a table without rows otherwise. What a killed load leaves is a stage that nobody
reads; the next load removes it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from syncer.errors import DataRefused, SyncerError, UsageError
from syncer.load.plan import Held, needs_load
from syncer.load.source import Loaded, Source
from syncer.load.statements import Piece, Statements
from syncer.load.stream import Stream
from syncer.load.target import Mode, TableName


class Database(Protocol):
    """A connection. Every method may raise a SyncerError that holds no secret."""

    collation: str

    def lock(self, table: TableName) -> AbstractContextManager[None]:
        """No other load of this table meanwhile. Raises LockHeld."""
        ...

    def transaction(self) -> AbstractContextManager[None]:
        """Commit at the end, roll back on any error."""
        ...

    def schema(self) -> str:
        """Where a table without a schema is."""
        ...

    def run(self, sql: str) -> None:
        """One statement."""
        ...

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        """One query."""
        ...

    def ingest(self, table: TableName, stream: Stream) -> None:
        """All users into an empty table, in bounded memory."""
        ...

    def has_key(self, mode: Mode, source: Source) -> bool:
        """Whether a table is to have its primary key."""
        ...

    def pieces(self, statements: Statements, source: Source) -> list[Piece]:
        """Ranges of ids that together hold every id, each small enough to compare table and stage in bounded memory."""
        ...

    def check_swap(self, table: TableName) -> None:
        """Raises UsageError for what hangs on a table and would be lost with it."""
        ...

    def may_swap(self, statements: Statements) -> bool:
        """Wait, not for long, until nobody would notice a swap; False when somebody would."""
        ...

    def swap(self, statements: Statements) -> None:
        """The stage becomes the table, with the privileges of the one before."""
        ...


@dataclass(frozen=True, slots=True)
class How:
    """What a person chose for a load."""

    mode: Mode = "replace"
    keep_table: bool = False
    """Replace the rows and not the table."""
    allow_older: bool = False


def load_table(database: Database, name: TableName, source: Source, how: How) -> Loaded:
    """Make the table hold the snapshot. Raises SyncerError; the table is then as it was."""
    table = TableName(name.schema or database.schema(), name.name)
    statements = Statements(table, database.collation)
    with database.lock(table):
        with database.transaction():
            is_there = _is_there(database, statements)
            held = _held(database, statements) if is_there else []
            if not needs_load(held, str(table), source, how.mode, allow_older=how.allow_older):
                return Loaded(False, str(table), _number(database, statements.count(how.mode, source)))
            is_swap = how.mode == "replace" and not (how.keep_table and is_there)
            if is_swap and is_there:
                database.check_swap(table)
            _fill_stage(database, statements, source, keyed=is_swap)
        try:
            with database.transaction():
                if is_swap and (not is_there or database.may_swap(statements)):
                    database.swap(statements)
                else:
                    _merge(database, statements, source, how.mode, is_there=is_there)
                database.run(statements.forget(how.mode, source))
                database.run(statements.record(how.mode, source, datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S+00")))
                return Loaded(True, str(table), _counted(database, statements.count(how.mode, source), source))
        except SyncerError:
            with suppress(SyncerError), database.transaction():
                database.run(statements.drop_stage())
            raise


def _fill_stage(database: Database, statements: Statements, source: Source, *, keyed: bool) -> None:
    database.run(statements.drop_stage())  # of a load that was killed
    database.run(statements.create(statements.stage, "replace", keyed=False))
    stream = Stream(source.batches())
    database.ingest(statements.stage, stream)
    if keyed and database.has_key("replace", source):
        database.run(statements.add_key(statements.stage))  # at once over sorted rows: faster than row by row
    database.run(statements.analyze(statements.stage))
    _counted(database, statements.count_stage(), source)


def _merge(database: Database, statements: Statements, source: Source, mode: Mode, *, is_there: bool) -> None:
    """Readers do not wait for any of this: they see the rows of before until the commit, whatever their snapshot."""
    if not is_there:
        database.run(statements.create(statements.table, mode, keyed=database.has_key(mode, source)))
    work = {"replace": statements.swap_rows(), "append-history": statements.append(source)}
    pieces = database.pieces(statements, source) if is_there and mode == "scd2" else [(None, None)]
    for sql in work.get(mode) or statements.follow(source, pieces):
        database.run(sql)
    database.run(statements.analyze(statements.table))


def _is_there(database: Database, statements: Statements) -> bool:
    """Whether the table is there, and ours. Raises UsageError for one of somebody else."""
    database.run(statements.create_records())
    is_there = _number(database, statements.exists(statements.table)) > 0
    if is_there and not _held(database, statements):
        raise UsageError(
            f"{statements.table} is there but was not made by `syncer load`",
            hint="give another --table, or drop it first",
        )
    return is_there


def _held(database: Database, statements: Statements) -> list[Held]:
    return [Held(*map(str, row)) for row in database.rows(statements.held())]


def _counted(database: Database, sql: str, source: Source) -> int:
    count = _number(database, sql)
    if count != source.users:
        raise DataRefused(
            f"the database counts {count:,} users instead of the {source.users:,} of snapshot {source.snapshot_id}",
            hint="the table is as it was; run again, and look at the database if it stays so",
        )
    return count


def _number(database: Database, sql: str) -> int:
    return int(str(database.rows(sql)[0][0]))
