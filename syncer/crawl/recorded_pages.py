"""The pages that a spool holds, and all that is asked of them afterwards. Changes none of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from syncer.crawl.payload_file import PayloadFile
from syncer.crawl.spool_database import SpoolDatabase, storage_errors
from syncer.crawl.spool_tables import BY_MIN_ID, COLUMNS, SORTED_COLUMNS, STRETCHES, SortedPage, sorted_page, stretch_of
from syncer.crawl.stretch import Stretch
from syncer.errors import StorageFailed
from syncer.model import PageRecord, Reject


class RecordedPages:
    """One account's pages, as far as they are recorded."""

    def __init__(self, db: SpoolDatabase, payloads: PayloadFile) -> None:
        self._db = db
        self._payloads = payloads
        self._is_indexed = False

    def stretches(self) -> list[Stretch]:
        """Every stretch as it stands, ready to go on."""
        return [stretch_of(row) for row in self._db.execute(STRETCHES)]

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
        self._index()
        return self._sorted("min_id IS NOT NULL ORDER BY min_id, page")

    def pages_around(self, user_id: str) -> Iterator[SortedPage]:
        """Pages whose range of ids holds an id: the only ones where the user can be."""
        self._index()
        return self._sorted("min_id <= ?1 AND max_id >= ?1", user_id)

    def page_not_after(self, user_id: str) -> PageRecord | None:
        """The page with the largest min id that is not after an id: the user's own, or the one it would follow."""
        self._index()
        rows = self._db.execute(
            f"SELECT {COLUMNS} FROM pages WHERE min_id <= ? ORDER BY min_id DESC LIMIT 1", (user_id,)
        )
        return next((PageRecord(*row) for row in rows), None)

    def stored_page(self, stretch: int, sequence: int) -> SortedPage | None:
        """One page that holds users, by its place."""
        return next(self._sorted("stretch = ? AND sequence = ? AND min_id IS NOT NULL", stretch, sequence), None)

    def payload(self, page: SortedPage) -> bytes:
        """A page's columns as they were packed. Raises StorageFailed when they are damaged."""
        with storage_errors(self._db.path):
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

    def largest_page_size(self) -> int:
        """The most users that a recorded page was asked for; 0 without pages."""
        return int(self._db.execute("SELECT coalesce(max(page_size), 0) FROM pages").fetchone()[0])

    def _index(self) -> None:
        if not self._is_indexed:
            with self._db.transaction():
                self._db.execute(BY_MIN_ID)
            self._is_indexed = True

    def _sorted(self, condition: str, *values: object) -> Iterator[SortedPage]:
        return map(sorted_page, self._db.execute(f"SELECT {SORTED_COLUMNS} FROM pages WHERE {condition}", values))


def rejects_lines(rejects: Iterable[Reject]) -> Iterator[bytes]:
    """The rejects file: NDJSON of ``reason`` and the user as served."""
    for reject in rejects:
        yield b'{"reason":%s,"user":%s}\n' % (json.dumps(reject.reason).encode(), reject.body)
