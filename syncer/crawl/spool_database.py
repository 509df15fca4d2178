"""The spool's SQLite file: how it is opened, what a transaction is, and what its errors mean."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from syncer.crawl.spool_tables import SET_NUMBERS, SETTINGS, TABLES, VERSION
from syncer.errors import StorageFailed

NotUnique = sqlite3.IntegrityError
"""A unique index refused a row."""


class SpoolDatabase:
    """One connection; any thread may use it, one at a time. Tables of another version are emptied."""

    def __init__(self, path: Path) -> None:
        """Create or open. Raises StorageFailed."""
        self.path = path
        self.is_emptied = False
        """Whether tables of another version were there."""
        with storage_errors(path), ExitStack() as stack:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._db = stack.enter_context(
                closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False))
            )
            self._open_tables()
            path.chmod(0o600)
            stack.pop_all()

    def execute(self, sql: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
        """One statement. Raises sqlite3.Error: ``transaction`` and ``storage_errors`` say what it means."""
        return self._db.execute(sql, values)

    def execute_each(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """One statement for each row of values."""
        self._db.executemany(sql, rows)

    def value(self, key: str) -> object:
        """What is kept of the run under a name; None when nothing is."""
        row = self._db.execute("SELECT value FROM run WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def set_value(self, key: str, value: str) -> None:
        """Keep something of the run under a name; part of a transaction."""
        self._db.execute("INSERT OR REPLACE INTO run VALUES (?, ?)", (key, value))

    def numbers(self) -> dict[str, int]:
        """All counters of the run."""
        kept: dict[str, int] = json.loads(str(self.value("numbers") or "{}"))
        return kept

    def set_numbers(self, numbers: Mapping[str, int]) -> None:
        """Keep counters of the run, others stay; part of a transaction."""
        self._db.execute(SET_NUMBERS, (json.dumps(numbers),))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it or nothing. Raises StorageFailed."""
        with storage_errors(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                if self._db.in_transaction:  # a full disk rolls back by itself
                    self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def close(self) -> None:
        """Nothing is lost."""
        self._db.close()

    def remove(self) -> None:
        """Close and delete."""
        self._close_as_it_is()
        for suffix in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    def _close_as_it_is(self) -> None:
        """SQLite makes a checkpoint when a file's last user leaves. One that may only read makes none."""
        reading = f"{self.path.absolute().as_uri()}?mode=ro"
        with storage_errors(self.path), closing(sqlite3.connect(reading, uri=True)) as other:
            other.execute("SELECT count(*) FROM run").fetchone()
            self._db.close()

    def _open_tables(self) -> None:
        self._db.executescript(SETTINGS)
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        self.is_emptied = version not in (0, VERSION)
        if version != VERSION:
            for (name,) in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                self._db.execute(f'DROP TABLE "{name}"')
        self._db.executescript(TABLES)


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Errors of SQLite and of the disk become StorageFailed."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise StorageFailed(
            f"the spool {path} cannot be written: {reason}", hint="make room or repair it, then run again: it resumes"
        ) from None
