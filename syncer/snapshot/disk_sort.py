"""Sorting on disk by SQLite, for lists that are not in order of ids. A scratch file: nothing in it outlives the run."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa

from syncer.errors import StorageFailed
from syncer.snapshot import files

_ROWS_AT_ONCE = 16_384


class DiskSort:
    """Takes tables in any order, gives their rows back by id, then newest first, then asked last. A context manager."""

    def __init__(self, work_dir: Path, schema: Any) -> None:
        """One scratch file below ``work_dir``, which is this run's alone: what is there was left by a kill."""
        files.make_folder(work_dir)
        self._schema = schema
        self._path = work_dir / "sort.sqlite"
        files.remove(self._path)
        with self._errors():
            self._db = sqlite3.connect(self._path, isolation_level=None)
            try:
                self._begin(work_dir)
            except BaseException:
                self._db.close()
                raise
        self._insert = f"INSERT INTO rows VALUES ({', '.join('?' * len(schema.names))})"

    def _begin(self, work_dir: Path) -> None:
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute("PRAGMA synchronous = OFF")  # lost with the run, never read by another
        self._db.execute("PRAGMA temp_store = FILE")
        # SQLite sorts in files of its own; they belong beside ours, not on a small /tmp.
        self._db.execute(f"PRAGMA temp_store_directory = {_quoted(str(work_dir))}")
        self._db.execute(f"CREATE TABLE rows ({', '.join(self._schema.names)})")
        self._db.execute("BEGIN")

    def __enter__(self) -> DiskSort:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()
        files.remove(self._path)

    def add(self, table: Any) -> None:
        """More rows."""
        columns = [_plain(table.column(field.name), field.type).to_pylist() for field in self._schema]
        with self._errors():
            self._db.executemany(self._insert, zip(*columns, strict=True))

    def sorted_tables(self) -> Iterator[Any]:
        """All rows in merge order, in tables of a bounded size."""
        with self._errors():
            rows = self._db.execute("SELECT * FROM rows ORDER BY id, updated_at DESC, asked DESC, rowid")
            while chunk := rows.fetchmany(_ROWS_AT_ONCE):
                columns = zip(*chunk, strict=True)
                arrays = [
                    pa.array(column, _plain_type(field.type)).cast(field.type)
                    for column, field in zip(columns, self._schema, strict=True)
                ]
                yield pa.Table.from_arrays(arrays, schema=self._schema)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StorageFailed(
                f"the sort file {self._path} failed: {error}", hint="make room there and run again: it resumes"
            ) from None


def _plain_type(kind: Any) -> Any:
    return pa.int64() if pa.types.is_timestamp(kind) else kind


def _plain(column: Any, kind: Any) -> Any:
    return column.cast(_plain_type(kind))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
