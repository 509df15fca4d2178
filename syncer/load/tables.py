"""Loading into a database: stage, check, swap, record, all in one transaction. Knows no particular database.

A reader sees the table as it was or as it is to be. A process that dies leaves nothing: the transaction never happened.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Protocol

from syncer.errors import DataRefused, UsageError
from syncer.load.plan import Held, needs_load
from syncer.load.source import Loaded, Source
from syncer.load.statements import Statements
from syncer.load.stream import Stream
from syncer.load.target import Mode, TableName


class Database(Protocol):
    """A connection. Every method may raise a SyncerError that holds no secret."""

    collation: str

    def transaction(self, table: TableName) -> AbstractContextManager[None]:
        """Commit at the end, roll back on any error; no other load of this table meanwhile (LockHeld)."""
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

    def before_swap(self, statements: Statements) -> None:
        """Give the stage what the table has beside its rows. Raises UsageError for what a swap would lose."""
        ...

    def swap(self, statements: Sequence[str], table: TableName) -> None:
        """The statements that readers may have to wait for."""
        ...


def load_table(
    database: Database, name: TableName, source: Source, mode: Mode, *, keep_table: bool, allow_older: bool
) -> Loaded:
    """Make the table hold the snapshot. Raises SyncerError; the table is then as it was."""
    table = TableName(name.schema or database.schema(), name.name)
    statements = Statements(table, database.collation)
    with database.transaction(table):
        database.run(statements.create_records())
        is_there = _number(database, statements.exists(table)) > 0
        held = _held(database, statements) if is_there else []
        if is_there and not held:
            raise UsageError(
                f"{table} is there but was not made by `syncer load`", hint="give another --table, or drop it first"
            )
        if not needs_load(held, str(table), source, mode, allow_older=allow_older):
            return Loaded(False, str(table), _number(database, statements.count(mode, source)))
        _fill_stage(database, statements, source, keyed=mode == "replace" and not keep_table)
        if mode == "replace" and not (keep_table and is_there):
            _swap(database, statements, is_there=is_there)
        else:
            _merge(database, statements, source, mode, is_there=is_there)
        database.run(statements.forget(mode, source))
        database.run(statements.record(mode, source, datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S+00")))
        return Loaded(True, str(table), _counted(database, statements.count(mode, source), source))


def _fill_stage(database: Database, statements: Statements, source: Source, *, keyed: bool) -> None:
    database.run(statements.drop_stage())  # only a load by other means could have left one
    database.run(statements.create(statements.stage, "replace", keyed=False))
    stream = Stream(source.batches())
    database.ingest(statements.stage, stream)
    if keyed and database.has_key("replace", source):
        database.run(statements.add_key(statements.stage))  # at once over sorted rows: faster than row by row
    database.run(statements.analyze(statements.stage))
    _counted(database, statements.count_stage(), source)


def _swap(database: Database, statements: Statements, *, is_there: bool) -> None:
    if is_there:
        database.before_swap(statements)
    database.swap(statements.swap(), statements.table)


def _merge(database: Database, statements: Statements, source: Source, mode: Mode, *, is_there: bool) -> None:
    """Readers do not wait for any of this: they see the rows of before until the commit."""
    if not is_there:
        database.run(statements.create(statements.table, mode, keyed=database.has_key(mode, source)))
    work = {"replace": statements.swap_rows(), "append-history": statements.append(source)}
    for sql in work.get(mode) or statements.follow(source):
        database.run(sql)
    database.run(statements.analyze(statements.table))


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
