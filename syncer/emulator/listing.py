"""One page of the list: which users it shows, and the tokens around it.
Pure: no I/O, no clock.
"""

from dataclasses import dataclass
from zlib import crc32

from syncer.emulator.changes import Stretch, Users
from syncer.emulator.tokens import NEWEST_KEY, OLDEST_KEY, Place


@dataclass(frozen=True, slots=True)
class Rules:
    """How the list behaves. `order` oldest|newest; `end` null|absent|empty|empty-page; shares are 0 to 1."""

    order: str = "oldest"
    by_offset: bool = False
    end: str = "null"
    short_pages: float = 0.0
    empty_pages: float = 0.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Slice:
    """The users of a page, where it starts, and where the next one starts; None at the end of the list."""

    rows: list[bytes]
    here: Place
    following: Place | None


def first_place(rules: Rules) -> Place:
    """Where the list starts."""
    if rules.by_offset:
        return Place(offset=0)
    return Place(key=OLDEST_KEY if rules.order == "oldest" else NEWEST_KEY)


def slice_at(users: Users, rules: Rules, place: Place, page_size: int) -> Slice:
    """The page at a place. Short and empty pages come at the same places every time, for the same seed."""
    if not place.passed and _chance(rules, "empty", place) < rules.empty_pages:
        return Slice([], place, Place(place.key, place.offset, passed=True))
    size = page_size
    if page_size > 1 and _chance(rules, "short", place) < rules.short_pages:
        size = 1 + int(_chance(rules, "size", place) * (page_size - 1))
    found = _read(users, rules, place, size + 1)
    rows = found.rows[:size]
    ended = not rows if rules.end == "empty-page" else len(found.rows) <= size
    if ended:
        return Slice(rows, place, None)
    if place.offset is not None:
        return Slice(rows, place, Place(offset=place.offset + len(rows)))
    return Slice(rows, place, Place(key=found.key(len(rows) - 1)))


def place_before(users: Users, rules: Rules, place: Place, count: int) -> Place | None:
    """The place `count` rows before this one; None if there are not so many."""
    if place.offset is not None:
        return Place(offset=place.offset - count) if place.offset >= count else None
    rising = rules.order == "oldest"
    found = users.read(place.key, count + 1, rising=not rising, inclusive=True)
    if len(found.rows) < count:
        return None
    return Place(key=found.key(count)) if len(found.rows) > count else first_place(rules)


def _read(users: Users, rules: Rules, place: Place, limit: int) -> Stretch:
    rising = rules.order == "oldest"
    if place.offset is None:
        return users.read(place.key, limit, rising=rising)
    if rising:
        return Stretch(users.read_from(place.offset, limit))
    stop = max(0, len(users) - place.offset)
    start = max(0, stop - limit)
    return Stretch(users.read_from(start, stop - start)[::-1] if stop else [])


def _chance(rules: Rules, use: str, place: Place) -> float:
    return crc32(f"{rules.seed}:{use}:{place.key}:{place.offset}".encode()) / 2**32
