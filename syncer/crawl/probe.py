"""Do page tokens name places in the list? Asked after the walk of pages that it has met. Pure: no I/O, no clock.

A token that is an offset walks without a sign over users that slid past it when others before them were deleted. Asked
once more, pages then hold users that cannot stand there if a token names a place.

Three kinds of witness: a user older than the run whom the walk never met; one that stands on a later page than it was
met on; one that slid to the page before while its own page's token leads past it. A user that was met bears witness
while its row is the same as then: it did not move. A user that was never met does where it is known to have existed
when the walk asked for its place, by the service's own clock: users that the walk had met by then are dated later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

PAGES_WHOLE = 64
"""A list of so few pages is asked for again as a whole: a second look costs little, and shows nearly all there is."""
PAGES_FEW = 16
"""So many pages of a longer one."""
LIST_IS_LONG = 200
"""From so many pages on the requests must not count: one page in so many, within the bounds below."""
LONG_SHARE, LONG_PAGES_MIN, LONG_PAGES_MAX = 50, 8, 32
LONG_SHARE_ALONE, LONG_PAGES_MIN_ALONE = 100, 4
"""Where one request at a time is allowed, each of them is waited for."""
PAGES_STILL, PAGES_TINY = 3, 8
"""Of a list without any sign of a change so few pages are asked for first; where they are as they were, that is all.
Not of a tiny one: it is asked for as a whole, whatever it shows."""
FOLLOW_UPS_MAX = 4
ANEW = -1
"""The stretch of pages that were asked for with new tokens, from the start of the list."""


@dataclass(frozen=True, slots=True)
class Met:
    """Where and how the walk met a user. Times in seconds since 1970."""

    stretch: int
    sequence: int
    row: int
    updated_at: float
    is_last: bool = False
    """Whether it was the last user of its page."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A user on a page that was asked for again."""

    id: str
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True)
class Glance:
    """A page that was asked for again, and whom it held then, in list order."""

    stretch: int
    sequence: int
    users: tuple[Seen, ...]
    sent: int = 0
    """Two numbers of one count: what was sent after another's answer saw a later state of the list."""
    answered: int = 0
    round: int = 0
    """All pages of a round were asked for together."""

    @property
    def place(self) -> tuple[int, int]:
        """Which page it is."""
        return self.stretch, self.sequence


P = TypeVar("P")
Walked = Mapping[str, Sequence[Met]]
"""Where the walk met a user, with nothing for one that it met nowhere. A user that was not looked for is left out."""
Clock = Mapping[tuple[int, int], float]
"""For pages, by (stretch, sequence): the service's clock had passed this when the walk asked for them."""


