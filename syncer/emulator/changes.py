"""The users as they stand now: the population under the changes made while the emulator runs.
Pure: no I/O, no clock of its own; memory is proportional to the changes, not to the users.
"""

import random
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import merge
from itertools import islice

from syncer.emulator.population import START_MS, STEP_MS, Fields, Population, Style, fields_of, id_of_row, make_id

Keyed = tuple[str, bytes]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows that follow each other in the list. `keys` is None where each row's key is its id."""

    rows: list[bytes]
    keys: list[str] | None = None

    def key(self, index: int) -> str:
        """The place of the row at `index` in the list's order."""
        return id_of_row(self.rows[index]) if self.keys is None else self.keys[index]


class Users:
    """A population with an overlay of created, deleted and updated users. A row's key is its place in the list: its id,
    unless `reorder_on_update` moved it to the newest end.

    `deleted`: `listed` keeps a deleted user in the list with `deletedAt`, `hidden` only in fetch, `gone` nowhere.
    """

    def __init__(
        self,
        population: Population,
        style: Style,
        seed: int = 0,
        *,
        deleted: str = "listed",
        new_ids: str = "newest",
        reorder_on_update: bool = False,
        clock_ms: Callable[[], int] | None = None,
    ) -> None:
        """``clock_ms`` dates the changes, in milliseconds since 1970; without it each is a second after the last."""
        self._clock_ms = clock_ms
        self._population = population
        self._style = style
        self._deleted = deleted
        self._new_ids = new_ids
        self._reorder = reorder_on_update
        self._random = random.Random(f"{seed}:changes")
        self._now_ms = population.settled_ms
        self._quiet_ms = self._now_ms - START_MS - max(1, population.users) * STEP_MS
        """Between the last user that was created and the first change; no id is of that time."""
        self._removed: list[int] = []  # positions of the population that are no longer listed there
        self._replaced: dict[int, bytes] = {}
        self._touched: list[int] = []  # positions in either of the two above, sorted
        self._keys: list[str] = []  # keys of rows that are not the population's, sorted
        self._inserted: dict[str, bytes] = {}
        self._place: dict[str, str] = {}  # id to key, for the inserted rows
        self._tombstones: dict[str, bytes] = {}
        self._deleted_ids: set[str] = set()

    def __len__(self) -> int:
        return self._population.users - len(self._removed) + len(self._keys)

    # Reading ---------------------------------------------------------------------------------------------------------

    def get(self, identity: str) -> bytes | None:
        """The user as fetch shows it, or None."""
        place = self._place.get(identity)
        if place is not None:
            return self._inserted[place]
        if identity in self._tombstones:
            return self._tombstones[identity]
        position = self._population.find(identity)
        if position is None or self._is_removed(position):
            return None
        return self._replaced.get(position) or self._population.row(position)

    def was_deleted(self, identity: str) -> bool:
        """Whether the user was deleted, by the API or before the start."""
        row = self.get(identity)
        return identity in self._deleted_ids or (row is not None and fields_of(row).deleted_at is not None)

    def read(self, key: str, limit: int, *, rising: bool = True, inclusive: bool = False) -> Stretch:
        """Up to `limit` rows behind `key` (or from it on, if inclusive), in rising or falling order of their keys."""
        if limit <= 0:
            return Stretch([])
        rows = self._untouched(key, limit, rising, inclusive)
        if rows is not None:
            return Stretch(rows)
        keyed = list(islice(self._merged(key, rising, inclusive), limit))
        return Stretch([row for _, row in keyed], [key for key, _ in keyed])

    def read_from(self, offset: int, limit: int) -> list[bytes]:
        """The rows at `offset` to `offset + limit - 1`, counted from the oldest."""
        low, high = 0, self._population.users
        while low < high:  # the last position of the population with no more than `offset` rows before it
            middle = (low + high + 1) // 2
            if self._rows_before(middle) <= offset:
                low = middle
            else:
                high = middle - 1
        skip = offset - self._rows_before(low)
        return self.read(self._population.floor(low), skip + limit, inclusive=True).rows[skip:]

    def all(self) -> Iterator[bytes]:
        """Every listed user, in the order of ids."""
        if not self._reorder:
            return (row for _, row in self._merged("", True, True))
        moved = sorted((id_of_row(row), row) for row in self._inserted.values())
        return (row for _, row in merge(self._base("", True, True), moved))

    # Changing --------------------------------------------------------------------------------------------------------

    def create(self, count: int) -> list[str]:
        """New users; their ids."""
        return [self._create() for _ in range(count)]

    def delete(self, identity: str) -> bool:
        """Mark or remove a user; whether there was one that was not deleted yet."""
        row = self.get(identity)
        if row is None or identity in self._tombstones:
            return False
        fields = fields_of(row)
        if fields.deleted_at is not None:
            return False
        self._deleted_ids.add(identity)
        now = self._style.time(self._tick())
        dead = Fields(identity, fields.created_at, now, now).row(self._style)
        if self._deleted == "listed":
            self._replace(identity, dead)
            return True
        self._remove(identity)
        if self._deleted == "hidden":
            self._tombstones[identity] = dead
        return True

    def update(self, identity: str) -> bool:
        """Give a user a newer `updatedAt`; whether there was one."""
        row = self.get(identity)
        if row is None or identity in self._tombstones:
            return False
        fields = fields_of(row)
        ms = self._tick()
        fresh = Fields(identity, fields.created_at, self._style.time(ms), fields.deleted_at).row(self._style)
        if self._reorder:
            self._remove(identity)
            self._insert(make_id(ms, self._random.getrandbits(80)), identity, fresh)
        else:
            self._replace(identity, fresh)
        return True

    def some_id(self) -> str | None:
        """The id of a listed user, any with about the same chance; None if there is none."""
        total = len(self)
        rows = self.read_from(self._random.randrange(total), 1) if total else []
        return id_of_row(rows[0]) if rows else None

    def _create(self) -> str:
        now = ms = self._tick()
        if self._new_ids == "random":
            ms = START_MS + self._random.randrange(max(1, ms - self._quiet_ms - START_MS))
        identity = make_id(ms, self._random.getrandbits(80))
        written = self._style.time(now)
        self._insert(identity, identity, Fields(identity, written, written, None).row(self._style))
        return identity

    def _tick(self) -> int:
        self._now_ms = self._now_ms + 1000 if self._clock_ms is None else max(self._now_ms + 1, self._clock_ms())
        return self._now_ms

    def _insert(self, key: str, identity: str, row: bytes) -> None:
        insort(self._keys, key)
        self._inserted[key] = row
        self._place[identity] = key

    def _replace(self, identity: str, row: bytes) -> None:
        place = self._place.get(identity)
        if place is not None:
            self._inserted[place] = row
            return
        position = self._known(identity)
        if position not in self._replaced:
            insort(self._touched, position)
        self._replaced[position] = row

    def _remove(self, identity: str) -> None:
        place = self._place.pop(identity, None)
        if place is not None:
            del self._inserted[place]
            del self._keys[bisect_left(self._keys, place)]
            return
        position = self._known(identity)
        if self._replaced.pop(position, None) is None:
            insort(self._touched, position)
        insort(self._removed, position)

    def _known(self, identity: str) -> int:
        position = self._population.find(identity)
        assert position is not None, "only a user that exists is changed"
        return position

    # Order -----------------------------------------------------------------------------------------------------------

    def _is_removed(self, position: int) -> bool:
        at = bisect_left(self._removed, position)
        return at < len(self._removed) and self._removed[at] == position

    def _rows_before(self, position: int) -> int:
        inserted = bisect_left(self._keys, self._population.floor(position)) if self._keys else 0
        return position - bisect_left(self._removed, position) + inserted

    def _bounds(self, key: str, rising: bool, inclusive: bool) -> int:
        """The first position to read: rising from it on, or falling from the one before it."""
        at = self._population.position_from(key) if key else 0
        found = at < self._population.users and bool(key) and self._population.id_at(at) == key
        return at + 1 if found and rising != inclusive else at

    def _untouched(self, key: str, limit: int, rising: bool, inclusive: bool) -> list[bytes] | None:
        """The fast path: a stretch of the population in which nothing changed, or None."""
        at = self._bounds(key, rising, inclusive)
        low, high = (at, at + limit) if rising else (at - limit, at)
        if (
            low < 0
            or high > self._population.users
            or bisect_left(self._touched, low) != bisect_left(self._touched, high)
        ):
            return None
        rows = self._population.rows(low, high)
        if self._keys:
            first, last = id_of_row(rows[0]), id_of_row(rows[-1])
            edges = (min(key, first), last) if rising else (first, max(key, last))
            if bisect_left(self._keys, edges[0]) != bisect_right(self._keys, edges[1]):
                return None
        if not rising:
            rows.reverse()
        return rows

    def _merged(self, key: str, rising: bool, inclusive: bool) -> Iterator[Keyed]:
        return merge(self._base(key, rising, inclusive), self._overlay(key, rising, inclusive), reverse=not rising)

    def _overlay(self, key: str, rising: bool, inclusive: bool) -> Iterator[Keyed]:
        side = bisect_left if rising == inclusive else bisect_right
        at = side(self._keys, key)
        for place in self._keys[at:] if rising else reversed(self._keys[:at]):
            yield place, self._inserted[place]

    def _base(self, key: str, rising: bool, inclusive: bool) -> Iterator[Keyed]:
        at = self._bounds(key, rising, inclusive)
        for position in range(at, self._population.users) if rising else range(at - 1, -1, -1):
            row = self._replaced.get(position)
            if row is not None:
                yield id_of_row(row), row
            elif not self._is_removed(position):
                row = self._population.row(position)
                yield id_of_row(row), row
