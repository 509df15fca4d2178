"""A page index without the users that are erased, such that it still proves what it proved. Pure: no I/O.

A border id that goes is replaced by a mark that sorts exactly where it stood: the id before it with a tail. So pages
overlap, meet and follow each other as they did. Digests are made again where they could be checked before.
"""

from __future__ import annotations

from base64 import b64decode
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from syncer.model import PageRecord, Token
from syncer.snapshot.columns import digest_ids

MARK = "~"
"""Sorts after every character of an id."""
FIRST_MARK = "!"
"""For what stood before the first id: sorts before every character of an id."""
TOKEN_MARK = "erased-"


@dataclass(slots=True)
class _Page:
    """A page on which an erased user may stand."""

    min_id: str
    max_id: str
    digest: bytes
    users_max: int
    ids: list[str] = field(default_factory=list)


class ErasedPages:
    """``note`` every record, ``see`` every id in order, then ``changed`` gives each record as it is to be kept."""

    def __init__(self, held: Iterable[str]) -> None:
        self._held = sorted(held)
        self._marks: dict[str, str] = {}
        self._pages: dict[tuple[int, int], _Page] = {}
        self._tokens: dict[str, Token] = {}
        self._before = ""
        self._uncounted: set[str] | None = None
        self._rows: set[str] = set()

    def note(self, record: PageRecord) -> None:
        """A record of the index, in any order."""
        if record.min_id is None or record.max_id is None:
            return
        if bisect_left(self._held, record.min_id) < bisect_right(self._held, record.max_id):
            page = _Page(record.min_id, record.max_id, record.digest, record.users - record.rejects)
            self._pages[record.stretch, record.sequence] = page

    def see(self, ids: list[str]) -> None:
        """The next ids of the snapshot, erased ones included, ascending."""
        self._mark_up_to(ids)
        for page in self._pages.values():
            begin, end = bisect_left(ids, page.min_id), bisect_right(ids, page.max_id)
            if begin < end and len(page.ids) <= page.users_max:  # more than it served: it overlaps others
                page.ids += ids[begin:end]

    def changed(self, record: PageRecord) -> PageRecord:
        """The record without the erased users."""
        users, digest = self._without(record)
        return replace(
            record,
            users=users,
            digest=digest,
            token=self._token(record.token),
            next=self._token(record.next),
            first_id=self._id(record.first_id),
            last_id=self._id(record.last_id),
            min_id=self._id(record.min_id),
            max_id=self._id(record.max_id),
            stitch_id=self._id(record.stitch_id),
        )

    def _mark_up_to(self, ids: list[str]) -> None:
        """Every erased id that is not after the last of these gets its mark."""
        kept = [i for i in ids if not _holds(self._held, i)]
        self._rows.update(i for i in ids if _holds(self._held, i))
        last = ids[-1] if ids else ""
        for erased in self._held[bisect_right(self._held, self._last_marked) : bisect_right(self._held, last)]:
            at = bisect_left(kept, erased)
            self._set_mark(erased, kept[at - 1] if at else self._before)
        self._before = kept[-1] if kept else self._before

    @property
    def _last_marked(self) -> str:
        return next(reversed(self._marks), "")

    def _set_mark(self, erased: str, before: str) -> None:
        self._marks[erased] = f"{before}{MARK if before else FIRST_MARK}{len(self._marks):08d}"

    def _id(self, user_id: str | None) -> str | None:
        if user_id is None:
            return None
        user_id, mark, tail = user_id.partition(MARK)  # the one before it may be erased later than it was
        if not _holds(self._held, user_id):
            return user_id + mark + tail
        for erased in self._held:  # those after the last row of the snapshot
            if erased not in self._marks:
                self._set_mark(erased, self._before)
        return self._marks[user_id] + mark + tail

    def _token(self, token: Token | None) -> Token | None:
        """A token that names an erased user, as it is or in base64, is replaced; the same one always by the same."""
        if token is None:
            return None
        if token not in self._tokens:
            text = token.encode() + _plain(token)
            names = any(erased.encode() in text for erased in self._held)
            self._tokens[token] = Token(f"{TOKEN_MARK}{len(self._tokens)}") if names else token
        return self._tokens[token]

    def _without(self, record: PageRecord) -> tuple[int, bytes]:
        """Users on the page, and their digest."""
        page = self._pages.get((record.stretch, record.sequence))
        if page is None:
            return record.users, record.digest
        if self._uncounted is None:
            self._uncounted = set(self._rows)
        kept = [i for i in page.ids if not _holds(self._held, i)]
        # Each user is taken from one page, even if two served it: how many were served twice stays as it is.
        if digest_ids(page.ids) == page.digest:
            mine = self._uncounted.intersection(page.ids)
            self._uncounted -= mine
            return record.users - len(mine), digest_ids(kept)
        # It overlaps others, so that its digest proves nothing; the user may be on any of them.
        between = [i for i in sorted(self._uncounted) if page.min_id <= i <= page.max_id][: page.users_max]
        self._uncounted -= set(between)
        return record.users - len(between), record.digest


def usable_entries(records: Iterable[PageRecord]) -> Iterator[PageRecord]:
    """Records as the next run may use them: a token of ours in the place of one that named a user is none."""
    return (replace(r, token=None) if r.token and r.token.startswith(TOKEN_MARK) else r for r in records)


def _holds(ordered: list[str], value: str) -> bool:
    at = bisect_left(ordered, value)
    return at < len(ordered) and ordered[at] == value


def _plain(token: str) -> bytes:
    """What a token says if it is base64: looked at for names only, no meaning is taken from it."""
    try:
        return b64decode(token + "=" * (-len(token) % 4), altchars=b"-_" if "-" in token or "_" in token else None)
    except ValueError:
        return b""
