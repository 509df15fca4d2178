"""Do page tokens name places in the list? Asked after the walk of a few pages that it has met. Pure: no I/O, no clock.

A token that is an offset walks without a sign over users that slid past it when others before them were deleted. Asked
once more, a page then holds users that cannot stand there if its token names a place.

Only users older than the run bear witness; against another page only those that were not updated since it began either:
they neither came nor moved meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

PAGES_FEW = 16
"""So many pages of a short list are asked again: all of most."""
LIST_IS_LONG = 200
"""From so many pages on the requests must not count: 2 % of the pages, within the bounds below."""
LONG_PAGES_MIN, LONG_PAGES_MAX = 8, 32
FOLLOW_UPS_MAX = 4

Place = tuple[int, int, int]
"""Where a user was met: stretch, sequence of the page, row."""


@dataclass(frozen=True, slots=True)
class Glance:
    """A page that was asked for again, and whom it held then."""

    stretch: int
    sequence: int
    ids: tuple[str, ...]
    old: frozenset[str]
    """Created before the run."""
    settled: frozenset[str]
    """Of these, the ones last updated before the run."""
    is_follow_up: bool = False
    """Asked for after all that are not had been answered."""


def choose_pages(lengths: Mapping[int, int]) -> list[tuple[int, int]]:
    """Pages to ask for again, evenly spread: (stretch, sequence). ``lengths`` holds the pages of each stretch."""
    total = sum(lengths.values())
    count = min(total, PAGES_FEW)
    if total >= LIST_IS_LONG:
        count = min(max(total // 50, LONG_PAGES_MIN), LONG_PAGES_MAX)
    wanted = [(2 * n + 1) * total // (2 * count) for n in range(count)]
    chosen, before = [], 0
    for stretch, length in sorted(lengths.items()):
        chosen += [(stretch, position - before) for position in wanted if before <= position < before + length]
        before += length
    return chosen


def follow_ups(first: Iterable[tuple[Glance, str | None]]) -> list[tuple[int, int]]:
    """Pages whose answer can tell a deleted user from one that slid to the page before: (stretch, sequence).

    Takes each page with its first user as the walk met it. Where that one is missing, the page before it must not have
    it.
    """
    doubtful = [
        (glance.stretch, glance.sequence - 1)
        for glance, first_id in first
        if glance.sequence > 0 and glance.ids and first_id is not None and first_id not in glance.ids
    ]
    step = max(1, -(-len(doubtful) // FOLLOW_UPS_MAX))
    return doubtful[::step]


def judge_places(glances: Sequence[Glance], stored: Mapping[str, Sequence[Place]]) -> str:
    """Why tokens cannot name places, in words; empty when nothing speaks against it.

    ``stored`` says where the walk met a user, with nothing for one that it met nowhere. A user that was not looked for
    is left out of it.
    """
    for glance in glances:
        for user_id in glance.ids:
            if user_id in glance.old and user_id in stored and (fault := _fault(glance, user_id, stored[user_id])):
                return fault
    pages = {(glance.stretch, glance.sequence): glance for glance in glances if not glance.is_follow_up}
    for before in glances:
        page = pages.get((before.stretch, before.sequence + 1))
        if before.is_follow_up and page is not None and _slid(page, before, stored):
            return (
                f"a user of page {page.sequence} of stretch {page.stretch} stands on the page before it now, and the"
                " token of its page no longer leads to it"
            )
    return ""


def _fault(glance: Glance, user_id: str, places: Sequence[Place]) -> str:
    where = f"page {glance.sequence} of stretch {glance.stretch}"
    if not places:
        return f"asked again, {where} holds a user older than the run that the walk never met"
    is_behind = all(stretch == glance.stretch and sequence < glance.sequence for stretch, sequence, _ in places)
    if is_behind and user_id in glance.settled:
        return f"asked again, {where} holds a user that the walk met on an earlier page"
    return ""


def _slid(page: Glance, before: Glance, stored: Mapping[str, Sequence[Place]]) -> bool:
    """Whether a user between the page's token and a user that the page still held was left out by it, and is there.

    ``before`` is the page before it, asked for later: whom it holds and who was settled then existed all the while.
    """
    start = (page.stretch, page.sequence, 0)
    held = [_place_from(start, stored.get(i, ())) for i in page.ids if i in page.settled]
    first = next((place for place in held if place is not None), None)
    if first is None:
        return False
    for user_id in before.settled.difference(page.ids):
        place = _place_from(start, stored.get(user_id, ()))
        if place is not None and place < first:
            return True
    return False


def _place_from(start: Place, places: Sequence[Place]) -> Place | None:
    """A user's only place, if it is in the same stretch and not before ``start``."""
    if len(places) == 1 and places[0][0] == start[0] and places[0] >= start:
        return places[0]
    return None
