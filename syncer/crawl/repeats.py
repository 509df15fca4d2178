"""What it means that a user was met on two pages. Pure: no I/O.

* Around a stitch two stretches overlap: expected. A stitch whose users were all updated between the two requests proves
  nothing: they may have moved there.
* A row that differs was updated between the two requests and took a new place: it moved. The newest is kept.
* An identical row twice within one stretch: the server repeated something, and what the repeat stood in for may be
  missing.
  That stretch is walked again once.
* An identical row in two stretches where no border is: places are not kept, and stitches prove nothing on such a list.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from syncer.crawl.stretch import Stretch
from syncer.model import PageRecord, RepeatedUsers

BORDER_PAGES = 3
"""A walker recognises the next stretch by its first users; should these be gone, it may need a page or two more."""


@dataclass(frozen=True, slots=True)
class Repeats:
    """The judgement over all pairs of pages."""

    overlap_users: int
    moved_users: int
    suspect_stretches: tuple[int, ...]
    """Stretches that hold an identical row twice."""
    unstable: str
    """Why places cannot have been kept, in words; empty when nothing speaks against it."""


def judge_repeats(
    pairs: Iterable[RepeatedUsers], last_pages: Mapping[int, PageRecord], path: Collection[int]
) -> Repeats:
    """Tell repeats apart. ``path`` holds the stretches that lead from the start of the list to its end."""
    overlap = moved = 0
    suspects: set[int] = set()
    unstable = ""
    met: dict[tuple[int, int], int] = {}
    for pair in pairs:
        if pair.stretch == pair.other_stretch:
            moved += pair.updated
            if pair.identical:
                suspects.add(pair.stretch)
        elif _is_border(pair, last_pages, path):
            overlap += pair.identical + pair.updated
            if pair.stretch in path and pair.other_stretch in path:
                border = (pair.stretch, pair.other_stretch)
                met[border] = met.get(border, 0) + pair.identical
        else:
            moved += pair.updated
            if pair.identical and not unstable:
                unstable = (
                    f"{pair.identical} users stand both on page {pair.sequence} of stretch {pair.stretch} and on page"
                    f" {pair.other_sequence} of stretch {pair.other_stretch}, where no border is"
                )
    for (stretch, other), identical in met.items():
        if not identical and not unstable:
            unstable = (
                f"stretch {stretch} met stretch {other} only at users that were updated meanwhile: they may have moved"
            )
    return Repeats(overlap, moved, tuple(sorted(suspects)), unstable)


def _is_border(pair: RepeatedUsers, last_pages: Mapping[int, PageRecord], path: Collection[int]) -> bool:
    if pair.stretch not in path or pair.other_stretch not in path:
        return True  # a stretch that another one covers is fetched twice as a whole
    last = last_pages[pair.stretch]
    if last.ending != "met" or last.sequence - pair.sequence >= BORDER_PAGES:
        return False
    if last.stitch == pair.other_stretch or last.stitch is None:
        return last.stitch is not None
    between = last_pages[last.stitch]  # where most of its users are gone, a page reaches over both its borders
    is_short = between.sequence < BORDER_PAGES and between.stitch == pair.other_stretch
    return is_short and pair.other_sequence < BORDER_PAGES


def find_displaced(stretches: Iterable[Stretch], last_pages: Mapping[int, PageRecord]) -> tuple[str, ...]:
    """Users after whom an entry stood last time, while tonight the same token follows another user.

    That is no fault in itself: the user may be gone. But one that is still in the list stands in another place, so the
    token
    does not name a place, and neither does any other.
    """
    after = {stretch.index: stretch.after for stretch in stretches}
    found = []
    for last in last_pages.values():
        expected = after.get(last.stitch) if last.ending == "entry" and last.stitch is not None else None
        if expected is not None and last.last_id not in (expected, None) and not last.rejects:
            found.append(expected)
    return tuple(found)
