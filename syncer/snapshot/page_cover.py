"""Do the users of a snapshot stand on the pages of its index, and are all the pages' users there? Pure: no I/O.

A page whose ids lie apart from every other page's can be proven by its digest. Pages that overlap (around a stitch, or
where a list is not in order of ids) can only be proven to span the users that lie there.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from syncer.snapshot.columns import digest_ids

FAULTS_MAX = 5


@dataclass(frozen=True, slots=True)
class PageSpan:
    """A page that holds users."""

    min_id: str
    max_id: str
    digest: bytes
    accepted: int
    """Users on it, repeats included, rejects not."""
    place: str
    """In words, for a message."""


@dataclass(frozen=True, slots=True)
class _Range:
    """Pages that overlap, or one that does not."""

    min_id: str
    max_id: str
    pages: int
    page: PageSpan


class PageCover:
    """Takes all ids in ascending order, a list at a time; then ``finish`` and look."""

    def __init__(self, spans: Iterable[PageSpan], repeats_max: int) -> None:
        """``spans`` by ``min_id``; ``repeats_max`` users may stand on a page twice, having moved meanwhile."""
        self.proven_pages = 0
        self.overlapping_pages = 0
        self.repeated_pages = 0
        self.users_off_pages = 0
        self.faults: list[str] = []
        self._repeats_left = repeats_max
        self._ranges = _ranges(spans)
        self._range = next(self._ranges, None)
        self._held: list[str] = []

    def add(self, ids: list[str]) -> None:
        """The next users."""
        at = 0
        while at < len(ids):
            if self._range is None:
                self.users_off_pages += len(ids) - at
                return
            start = bisect_left(ids, self._range.min_id, at)
            self.users_off_pages += start - at
            at = bisect_right(ids, self._range.max_id, start)
            if self._range.pages == 1:
                self._held += ids[start:at]
            if at < len(ids):
                self._next_range(self._range)

    def finish(self) -> None:
        """There are no more users."""
        while self._range is not None:
            self._next_range(self._range)

    def _next_range(self, done: _Range) -> None:
        if done.pages > 1:
            self.overlapping_pages += done.pages
        else:
            self._prove(done.page)
        self._held = []
        self._range = next(self._ranges, None)

    def _prove(self, page: PageSpan) -> None:
        missing = page.accepted - len(self._held)
        if digest_ids(self._held) == page.digest:
            self.proven_pages += 1
        elif 0 < missing <= self._repeats_left:
            self._repeats_left -= missing
            self.repeated_pages += 1
        elif len(self.faults) < FAULTS_MAX:
            self.faults.append(
                f"{page.place} held {page.accepted} users, and those between its ids are others ({len(self._held)})"
            )


def _ranges(spans: Iterable[PageSpan]) -> Iterator[_Range]:
    open_range: _Range | None = None
    for span in spans:
        if open_range is not None and span.min_id <= open_range.max_id:
            open_range = replace(open_range, max_id=max(open_range.max_id, span.max_id), pages=open_range.pages + 1)
            continue
        if open_range is not None:
            yield open_range
        open_range = _Range(span.min_id, span.max_id, 1, span)
    if open_range is not None:
        yield open_range
