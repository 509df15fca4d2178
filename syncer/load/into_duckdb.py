"""A DuckDB file as a database to load into. One process at a time may open such a file, so nobody reads meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import duckdb

from syncer.errors import LockHeld, StorageFailed, SyncerError, UsageError
from syncer.load.source import Source
from syncer.load.statements import Piece, Statements, literal, quoted
from syncer.load.stream import Stream
from syncer.load.target import Mode, TableName

_MEMORY_LIMIT = "64MB"
_KEYED_MEMORY_LIMIT = "256MB"
KEYED_ROWS_MAX = 250_000
"""DuckDB keeps the whole index of a primary key in memory, some 0.3 KB a user while it is made: tables with more users
go without. That ids are there and unique is then proven by the reading, which demands strictly ascending ids."""

PIECE_ROWS = 250_000
"""Users that are compared at once in a history: 5 million in pieces take 15 CPU seconds and 145 MiB."""


@contextmanager
def open_duckdb(location: str) -> Iterator[DuckDatabase]:
    """Open the file, or make it. Raises LockHeld while another process has it open."""
    path = file_meant(location)
    if not path.parent.is_dir():
        raise UsageError(f"the folder {path.parent} is not there", hint="make it first, or correct TARGET")
    with _errors(path):
        connection: Any = duckdb.connect(str(path), config={"memory_limit": _MEMORY_LIMIT, "threads": 2})
    try:
        yield DuckDatabase(connection, path)
    finally:
        connection.close()


def file_meant(location: str) -> Path:
    """``duckdb:///a/b.db`` is relative, four slashes make it absolute; with three it is taken as absolute when only
    then its folder is there, as people write it that way too."""
    path = Path(location)
    absolute = Path("/" + location)
    return absolute if not path.parent.is_dir() and absolute.parent.is_dir() else path


class DuckDatabase:
    """A connection."""

    collation = ""

    def __init__(self, connection: Any, path: Path) -> None:
        self._connection = connection
        self._path = path

    @contextmanager
    def lock(self, table: TableName) -> Iterator[None]:  # noqa: ARG002 - the whole file is ours while it is open
        yield

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.run("BEGIN TRANSACTION")
        try:
            yield
        except BaseException:
            self._connection.rollback()
            raise
        self.run("COMMIT")

    def schema(self) -> str:
        return str(self.rows("SELECT current_schema()")[0][0])

    def run(self, sql: str) -> None:
        with _errors(self._path):
            self._connection.execute(sql)

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        with _errors(self._path):
            return list(self._connection.execute(sql).fetchall())

    def ingest(self, table: TableName, stream: Stream) -> None:
        self._connection.register("syncer_incoming", stream.reader)
        try:
            self.run(f"INSERT INTO {quoted(table)} SELECT * FROM syncer_incoming")
        except SyncerError:
            stream.raise_failure()
            raise
        finally:
            with suppress(duckdb.Error):  # after a failure it goes with the transaction
                self._connection.unregister("syncer_incoming")

    def has_key(self, mode: Mode, source: Source) -> bool:
        keyed = mode == "replace" and source.users <= KEYED_ROWS_MAX
        if keyed:
            self.run(f"SET memory_limit = '{_KEYED_MEMORY_LIMIT}'")
        return keyed

    def pieces(self, statements: Statements, source: Source) -> list[Piece]:
        """A join that does not fit into so little memory takes ten times as long on the disk, or fails."""
        found = [str(row[0]) for row in self.rows(statements.bounds(PIECE_ROWS))] if source.users > PIECE_ROWS else []
        return list(zip([None, *found[1:]], [*found[1:], None], strict=True))

    def check_swap(self, table: TableName) -> None:
        """Indexes are all that can hang on a table here."""
        name = f"schema_name = {literal(table.schema)} AND table_name = {literal(table.name)}"
        if self.rows(f"SELECT 1 FROM duckdb_indexes() WHERE {name}"):
            raise UsageError(f"{table} has indexes, which a swap would drop", hint="give --keep-table")

    def may_swap(self, statements: Statements) -> bool:  # noqa: ARG002 - nobody else reads
        return True

    def swap(self, statements: Statements) -> None:
        for sql in statements.swap():
            self.run(sql)


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    """Theirs to ours; a DuckDB file has no secret that a text could hold."""
    try:
        yield
    except duckdb.IOException as error:
        if "lock" in str(error).lower():
            raise LockHeld(
                f"{path} is open in another process", hint="close it there, or load into a file of its own"
            ) from None
        raise StorageFailed(f"{path}: {_first_line(error)}", hint="repair it and run again") from None
    except duckdb.DependencyException as error:
        raise UsageError(f"{path}: {_first_line(error)}", hint="give --keep-table") from None
    except duckdb.Error as error:
        raise StorageFailed(f"{path}: {_first_line(error)}", hint="the table is as it was") from None


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:300]
