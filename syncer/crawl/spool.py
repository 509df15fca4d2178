"""The spool: the durable record of an unfinished run, one SQLite file for each account and one file of payloads.

A page, its position and what was decided about it are one transaction: after a kill at any instant the file says
exactly which token to ask for next. Payloads are opaque bytes here, written before the row that names them.

A commit appends to both files, that is to the system's page cache: some 0.1 ms. What may wait for the disk is
``checkpoint``, which is never done unasked. After a power cut, pages since the last one are there or are asked again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path

from syncer.crawl.payload_file import PayloadFile
from syncer.crawl.plan import Plan
from syncer.crawl.recorded_pages import RecordedPages
from syncer.crawl.spool_database import NotUnique, SpoolDatabase, storage_errors
from syncer.crawl.spool_tables import (
    COUNTERS,
    INSERT_PAGE,
    LAST_COUNTERS,
    RECORD_FIELDS,
    SORTED_COLUMNS,
    sorted_page,
    token_hash,
)
from syncer.errors import CoverageNotProven
from syncer.model import EncodedPage, Pack, PageRecord

CHECKPOINT_BYTES = 128 << 20
"""Payloads written before they are synced and the log is moved into the database file: some 1.5 million users."""

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


class Spool(RecordedPages):
    """One account's unfinished run. Not safe for use by two processes: the account's lock sees to that."""

    def __init__(self, path: Path, pack: Pack) -> None:
        self.path = path
        self.lost_pages = 0
        """Pages whose payloads a power cut took: they will be asked for again."""
        self._pack = pack
        self._unsynced_bytes = 0
        with storage_errors(path), ExitStack() as stack:
            db = stack.enter_context(closing(SpoolDatabase(path)))
            super().__init__(db, stack.enter_context(closing(PayloadFile(path.with_suffix(".payloads")))))
            self._drop_lost_pages()
            stack.pop_all()

    def close(self) -> None:
        """Close the files; nothing is lost."""
        self._db.close()
        self._payloads.close()

    @property
    def is_emptied(self) -> bool:
        """Whether another version of the program kept something here, which is gone."""
        return self._db.is_emptied

    @property
    def is_checkpoint_due(self) -> bool:
        """Whether so much has been written that ``checkpoint`` should be called."""
        return self._unsynced_bytes >= CHECKPOINT_BYTES

    def checkpoint(self) -> None:
        """Sync the payloads, and move the log into the database file, synced; the log's space is used again."""
        with storage_errors(self.path):
            self._payloads.sync()
            self.set_numbers(synced_page=self._last_page())
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        self._unsynced_bytes = 0

    def remove(self) -> None:
        """Close and delete: the run is published or given up."""
        with storage_errors(self.path):
            self._db.remove()
            self._payloads.close()
            self._payloads.remove()

    def facts(self) -> RunFacts | None:
        """The unfinished run that the spool holds, or None."""
        row = self._db.value("facts")
        return RunFacts(**json.loads(str(row))) if row is not None else None

    def begin(self, facts: RunFacts, plan: Plan) -> None:
        """Forget everything and start a run."""
        with self._db.transaction():
            self._forget("run", "stretches", "pages", "rejects")
            self._set_out(facts, plan)
        self._clear_payloads()

    def clear(self) -> None:
        """Forget everything: the run that was kept here is finished."""
        with self._db.transaction():
            self._forget("run", "stretches", "pages", "rejects")
        self._clear_payloads()

    def restart(self, facts: RunFacts, plan: Plan) -> None:
        """Drop every page and walk again by another plan; counts of requests stay."""
        with self._db.transaction():
            self._keep_counters()
            self._forget("stretches", "pages", "rejects")
            self._db.set_numbers({"synced_page": 0})
            self._count_restart()
            self._set_out(facts, plan)
        self._clear_payloads()

    @property
    def may_restart(self) -> bool:
        """Whether the list may be walked from its start once more."""
        return self.number("restarts") < RESTARTS_MAX

    def number(self, key: str) -> int:
        """A counter of the run, kept over resumes; 0 when never set."""
        kept = self._db.numbers().get(key, 0)
        return max(kept, self._last_counters().get(key, 0)) if key in COUNTERS else kept

    def set_numbers(self, **numbers: int) -> None:
        """Set counters of the run."""
        with self._db.transaction():
            self._db.set_numbers(numbers)

    def record(self, entries: Sequence[Entry], counters: Mapping[str, int]) -> None:
        """Write pages with their decisions, and the run's counters, all or nothing.

        Raises CoverageNotProven for a token that was met before in its stretch, PageRepeated for a page whose users
        were.
        """
        packed = [self._pack(entry.encoded.batch) for entry in entries]
        # One row alone is a transaction by itself.
        with storage_errors(self.path) if _is_one_row(entries) else self._db.transaction():
            for entry, payload in zip(entries, packed, strict=True):
                self._insert(entry, payload, counters)
        self._unsynced_bytes += sum(map(len, packed))

    def rewind(self, stretch: int, sequence: int, *, is_restart: bool = False) -> None:
        """Drop the pages of a stretch from a sequence on; they will be asked for again."""
        with self._db.transaction():
            if is_restart:
                self._count_restart()
            self._delete_from(stretch, sequence)
            if sequence == 0:
                self._db.execute("UPDATE stretches SET first_ids = '[]' WHERE stretch = ?", (stretch,))

    def mark_rewalked(self, stretch: int) -> bool:
        """Drop a stretch's pages to walk it again; False when that was done before.

        To walk the first one again is a new walk from the start, and counted as one.
        """
        with self._db.transaction():
            done = self._db.execute("SELECT rewalked FROM stretches WHERE stretch = ?", (stretch,)).fetchone()[0]
            done = done or (stretch == 0 and not self.may_restart)
            if not done:
                if stretch == 0:
                    self._count_restart()
                self._db.execute("UPDATE stretches SET rewalked = 1, first_ids = '[]' WHERE stretch = ?", (stretch,))
                self._delete_from(stretch, 0)
        return not done

    def _drop_lost_pages(self) -> None:
        """What was synced is there. Of what was not, a power cut may have kept a row and taken its payload."""
        suspects = f"SELECT {SORTED_COLUMNS} FROM pages WHERE page > ? ORDER BY page"
        for page in map(sorted_page, self._db.execute(suspects, (self.number("synced_page"),)).fetchall()):
            if self._payloads.read(page.place) is None and self.page(page.stretch, page.sequence) is not None:
                before = self.count_pages()
                self.rewind(page.stretch, page.sequence)
                self.lost_pages += before - self.count_pages()

    def _last_page(self) -> int:
        return int(self._db.execute("SELECT coalesce(max(page), 0) FROM pages").fetchone()[0])

    def _last_counters(self) -> dict[str, int]:
        row = self._db.execute(LAST_COUNTERS).fetchone()
        return dict(zip(COUNTERS, row, strict=True)) if row else {}

    def _keep_counters(self) -> None:
        """Before pages go: what the last one says of the run stays true."""
        self._db.set_numbers({name: self.number(name) for name in COUNTERS})

    def _count_restart(self) -> None:
        self._db.set_numbers({"restarts": self.number("restarts") + 1})

    def _clear_payloads(self) -> None:
        with storage_errors(self.path):
            self._payloads.clear()
        self._unsynced_bytes = 0

    def _forget(self, *tables: str) -> None:
        for table in tables:
            self._db.execute(f"DELETE FROM {table}")

    def _set_out(self, facts: RunFacts, plan: Plan) -> None:
        self._db.set_value("facts", json.dumps(asdict(facts)))
        self._db.execute_each(
            "INSERT INTO stretches (stretch, entry, planned_pages, after_id) VALUES (?, ?, ?, ?)",
            [(i, s.entry, s.pages, s.after) for i, s in enumerate(plan.stretches)],
        )

    def _insert(self, entry: Entry, payload: bytes | memoryview, counters: Mapping[str, int]) -> None:
        record = entry.record
        place = self._payloads.append(payload)
        values = [getattr(record, name) for name in RECORD_FIELDS]
        values += [token_hash(record.token), place.at, place.size, place.checksum]
        values += [counters.get(name, 0) for name in COUNTERS]
        try:
            page = self._db.execute(INSERT_PAGE, values).lastrowid
        except NotUnique:
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
        self._keep_counters()
        chosen = "SELECT page FROM pages WHERE stretch = ? AND sequence >= ?"
        self._db.execute(f"DELETE FROM rejects WHERE page IN ({chosen})", (stretch, sequence))
        self._db.execute("DELETE FROM pages WHERE stretch = ? AND sequence >= ?", (stretch, sequence))
        # SQLite gives the number of a last page that is gone to the next one, which is not synced.
        self._db.set_numbers({"synced_page": min(self.number("synced_page"), self._last_page())})


def _is_one_row(entries: Sequence[Entry]) -> bool:
    return len(entries) == 1 and entries[0].first_ids is None and not entries[0].encoded.rejects
