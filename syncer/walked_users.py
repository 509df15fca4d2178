"""Where the walk met the users of some pages, read from the spool. Blocks; asks nothing of the service."""

from __future__ import annotations

from collections.abc import Iterable, Set
from itertools import islice
from typing import Any

from syncer.crawl.probe import Glance, Met, Seen
from syncer.crawl.spool import Spool
from syncer.crawl.spool_tables import SortedPage
from syncer.snapshot.payload import unpack

SETTLED_MARGIN_SECONDS = 600.0
"""Room for what a service's machines disagree on about the time."""
LOOKUPS_MAX = 16
"""Users looked for in the whole spool: those that were met neither on the same page nor on the ones beside it."""
LOOKUP_PAGES_MAX = 64
"""Pages read for one of them. In a list whose order is not that of ids all pages may hold it, and it bears no
witness."""


class WalkedUsers:
    """Pages of the spool, looked through for some users."""

    def __init__(self, spool: Spool, with_lines: bool, wanted: Set[str], latest: float) -> None:
        """``wanted``: ids of the users to look for. ``latest``: the service's clock has not passed this yet; a time
        beyond it says nothing of that clock."""
        self.found: dict[str, list[Met]] = {}
        """Where each of them was met; nothing for one that was looked for everywhere."""
        self._spool = spool
        self._with_lines = with_lines
        self._wanted = wanted
        self._latest = latest
        self._known: set[int] = set()
        self._newest: list[tuple[int, tuple[int, int], float]] = []
        """For each page read: its request number, its place, and its newest time."""

    def read_all(self) -> None:
        """Every page."""
        for page in self._spool.sorted_pages():
            self._read(page)
        for user_id in self._wanted:
            self.found.setdefault(user_id, [])

    def read_beside(self, glances: Iterable[Glance]) -> None:
        """The pages themselves, the ones beside them, and the starts of the stretches that they lead to."""
        for glance in glances:
            record = self._spool.page(*glance.place)
            near = [(glance.stretch, glance.sequence + step) for step in (-1, 0, 1)]
            for place in [*near, (record.stitch, 0)] if record and record.stitch is not None else near:
                if (page := self._spool.stored_page(*place)) is not None:
                    self._read(page)

    def look_up(self, ids: Iterable[str]) -> None:
        """Users met on none of these pages, in the whole spool: some of them, where few pages can hold them."""
        unknown = sorted({user_id for user_id in ids if user_id not in self.found})
        for user_id in unknown[:LOOKUPS_MAX]:
            pages = list(islice(self._spool.pages_around(user_id), LOOKUP_PAGES_MAX + 1))
            if len(pages) <= LOOKUP_PAGES_MAX:
                for page in pages:
                    self._read(page)
                self.found.setdefault(user_id, [])

    def clock(self) -> dict[tuple[int, int], float]:
        """What the service's clock had surely passed when the walk asked for each page."""
        passed, found = float("-inf"), {}
        for _, place, newest in sorted(self._newest):
            passed = max(passed, newest - SETTLED_MARGIN_SECONDS)
            found[place] = passed
        return found

    def _read(self, page: SortedPage) -> None:
        if page.page in self._known:
            return
        self._known.add(page.page)
        batch: Any = unpack(self._spool.payload(page), with_lines=self._with_lines)
        users = users_of(batch)
        times = (user.updated_at for user in users if user.updated_at <= self._latest)
        self._newest.append((page.asked, (page.stretch, page.sequence), max(times, default=float("-inf"))))
        for row, user in enumerate(users):
            if user.id in self._wanted:
                met = Met(page.stretch, page.sequence, row, user.updated_at, row == len(users) - 1)
                self.found.setdefault(user.id, []).append(met)


def users_of(batch: Any) -> list[Seen]:
    """The users of a page's columns, in list order; times in seconds since 1970."""
    created, updated = (batch.column(name).cast("int64").to_pylist() for name in ("created_at", "updated_at"))
    ids = batch.column("id").to_pylist()
    return [Seen(i, c / 1e6, u / 1e6) for i, c, u in zip(ids, created, updated, strict=True)]
