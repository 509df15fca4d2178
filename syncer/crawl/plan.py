"""Which stretches a run walks. Pure: no I/O, no clock.

The entries come from the page index of the account's last complete snapshot: a token names a position in the list, and
most
likely still does a night later. Whatever an entry turns out to be worth, the walk and the proof stand without it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from syncer.model import PageRecord, Token

STRETCHES_PER_WALKER = 8
"""Small stretches balance the load by themselves: a walker that is done takes the next one."""
STRETCH_PAGES_MIN = 3
"""Each stitch can cost a page that is fetched twice, so a stretch is not shorter than this."""

BORDER_PAGES_MIN = 20
"""The same where each stitch does cost one: 5 % more requests than a sequential run. Never fewer stretches than walkers
for it: to have them walk is worth more."""


@dataclass(frozen=True, slots=True)
class PlannedStretch:
    """A stretch before its first page."""

    entry: Token | None
    """None: the start of the list."""
    pages: int | None
    """Pages between this entry and the next one, last time; None when nothing is known or nothing follows."""
    after: str | None = None
    """The user after whom the entry stood last time: a token that names a place names the same one tonight."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The stretches of a run in list order; the first entry is always "no token"."""

    stretches: tuple[PlannedStretch, ...]
    reason: str
    """Why the run is sequential, in words; empty when it is not."""


def plan_sequential(reason: str) -> Plan:
    """One stretch from the start of the list to its end."""
    return Plan((PlannedStretch(None, None),), reason)


def plan_stretches(
    previous: Iterable[PageRecord], *, pages_total: int, walkers: int, page_size: int, borders_cost: bool = False
) -> Plan:
    """Choose entries from the last page index, evenly by pages.

    ``previous`` comes in list order (stretch, sequence) and may be a stream of a million records: only the chosen
    entries are
    kept. The number of stretches is a multiple of ``walkers``, so that the last round of them is full, and the longer
    ones come first: whoever walks one of them is late for the last round and gets a shorter one there.
    ``borders_cost``: stretches do not end at an entry but at a user of the next one, on a page that is fetched twice.
    """
    if walkers < 2:
        return plan_sequential("one walker was asked for")
    rounds = min(STRETCHES_PER_WALKER, pages_total // (walkers * STRETCH_PAGES_MIN))
    if borders_cost and rounds:
        rounds = max(1, min(rounds, pages_total // (walkers * BORDER_PAGES_MIN)))
    count = walkers * rounds if rounds else pages_total // STRETCH_PAGES_MIN
    if count < 2:
        return plan_sequential("the list is too short to share")
    return _choose(previous, pages_total, count, page_size)


def _choose(previous: Iterable[PageRecord], pages_total: int, count: int, page_size: int) -> Plan:
    chosen: list[tuple[Token | None, int, str | None]] = [(None, 0, None)]
    before: PageRecord | None = None
    has_users = False  # since the last entry: two of one place would never meet
    seen: set[Token] = set()
    other_size = 0
    length, longer = divmod(pages_total, count)
    for position, record in enumerate(previous):
        # A token can be bound to the page size that it was made with: that of the page before it.
        fits = record.page_size == page_size and (before is None or before.page_size == page_size)
        other_size = record.page_size if record.page_size != page_size else other_size
        due = max(len(chosen) * length + min(len(chosen), longer), chosen[-1][1] + length)
        if position >= due and has_users and fits and record.token is not None and record.token not in seen:
            seen.add(record.token)
            chosen.append((record.token, position, _user_before(before, record.token)))
            has_users = False
        has_users |= record.users > 0
        before = record
    pages = [following[1] - here[1] for here, following in pairwise(chosen)]
    stretches = [
        PlannedStretch(entry, known, after) for (entry, _, after), known in zip(chosen, [*pages, None], strict=True)
    ]
    if len(stretches) < 2 and other_size:
        return plan_sequential(
            f"the last snapshot was crawled with {other_size} users a page, not {page_size};"
            f" page_size = {other_size} would let more walkers share the list"
        )
    if len(stretches) < 2:
        return plan_sequential("the last snapshot's page index holds no entries")
    return Plan(tuple(stretches), "")


def _user_before(before: PageRecord | None, token: Token) -> str | None:
    """The user after whom a token stands, where the page before it in the index is the one that named it: the last page
    of a stretch may reach over the start of the next one."""
    if before is None or before.next != token or before.rejects:
        return None
    return before.last_id
