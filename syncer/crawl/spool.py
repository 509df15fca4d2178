"""The spool: the durable record of an unfinished run, one SQLite file for each account and one file of payloads.

A page, its position and what was decided about it are one transaction: after a kill at any instant the file says
exactly which token to ask for next. Payloads are opaque bytes here, written before the row that names them.

A commit appends to both files, that is to the system's page cache: some 0.1 ms. What may wait for the disk is
``checkpoint``, which is never done unasked. After a power cut, pages since the last one are there or are asked again.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

from syncer.crawl.payload_file import PayloadFile
from syncer.crawl.plan import Plan
from syncer.crawl.spool_tables import (
    COLUMNS,
    INSERT_PAGE,
    RECORD_FIELDS,
    SETTINGS,
    SORTED_COLUMNS,
    STRETCHES,
    TABLES,
    VERSION,
    SortedPage,
    sorted_page,
    stretch_of,
    token_hash,
)
from syncer.crawl.walk import Stretch
from syncer.errors import CoverageNotProven, StorageFailed
from syncer.model import EncodedPage, Pack, PageRecord, Reject

CHECKPOINT_BYTES = 64 << 20
"""Payloads written before they are synced and the log is moved into the database file: some 1.6 million users."""

RESTARTS_MAX = 2
"""New walks from the start within one run, resumed or not: a list that defeats two of them defeats the third."""


class PageRepeated(CoverageNotProven):
    """A stretch was served the same user on two pages: what the second one stood in for may be missing."""

    def __init__(self, stretch: int) -> None:
        super().__init__(
            f"stretch {stretch} of the list was served with the same users twice",
            hint="the list repeats users, so others may be missing; nothing was published, run again later",
        )
        self.stretch = stretch


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What an unfinished run is about; a run resumes only where these still fit."""

    account_sid: str
    snapshot_id: str
    started_at: str
    """RFC 3339, UTC."""
    base_url: str
    with_lines: bool
    """Whether payloads hold the users' own JSON."""
    plan_reason: str
    """Why it is sequential, in words; empty when it is not."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One page on its way into the spool."""

    record: PageRecord
    encoded: EncodedPage
    first_ids: tuple[str, ...] | None
    """The stretch's remembered users, when this page changed them."""