def choose_pages(lengths: Mapping[int, int], at_once: int) -> list[tuple[int, int]]:
    """Pages to ask for again, evenly spread: (stretch, sequence). ``lengths`` holds the pages of each stretch,
    ``at_once`` is how many requests there may be at the same time."""
    total = sum(lengths.values())
    count = total if total <= PAGES_WHOLE else PAGES_FEW
    if total >= LIST_IS_LONG:
        share, least = (LONG_SHARE, LONG_PAGES_MIN) if at_once > 1 else (LONG_SHARE_ALONE, LONG_PAGES_MIN_ALONE)
        count = min(max(total // share, least), LONG_PAGES_MAX)
    wanted = [(2 * n + 1) * total // (2 * count) for n in range(count)]
    chosen, before = [], 0
    for stretch, length in sorted(lengths.items()):
        chosen += [(stretch, position - before) for position in wanted if before <= position < before + length]
        before += length
    return chosen


def choose_few(pages: Sequence[P]) -> list[P]:
    """A few of these pages, given in list order, evenly spread. The first is left out: no token leads to it."""
    moved = pages[1:]
    count = min(PAGES_STILL, len(moved))
    return [moved[(2 * n + 1) * len(moved) // (2 * count)] for n in range(count)]


def follow_ups(first: Iterable[tuple[Glance, str | None]]) -> list[tuple[int, int]]:
    """Pages whose answer can tell a deleted user from one that slid to the page before: (stretch, sequence).

    Takes each page with its first user as the walk met it. Where that one is missing, the page before it must not have
    it.
    """
    doubtful = [
        (glance.stretch, glance.sequence - 1)
        for glance, first_id in first
        if glance.sequence > 0
        and glance.users
        and first_id is not None
        and all(user.id != first_id for user in glance.users)
    ]
    step = max(1, -(-len(doubtful) // FOLLOW_UPS_MAX))
    return doubtful[::step]


def judge_places(glances: Sequence[Glance], walked: Walked, clock: Clock, began: float) -> str:
    """Why tokens cannot name places, in words; empty when nothing speaks against it.

    ``began``: the service's clock had not passed this when the run's first request was answered.
    """
    faults = (_misplaced(glances, walked, began), _passed_over(glances, walked, clock), _slid(glances, walked))
    return next(chain.from_iterable(faults), "")


def _misplaced(glances: Iterable[Glance], walked: Walked, began: float) -> Iterator[str]:
    for glance in glances:
        for user in glance.users:
            met = walked.get(user.id)
            if met is None:
                continue
            if not met and user.created_at < began:
                yield f"asked again, {_where(glance)} holds a user older than the run that the walk never met"
            is_behind = all(m.stretch == glance.stretch and m.sequence < glance.sequence for m in met)
            if met and is_behind and _is_unchanged(user, met):
                yield f"asked again, {_where(glance)} holds a user that the walk met on an earlier page"


def _passed_over(glances: Iterable[Glance], walked: Walked, clock: Clock) -> Iterator[str]:
    """Users never met that stand between two that were: they belong to the page of one of these, or of both.

    When the walk asked for the earlier of these pages, the service's clock had passed their creation.
    """
    for view in _views(glances):
        met = [walked.get(user.id) for _, user in view]
        for at, (glance, user) in enumerate(view):
            if met[at] is None or met[at]:
                continue
            before = next((m[0] for m in reversed(met[:at]) if m), None)
            after = next((m[0] for m in met[at + 1 :] if m), None)
            if before and after and user.created_at < _asked_at(before, after, clock):
                yield f"asked again, {_where(glance)} holds a user between two that the walk met, who existed then"


def _views(glances: Iterable[Glance]) -> Iterator[list[tuple[Glance, Seen]]]:
    """Users of neighbouring pages that were asked for in one round, in list order."""
    view: list[tuple[Glance, Seen]] = []
    last: Glance | None = None
    for glance in sorted(glances, key=lambda g: (g.round, g.place)):
        if last and (glance.round, glance.stretch, glance.sequence) != (last.round, last.stretch, last.sequence + 1):
            yield view
            view = []
        view += [(glance, user) for user in glance.users]
        last = glance
    yield view


def _asked_at(before: Met, after: Met, clock: Clock) -> float:
    """The clock when the page was asked for to which a user between these two belongs, as far as it is known."""
    if before.stretch != after.stretch or not 0 <= after.sequence - before.sequence <= 1:
        return float("-inf")
    earlier = after if before.is_last else before
    return clock.get((earlier.stretch, earlier.sequence), float("-inf"))


def _where(glance: Glance) -> str:
    return f"page {glance.sequence} of stretch {glance.stretch}" if glance.stretch != ANEW else "the list"


def _slid(glances: Sequence[Glance], walked: Walked) -> Iterator[str]:
    """A user between a page's token and a user that the page still held was left out by it, and is there.

    It is seen on the page before, asked for after the answer to this one.
    """
    later: dict[tuple[int, int], list[Glance]] = {}
    for glance in glances:
        later.setdefault(glance.place, []).append(glance)
    for page in glances:
        for before in later.get((page.stretch, page.sequence - 1), ()):
            if before.sent > page.answered and _leaves_out(page, before, walked):
                yield (
                    f"a user of page {page.sequence} of stretch {page.stretch} stands on the page before it now, and"
                    " the token of its page no longer leads to it"
                )


def _leaves_out(page: Glance, before: Glance, walked: Walked) -> bool:
    first = next((m for user in page.users if (m := _met_from(page.place, user, walked))), None)
    if first is None:
        return False
    ids = {user.id for user in page.users}
    slid = (_met_from(page.place, user, walked) for user in before.users if user.id not in ids)
    return any(m is not None and (m.sequence, m.row) < (first.sequence, first.row) for m in slid)


def _met_from(start: tuple[int, int], user: Seen, walked: Walked) -> Met | None:
    """A user's only place, if it is in the same stretch and not before ``start``, and the user has not changed."""
    met = walked.get(user.id, ())
    is_one = len(met) == 1 and met[0].stretch == start[0] and met[0].sequence >= start[1]
    return met[0] if is_one and _is_unchanged(user, met) else None


def _is_unchanged(user: Seen, met: Iterable[Met]) -> bool:
    """Whether the row is one that the walk met: a user that was updated may have moved."""
    return any(m.updated_at == user.updated_at for m in met)
