"""A page index without the users that are erased, such that it still proves what it proved. Pure: no I/O.

A border id that goes is replaced by a mark that sorts exactly where it stood: the id before it with a tail. So pages
overlap, meet and follow each other as they did. Digests are made again where they could be checked before.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from syncer.model import PageRecord, Token
from syncer.snapshot.columns import digest_ids
from syncer.snapshot.erased_ids import ids_in_token

MARK = "~"
"""Sorts after every character of an id."""
FIRST_MARK = "!"
"""For what stood before the first id: sorts before every character of an id."""
TOKEN_MARK = "erased-"


@dataclass(slots=True)
class _Page:
    """A page on which an erased user may stand. Its ids are kept until its range has passed, or holds too many."""

    min_id: str
    max_id: str
    digest: bytes
    users: int
    """Users that it served, rejects not counted."""
    ids: list[str] = field(default_factory=list)
    overlaps: bool = False
    """Whether more rows lie in its range than it served: its digest proves nothing, here and for ``verify``."""
    held: frozenset[str] = frozenset()
    """Erased users that stand on it, where that is known."""
    taken: int = 0
    """Erased users that are taken from its number."""

    def add(self, ids: list[str]) -> None:
        """The next rows of its range."""
        self.overlaps = self.overlaps or len(self.ids) + len(ids) > self.users
        self.ids = [] if self.overlaps else self.ids + ids

    def close(self, held: frozenset[str]) -> None:
        """All rows of its range have passed."""
        self.overlaps = self.overlaps or digest_ids(self.ids) != self.digest
        if not self.overlaps:
            self.digest = digest_ids([i for i in self.ids if i not in held])
            self.held = held.intersection(self.ids)
        self.ids = []


class ErasedPages:
    """``note`` every record, ``see`` every id in order, then ``changed`` gives each record as it is to be kept.

    Memory grows with the erased users and the pages on which they may stand.
    """

    def __init__(self, held: Iterable[str]) -> None:
        self._held = sorted(held)
        self._is_held = frozenset(self._held)
        self._marked = 0
        self._marks: dict[str, str] = {}
        self._pages: dict[tuple[int, int], _Page] = {}
        self._ahead: list[_Page] | None = None
        self._open: list[_Page] = []
        self._tokens: dict[str, Token] = {}
        self._before = ""
        self._rows: set[str] = set()
        """Erased users that were met, and are to be taken from one page each."""
        self._is_assigned = False

    def note(self, record: PageRecord) -> None:
        """A record of the index, in any order; all of them before the first id."""
        if record.min_id is None or record.max_id is None:
            return
        if bisect_left(self._held, record.min_id) < bisect_right(self._held, record.max_id):
            page = _Page(record.min_id, record.max_id, record.digest, record.users - record.rejects)
            self._pages[record.stretch, record.sequence] = page

    def see(self, ids: list[str]) -> None:
        """The next ids of the snapshot, erased ones included, ascending."""
        if not ids:
            return
        self._mark_up_to(ids)
        for page in self._opened(ids[-1]):
            page.add(ids[bisect_left(ids, page.min_id) : bisect_right(ids, page.max_id)])
        self._close([page for page in self._open if page.overlaps or page.max_id <= ids[-1]])

    def changed(self, record: PageRecord) -> PageRecord:
        """The record without the erased users."""
        if not self._is_assigned:
            self._close(self._open)
            self._assign()
        page = self._pages.get((record.stretch, record.sequence))
        return replace(
            record,
            users=record.users - page.taken if page else record.users,
            digest=page.digest if page else record.digest,
            token=self._token(record.token),
            next=self._token(record.next),
            first_id=self._id(record.first_id),
            last_id=self._id(record.last_id),
            min_id=self._id(record.min_id),
            max_id=self._id(record.max_id),
            stitch_id=self._id(record.stitch_id),
        )

    def _opened(self, last: str) -> list[_Page]:
        """Pages whose range begins up to an id and has not ended before."""
        if self._ahead is None:
            self._ahead = sorted(self._pages.values(), key=lambda page: page.min_id, reverse=True)
        while self._ahead and self._ahead[-1].min_id <= last:
            self._open.append(self._ahead.pop())
        return self._open

    def _close(self, pages: list[_Page]) -> None:
        for page in pages:
            page.close(self._is_held)
        if pages:
            done = set(map(id, pages))
            self._open = [page for page in self._open if id(page) not in done]

    def _mark_up_to(self, ids: list[str]) -> None:
        """Every erased id that is not after the last of these gets its mark: the last kept id before it, and a tail."""
        for erased in self._held[self._marked : bisect_right(self._held, ids[-1])]:
            at = bisect_left(ids, erased)
            if ids[at] == erased:
                self._rows.add(erased)
            self._set_mark(erased, self._kept_before(ids, at))
        self._before = self._kept_before(ids, len(ids))

    def _kept_before(self, ids: list[str], at: int) -> str:
        while at and ids[at - 1] in self._is_held:
            at -= 1
        return ids[at - 1] if at else self._before

    def _set_mark(self, erased: str, before: str) -> None:
        self._marks[erased] = f"{before}{MARK if before else FIRST_MARK}{self._marked:08d}"
        self._marked += 1

    def _id(self, user_id: str | None) -> str | None:
        if user_id is None:
            return None
        user_id, mark, tail = user_id.partition(MARK)  # the one before it may be erased later than it was
        if user_id not in self._is_held:
            return user_id + mark + tail
        for erased in self._held[self._marked :]:  # those after the last row of the snapshot
            self._set_mark(erased, self._before)
        return self._marks[user_id] + mark + tail

    def _token(self, token: Token | None) -> Token | None:
        """A token that names an erased user, as it is or in base64, is replaced; the same one always by the same."""
        if token is None or self._is_held.isdisjoint(ids_in_token(token)):
            return token
        return self._tokens.setdefault(token, Token(f"{TOKEN_MARK}{len(self._tokens)}"))

    def _assign(self) -> None:
        """Take each erased row from one page, even if two served it: how many were served twice stays as it is.

        Where nobody knows on which of several pages a user stands, it goes to the one whose range ends first: so none
        is left over, as each did stand on one of them.
        """
        self._is_assigned = True
        for page in self._pages.values():
            page.taken = len(page.held & self._rows)
            self._rows -= page.held
        ahead = sorted((p.min_id, p.max_id, place) for place, p in self._pages.items() if p.overlaps)
        ahead.reverse()
        candidates: list[tuple[str, tuple[int, int]]] = []
        for erased in sorted(self._rows):
            while ahead and ahead[-1][0] <= erased:
                heapq.heappush(candidates, ahead.pop()[1:])
            while candidates and (candidates[0][0] < erased or not self._take(candidates[0][1])):
                heapq.heappop(candidates)
        self._rows.clear()

    def _take(self, place: tuple[int, int]) -> bool:
        """Take one more user from a page, unless all that it served are taken."""
        page = self._pages[place]
        if page.taken == page.users:
            return False
        page.taken += 1
        return True


def usable_entries(records: Iterable[PageRecord]) -> Iterator[PageRecord]:
    """Records as the next run may use them: a token of ours in the place of one that named a user is none."""
    return (replace(r, token=None) if r.token and r.token.startswith(TOKEN_MARK) else r for r in records)
