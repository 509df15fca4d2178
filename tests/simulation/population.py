"""The users of a simulated service: who there is, where each stands in the list, and everything each one ever was."""

from __future__ import annotations

import bisect
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache

from tests.simulation.scenario import DAY_SECONDS, Scenario


@dataclass(slots=True)
class User:
    """One user with its whole life, in request numbers; times in seconds since 1970."""

    id: str
    place: str
    created_at: int
    updated_at: int
    deleted_at: int | None
    born: int
    gone: int | None = None
    """The request number at which it left the list."""
    moved: list[int] = field(default_factory=list)
    """Request numbers at which it changed its place."""
    versions: list[tuple[int, int | None, int]] = field(default_factory=list)
    """Every (updated_at, deleted_at) it ever had, and the request number from which it had it."""

    def body(self) -> dict[str, object]:
        """As the service serves it."""
        deleted_at = None if self.deleted_at is None else show_time(self.deleted_at)
        times = {"createdAt": show_time(self.created_at), "updatedAt": show_time(self.updated_at)}
        return {"id": self.id, **times, "deletedAt": deleted_at}


class Population:
    """All users, and the list: (place, id), sorted."""

    def __init__(self, s: Scenario, rng: random.Random) -> None:
        self.s = s
        self.random = rng
        self.users: dict[str, User] = {}
        self.everyone: list[User] = []
        self.places: list[tuple[str, str]] = []
        self.changes = 0
        self._listed: list[tuple[str, str]] | None = None
        first_at = s.begins_at - max(30 * int(DAY_SECONDS), 1200 * s.users)
        for n in range(s.users):
            self._create(0, first_at + 1200 * n)

    def listed(self) -> list[tuple[str, str]]:
        """The list in the order in which it is served."""
        if not self.s.newest_first:
            return self.places
        if self._listed is None:
            self._listed = self.places[::-1]
        return self._listed

    def change(self, request: int, loop_seconds: float) -> None:
        """One change of the kind that happens while a list is read."""
        self._listed = None
        now = int(self.s.wall(loop_seconds))
        kind = self.random.choice(["create", "create", "delete", "delete", "update"])
        if kind == "create" or not self.users:
            self._create(request, now)
            return
        user = self.users[self.random.choice(self.places)[1]]
        if kind == "delete" and not self.s.tombstones:
            self.places.remove((user.place, user.id))
            del self.users[user.id]
            user.gone = request
            return
        user.updated_at = now
        if kind == "delete":
            user.deleted_at = now
        user.versions.append((user.updated_at, user.deleted_at, request))
        if self.s.moves_on_update:
            self.changes += 1
            self.places.remove((user.place, user.id))
            user.place = f"~{self.changes:012d}"
            user.moved.append(request)
            bisect.insort(self.places, (user.place, user.id))

    def remove_in_a_row(self, request: int, count: int) -> None:
        """Neighbours leave the list together."""
        self._listed = None
        start = self.random.randrange(max(1, len(self.places) - count))
        for _, user_id in self.places[start : start + count]:
            self.users.pop(user_id).gone = request
        del self.places[start : start + count]

    def _create(self, request: int, now: int) -> None:
        self.changes += 1
        user_id = f"comms_pushnotificationuser_{self.changes:010x}{self.random.getrandbits(64):016x}"
        place = f"{self.random.getrandbits(48):012x}" if self.s.random_places else user_id
        user = User(user_id, place, now, now, None, request, versions=[(now, None, request)])
        self.users[user_id] = user
        self.everyone.append(user)
        bisect.insort(self.places, (place, user_id))


@lru_cache(65536)
def show_time(at: int, form: str = "%Y-%m-%dT%H:%M:%SZ") -> str:
    """A time as text."""
    return datetime.fromtimestamp(at, UTC).strftime(form)