class Spool:
    """One account's unfinished run. Not safe for use by two processes: the account's lock sees to that."""

    def __init__(self, path: Path, pack: Pack) -> None:
        self.path = path
        self.lost_pages = 0
        """Pages whose payloads a power cut took: they will be asked for again."""
        self._pack = pack
        self._unsynced_bytes = 0
        with _storage(path), ExitStack() as stack:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._db = stack.enter_context(
                closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False))
            )
            self._open_tables()
            path.chmod(0o600)
            self._payloads = stack.enter_context(closing(PayloadFile(path.with_suffix(".payloads"))))
            self._drop_lost_pages()
            stack.pop_all()

    def close(self) -> None:
        """Close the files; nothing is lost."""
        self._db.close()
        self._payloads.close()

    @property
    def is_checkpoint_due(self) -> bool:
        """Whether so much has been written that ``checkpoint`` should be called."""
        return self._unsynced_bytes >= CHECKPOINT_BYTES

    def checkpoint(self) -> None:
        """Sync the payloads, and move the log into the database file, synced; the log's space is used again."""
        with _storage(self.path):
            self._payloads.sync()
            self.set_numbers(synced_page=self._db.execute("SELECT coalesce(max(page), 0) FROM pages").fetchone()[0])
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        self._unsynced_bytes = 0

    def remove(self) -> None:
        """Close and delete: the run is published or given up."""
        self._close_as_it_is()
        for suffix in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        self._payloads.remove()

    def facts(self) -> RunFacts | None:
        """The unfinished run that the spool holds, or None."""
        row = self._value("facts")
        return RunFacts(**json.loads(str(row))) if row is not None else None

    def begin(self, facts: RunFacts, plan: Plan) -> None:
        """Forget everything and start a run."""
        with self._transaction():
            self._forget("run", "stretches", "pages", "rejects")
            self._set("facts", json.dumps({f.name: getattr(facts, f.name) for f in fields(facts)}))
            self._set_plan(plan)
        self._clear_payloads()

    def clear(self) -> None:
        """Forget everything: the run that was kept here is finished."""
        with self._transaction():
            self._forget("run", "stretches", "pages", "rejects")
        self._clear_payloads()

    def restart(self, facts: RunFacts, plan: Plan) -> None:
        """Drop every page and walk again by another plan; counts of requests stay."""
        with self._transaction():
            self._forget("stretches", "pages", "rejects")
            self._set("facts", json.dumps({f.name: getattr(facts, f.name) for f in fields(facts)}))
            self._count_restart()
            self._set_plan(plan)
        self._clear_payloads()

    @property
    def may_restart(self) -> bool:
        """Whether the list may be walked from its start once more."""
        return self.number("restarts") < RESTARTS_MAX

    def number(self, key: str) -> int:
        """A counter of the run, kept over resumes; 0 when never set."""
        value = self._value(key)
        return int(value) if isinstance(value, (int, str)) else 0

    def set_numbers(self, **numbers: int) -> None:
        """Set counters of the run."""
        with self._transaction():
            self._set_all(numbers)

    def record(self, entries: Sequence[Entry], numbers: dict[str, int]) -> None:
        """Write pages with their decisions, and the run's counters, in one transaction.

        Raises CoverageNotProven for a token that was met before in its stretch, PageRepeated for a page whose users
        were.
        """
        packed = [self._pack(entry.encoded.batch) for entry in entries]
        with self._transaction():
            for entry, payload in zip(entries, packed, strict=True):
                self._insert(entry, payload)
            self._set_all(numbers)
        self._unsynced_bytes += sum(map(len, packed))

    def stretches(self) -> list[Stretch]:
        """Every stretch as it stands, ready to go on."""
        return [stretch_of(row) for row in self._db.execute(STRETCHES)]

    def rewind(self, stretch: int, sequence: int, *, is_restart: bool = False) -> None:
        """Drop the pages of a stretch from a sequence on; they will be asked for again."""
        with self._transaction():
            if is_restart:
                self._count_restart()
            self._delete_from(stretch, sequence)
            if sequence == 0:
                self._db.execute("UPDATE stretches SET first_ids = '[]' WHERE stretch = ?", (stretch,))

    def mark_rewalked(self, stretch: int) -> bool:
        """Drop a stretch's pages to walk it again; False when that was done before."""
        with self._transaction():
            done = self._db.execute("SELECT rewalked FROM stretches WHERE stretch = ?", (stretch,)).fetchone()[0]
            if not done:
                self._db.execute("UPDATE stretches SET rewalked = 1, first_ids = '[]' WHERE stretch = ?", (stretch,))
                self._delete_from(stretch, 0)
        return not done

    def page(self, stretch: int, sequence: int) -> PageRecord | None:
        """One page's record."""
        row = self._db.execute(
            f"SELECT {COLUMNS} FROM pages WHERE stretch = ? AND sequence = ?", (stretch, sequence)
        ).fetchone()
        return PageRecord(*row) if row else None

    def pages(self) -> Iterator[PageRecord]:
        """All pages in list order: by stretch, then by sequence."""
        return (PageRecord(*row) for row in self._db.execute(f"SELECT {COLUMNS} FROM pages ORDER BY stretch, sequence"))

    def sorted_pages(self) -> Iterator[SortedPage]:
        """Pages that hold users, by min id in byte order."""
        return self._sorted("min_id IS NOT NULL ORDER BY min_id, page")

    def pages_around(self, user_id: str) -> Iterator[SortedPage]:
        """Pages whose range of ids holds an id: the only ones where the user can be."""
        return self._sorted("min_id <= ?1 AND max_id >= ?1", user_id)

    def page_not_after(self, user_id: str) -> PageRecord | None:
        """The page with the largest min id that is not after an id: the user's own, or the one it would follow."""
        rows = self._db.execute(
            f"SELECT {COLUMNS} FROM pages WHERE min_id <= ? ORDER BY min_id DESC LIMIT 1", (user_id,)
        )
        return next((PageRecord(*row) for row in rows), None)

    def stored_page(self, stretch: int, sequence: int) -> SortedPage | None:
        """One page that holds users, by its place."""
        return next(self._sorted("stretch = ? AND sequence = ? AND min_id IS NOT NULL", stretch, sequence), None)

    def payload(self, page: SortedPage) -> bytes:
        """A page's columns as they were packed. Raises StorageFailed when they are damaged."""
        with _storage(self.path):
            found = self._payloads.read(page.place)
        if found is None:
            raise StorageFailed("a page in the spool is damaged", hint="start over with --fresh")
        return found

    def last_pages(self) -> dict[int, PageRecord]:
        """The last page of every stretch that has one."""
        last = "SELECT stretch, max(sequence) FROM pages GROUP BY stretch"
        rows = self._db.execute(f"SELECT {COLUMNS} FROM pages WHERE (stretch, sequence) IN ({last})")
        return {record.stretch: record for record in (PageRecord(*row) for row in rows)}

    def rejects(self) -> Iterator[Reject]:
        """Every reject in list order."""
        rows = self._db.execute(
            "SELECT r.row, reason, body FROM rejects r JOIN pages p USING (page) ORDER BY stretch, sequence, r.row"
        )
        return (Reject(*row) for row in rows)

    def count_pages(self) -> int:
        """Pages recorded so far."""
        return int(self._db.execute("SELECT count(*) FROM pages").fetchone()[0])

    def count_users(self) -> tuple[int, int]:
        """Users and rejects served on the recorded pages."""
        row = self._db.execute("SELECT coalesce(sum(users), 0), coalesce(sum(rejects), 0) FROM pages").fetchone()
        return int(row[0]), int(row[1])

    def last_asked(self) -> int:
        """The highest request number recorded; 0 for none."""
        return int(self._db.execute("SELECT coalesce(max(asked), 0) FROM pages").fetchone()[0])

    def _close_as_it_is(self) -> None:
        """SQLite makes a checkpoint when a file's last user leaves. One that may only read makes none."""
        reading = f"{self.path.absolute().as_uri()}?mode=ro"
        with _storage(self.path), closing(sqlite3.connect(reading, uri=True)) as other:
            other.execute("SELECT count(*) FROM run").fetchone()
            self._db.close()
            self._payloads.close()

    def _open_tables(self) -> None:
        self._db.executescript(SETTINGS)
        if self._db.execute("PRAGMA user_version").fetchone()[0] != VERSION:
            for (name,) in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                self._db.execute(f'DROP TABLE "{name}"')
        self._db.executescript(TABLES)

    def _drop_lost_pages(self) -> None:
        """What was synced is there. Of what was not, a power cut may have kept a row and taken its payload."""
        suspects = f"SELECT {SORTED_COLUMNS} FROM pages WHERE page > ? ORDER BY page"
        for page in map(sorted_page, self._db.execute(suspects, (self.number("synced_page"),)).fetchall()):
            if self._payloads.read(page.place) is None and self.page(page.stretch, page.sequence) is not None:
                before = self.count_pages()
                self.rewind(page.stretch, page.sequence)
                self.lost_pages += before - self.count_pages()

    def _count_restart(self) -> None:
        self._set("restarts", self.number("restarts") + 1)

    def _clear_payloads(self) -> None:
        with _storage(self.path):
            self._payloads.clear()
        self._unsynced_bytes = 0

    def _sorted(self, condition: str, *values: object) -> Iterator[SortedPage]:
        return map(sorted_page, self._db.execute(f"SELECT {SORTED_COLUMNS} FROM pages WHERE {condition}", values))

    def _forget(self, *tables: str) -> None:
        for table in tables:
            self._db.execute(f"DELETE FROM {table}")

    def _set_plan(self, plan: Plan) -> None:
        self._db.executemany(
            "INSERT INTO stretches (stretch, entry, planned_pages, after_id) VALUES (?, ?, ?, ?)",
            [(i, s.entry, s.pages, s.after) for i, s in enumerate(plan.stretches)],
        )

    def _insert(self, entry: Entry, payload: bytes) -> None:
        record = entry.record
        place = self._payloads.append(payload)
        values = [getattr(record, name) for name in RECORD_FIELDS]
        values += [token_hash(record.token), place.at, place.size, place.checksum]
        try:
            page = self._db.execute(INSERT_PAGE, values).lastrowid
        except sqlite3.IntegrityError:
            raise self._refusal(record) from None
        for reject in entry.encoded.rejects:
            self._db.execute("INSERT INTO rejects VALUES (?, ?, ?, ?)", (page, reject.row, reject.reason, reject.body))
        if entry.first_ids is not None:
            self._db.execute(
                "UPDATE stretches SET first_ids = ? WHERE stretch = ?", (json.dumps(entry.first_ids), record.stretch)
            )

    def _refusal(self, record: PageRecord) -> CoverageNotProven:
        """A circle of tokens repeats pages too, but to walk it again would only go round once more."""
        known = "SELECT 1 FROM pages WHERE stretch = ? AND token_hash = ?"
        if self._db.execute(known, (record.stretch, token_hash(record.token))).fetchone() is None:
            return PageRepeated(record.stretch)
        return CoverageNotProven(
            f"the list goes round in a circle: page {record.sequence} of stretch {record.stretch}"
            " has a page token met before",
            hint="nothing was published; report it to the API's support",
        )

    def _delete_from(self, stretch: int, sequence: int) -> None:
        chosen = "SELECT page FROM pages WHERE stretch = ? AND sequence >= ?"
        self._db.execute(f"DELETE FROM rejects WHERE page IN ({chosen})", (stretch, sequence))
        self._db.execute("DELETE FROM pages WHERE stretch = ? AND sequence >= ?", (stretch, sequence))

    def _value(self, key: str) -> object:
        row = self._db.execute("SELECT value FROM run WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def _set(self, key: str, value: object) -> None:
        self._set_all({key: value})

    def _set_all(self, values: Mapping[str, object]) -> None:
        if values:
            rows = ", ".join(["(?, ?)"] * len(values))
            self._db.execute(f"INSERT OR REPLACE INTO run VALUES {rows}", [x for pair in values.items() for x in pair])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with _storage(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                if self._db.in_transaction:  # a full disk rolls back by itself
                    self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")


@contextmanager
def _storage(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise StorageFailed(
            f"the spool {path} cannot be written: {reason}", hint="make room or repair it, then run again: it resumes"
        ) from None


def rejects_lines(rejects: Iterable[Reject]) -> Iterator[bytes]:
    """The rejects file: NDJSON of ``reason`` and the user as served."""
    for reject in rejects:
        yield b'{"reason":%s,"user":%s}\n' % (json.dumps(reject.reason).encode(), reject.body)
