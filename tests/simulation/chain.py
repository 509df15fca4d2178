"""Whether the page index of a snapshot is one walk, told from what the service served alone.

Shares no code with the product: a second reading of what a chain of pages is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.simulation.service import Served

COLUMNS = ["stretch", "sequence", "token", "next", "digest", "ending", "stitch"]
ServedPages = Mapping[tuple[str | None, bytes], Sequence[Served]]


class ChainBroken(Exception):
    """The pages are not one unbroken walk."""


@dataclass(frozen=True, slots=True)
class Row:
    """One page, as the index tells of it."""

    stretch: int
    sequence: int
    token: str | None
    next: str | None
    digest: bytes
    ending: str | None
    stitch: int | None


def read_rows(path: Path) -> list[Row]:
    """The page index."""
    table = pq.ParquetFile(pa.BufferReader(path.read_bytes())).read(COLUMNS, use_threads=False)
    return [Row(*row) for row in zip(*(table.column(name).to_pylist() for name in COLUMNS), strict=True)]


def users_of_one_walk(rows: Sequence[Row], served: ServedPages, first: int, last: int) -> set[str]:
    """The users of pages that are one walk, made between two requests. Raises ChainBroken.

    Within a stretch each page was asked with the ``next`` of the one before it, and served after it: rows of an earlier
    walk cannot stand behind rows of a later one. The first begins without a token, each leads to a later one, the last
    to the end of the list.
    """
    stretches = {stretch: list(pages) for stretch, pages in groupby(rows, key=lambda row: row.stretch)}
    users = {stretch: _users_of_stretch(pages, served, first, last) for stretch, pages in stretches.items()}
    at = 0
    if at not in stretches or stretches[at][0].token is not None:
        raise ChainBroken("the walk does not begin at the start of the list")
    while (end := stretches[at][-1]).ending != "end":
        at = _following(stretches, end, users)
    if end.next is not None:
        raise ChainBroken("the walk ends before the end of the list")
    return set().union(*users.values())


def _users_of_stretch(pages: Sequence[Row], served: ServedPages, first: int, last: int) -> set[str]:
    users: set[str] = set()
    at, expected = 0, pages[0].token
    for sequence, page in enumerate(pages):
        if page.sequence != sequence or page.token != expected:
            raise ChainBroken(f"page {page.sequence} of stretch {page.stretch} does not follow the one before it")
        known = served.get((page.token, page.digest), ())
        if not known:
            raise ChainBroken("the page index holds a page that was never served")
        later = [s for s in known if s.at > at and first <= s.requests <= last and s.next == page.next]
        if not later:
            raise ChainBroken(f"page {page.sequence} of stretch {page.stretch} was not served by this walk")
        at, expected = later[0].at, page.next
        users.update(later[0].ids)
    return users


def _following(stretches: Mapping[int, Sequence[Row]], end: Row, users: Mapping[int, set[str]]) -> int:
    at = end.stitch
    if at is None or at <= end.stretch or at not in stretches:
        raise ChainBroken(f"stretch {end.stretch} leads nowhere")
    if end.ending == "entry" and end.next != stretches[at][0].token:
        raise ChainBroken(f"stretch {end.stretch} does not reach the entry of stretch {at}")
    if end.ending == "met" and not users[end.stretch] & users[at]:
        raise ChainBroken(f"stretch {end.stretch} has no user in common with stretch {at}, which it met")
    return at
