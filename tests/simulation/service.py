"""A fake service above the wire: a list that changes while it is read, its tokens, faults and limits.

It keeps the whole history, so that the checker knows what was true when. Nothing of the product is used but the wire's values.
"""

from __future__ import annotations

import asyncio
import bisect
import json
import random
from base64 import b64decode, b64encode
from dataclasses import dataclass, field

from syncer.model import WireFailed, WireRequest, WireResponse
from tests.simulation.scenario import Scenario

LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"
CHANGES_MAX = 120
"""Changes during one night."""


@dataclass(slots=True)
class User:
    """One user with its whole life, in request numbers."""

    id: str
    place: str
    created_at: str
    updated_at: str
    deleted_at: str | None
    born: int
    gone: int | None = None
    """The request number at which it left the list."""
    changed: list[int] = field(default_factory=list)
    """Request numbers of its updates."""
    moved: list[int] = field(default_factory=list)
    """Request numbers at which it changed its place."""
    versions: list[tuple[str, str | None]] = field(default_factory=list)
    """Every (updated_at, deleted_at) it ever had."""

    def body(self) -> dict[str, object]:
        """As the service serves it."""
        return {"id": self.id, "createdAt": self.created_at, "updatedAt": self.updated_at, "deletedAt": self.deleted_at}


class Service:
    """The service of one scenario. ``send`` is the wire."""

    def __init__(self, s: Scenario) -> None:
        self.s = s
        self.random = random.Random(f"service {s.seed}")
        self.requests = 0
        self.users: dict[str, User] = {}
        self.everyone: list[User] = []
        self.places: list[tuple[str, str]] = []
        """(place, id), sorted: the list."""
        self.now = 0
        self.in_flight = 0
        self.served_at: list[float] = []
        self.closed_until = -1.0
        self.early_requests = 0
        self.is_in_burst = False
        self.log: list[tuple[int, str, int]] = []
        self.changes_left = CHANGES_MAX
        for _ in range(s.users):
            self._create()

    # -- changes ------------------------------------------------------------------------------------------------

    def _stamp(self) -> str:
        self.now += 1
        minute, second = divmod(self.now, 60)
        hour, minute = divmod(minute, 60)
        day, hour = divmod(hour, 24)
        return f"2024-{1 + day // 28:02d}-{1 + day % 28:02d}T{hour:02d}:{minute:02d}:{second:02d}Z"

    def _create(self) -> None:
        stamp = self._stamp()
        head = "".join(LETTERS[(self.now >> (5 * j)) & 31] for j in range(9, -1, -1))
        tail = "".join(self.random.choices(LETTERS, k=16))
        user_id = f"comms_pushnotificationuser_{head}{tail}"
        place = "".join(self.random.choices(LETTERS, k=12)) if self.s.random_places else user_id
        user = User(user_id, place, stamp, stamp, None, self.requests, versions=[(stamp, None)])
        self.users[user_id] = user
        self.everyone.append(user)
        bisect.insort(self.places, (place, user_id))

    def change(self) -> None:
        """One change of the kind that happens while a list is read."""
        kind = self.random.choice(["create", "create", "delete", "update"])
        if kind == "create" or not self.users:
            self._create()
            return
        user = self.users[self.random.choice(self.places)[1]]
        if kind == "delete" and not self.s.tombstones:
            self.places.remove((user.place, user.id))
            del self.users[user.id]
            user.gone = self.requests
            return
        user.updated_at = self._stamp()
        if kind == "delete":
            user.deleted_at = user.updated_at
        user.changed.append(self.requests)
        user.versions.append((user.updated_at, user.deleted_at))
        if self.s.moves_on_update:
            self.places.remove((user.place, user.id))
            user.place = f"~{self.now:012d}"
            user.moved.append(self.requests)
            bisect.insort(self.places, (user.place, user.id))

    # -- the wire -----------------------------------------------------------------------------------------------

    async def send(self, request: WireRequest) -> WireResponse:
        """Answer one request, later."""
        loop_time = asyncio.get_running_loop().time()
        self.requests += 1
        if loop_time < self.closed_until:
            self.early_requests += 1
        refused = self._limits(loop_time)
        self.in_flight += 1
        try:
            await asyncio.sleep(self.s.latency_seconds * self.random.uniform(0.5, 1.5))
            if refused is not None:
                return refused
            return self._answer(request, loop_time)
        finally:
            self.in_flight -= 1

    def _limits(self, now: float) -> WireResponse | None:
        self.served_at = [t for t in self.served_at if t > now - 1.0]
        too_fast = self.s.rate_limit is not None and len(self.served_at) >= self.s.rate_limit + 5
        too_many = self.s.concurrency_limit is not None and self.in_flight >= self.s.concurrency_limit
        if too_fast or too_many:
            return self._throttle(now)
        self.served_at.append(now)
        return None

    def _throttle(self, now: float) -> WireResponse:
        after = self.random.choice(["1", "3", "0", None, "soon", "-5"])
        if after in ("1", "3"):
            self.closed_until = max(self.closed_until, -1.0)
        headers = {} if after is None else {"retry-after": after}
        return _error(429, 20429, headers)

    def _answer(self, request: WireRequest, now: float) -> WireResponse:
        while self.random.random() < self.s.churn and self.changes_left:
            self.changes_left -= 1  # a list that grows faster than it is read has no end
            self.change()
        fault = self._fault()
        if fault is not None:
            return fault
        params = dict(request.params)
        size = int(params.get("pageSize", "50"))
        token = params.get("pageToken")
        self.log.append((self.requests, token or "", size))
        if self.s.size_that_fails is not None and size >= self.s.size_that_fails:
            return _error(500, 20500)
        start = self._position(token, size, now)
        if start is None:
            return _error(400, 20404)
        return self._page(start, size, token, now)

    def _fault(self) -> WireResponse | None:
        probability = self.s.burst if self.is_in_burst else self.s.faults
        self.is_in_burst = self.random.random() < probability
        if not self.is_in_burst:
            return None
        kind = self.random.choice(["500", "502", "503", "504", "429", "cut", "timeout", "html", "half", "empty"])
        if kind in ("cut", "timeout"):
            raise WireFailed("disconnected" if kind == "cut" else "timeout", f"simulated {kind}")
        if kind == "html":
            return WireResponse(200, {"content-type": "text/html"}, b"<html>gateway</html>")
        if kind == "half":
            return WireResponse(200, {"content-type": "application/json"}, b'{"users":[{"id":"comms_')
        if kind == "empty":
            return WireResponse(200, {"content-type": "application/json"}, b"")
        headers = {"retry-after": "1"} if kind in ("429", "503") else {}
        return _error(int(kind), 20000 + int(kind), headers)

    def _listed(self) -> list[tuple[str, str]]:
        return self.places[::-1] if self.s.newest_first else self.places

    def _position(self, token: str | None, size: int, now: float) -> int | None:
        if token is None:
            return 0
        try:
            key = json.loads(b64decode(token, validate=True))
        except ValueError:
            return None
        if self.s.token_ttl_seconds is not None and now - key["at"] > self.s.token_ttl_seconds:
            return None
        if self.s.tokens_bound_to_size and key["size"] != size:
            return None
        if self.s.token_kind == "offset":
            return int(key["offset"])
        place = (key["place"], key["id"])
        at = bisect.bisect_right(self.places, place)
        if self.s.newest_first:
            return len(self.places) - bisect.bisect_left(self.places, place)
        return at

    def _page(self, start: int, size: int, token: str | None, now: float) -> WireResponse:
        listed = self._listed()
        wanted = size
        if self.random.random() < self.s.short_pages:
            wanted = max(1, size // 2)
        if token is not None and self.random.random() < self.s.empty_pages:
            wanted = 0
        rows = listed[start : start + wanted]
        is_last = start + len(rows) >= len(listed) and (wanted > 0 or not listed)
        if self.s.end == "empty_page":
            is_last = start >= len(listed)
        following: object = None
        if not is_last:
            following = self._token(rows, start + len(rows), size, token, now)
        users = [self.users[i].body() for _, i in rows]
        return self._envelope(users, following, token, is_last)

    def _token(self, rows: list[tuple[str, str]], offset: int, size: int, token: str | None, now: float) -> str:
        at = round(now, 3) if self.s.token_ttl_seconds is not None else 0
        bound = size if self.s.tokens_bound_to_size else 0
        if self.s.token_kind == "offset":
            key: dict[str, object] = {"offset": offset, "at": at, "size": bound}
        elif rows:
            key = {"place": rows[-1][0], "id": rows[-1][1], "at": at, "size": bound}
        elif token is not None:
            key = {**json.loads(b64decode(token)), "at": at, "hop": self.random.randrange(10**9)}
        else:
            key = {"place": "~" if self.s.newest_first else "", "id": "", "at": at, "size": bound}
        return b64encode(json.dumps(key).encode()).decode()

    def _envelope(
        self, users: list[dict[str, object]], following: object, token: str | None, is_last: bool
    ) -> WireResponse:
        pagination: dict[str, object] = {"self": token or "start", "next": following}
        if is_last and self.s.end == "absent":
            del pagination["next"]
        if is_last and self.s.end == "empty":
            pagination["next"] = ""
        document: dict[str, object] = {"users": users, "pagination": pagination}
        self._lie(document, pagination, token, is_last)
        return WireResponse(200, {"content-type": "application/json"}, json.dumps(document).encode())

    def _lie(
        self, document: dict[str, object], pagination: dict[str, object], token: str | None, is_last: bool
    ) -> None:
        liar = self.s.liar
        if liar == "self_loop" and token is not None:
            pagination["next"] = token
        elif liar == "loop" and is_last and self.log:
            earlier = [t for _, t, _ in self.log if t]
            pagination["next"] = earlier[len(earlier) // 2] if earlier else None
        elif liar == "endless_empty" and is_last:
            document["users"] = []
            pagination["next"] = b64encode(
                json.dumps({"place": "~~", "id": "", "at": 0, "size": 0, "n": self.requests}).encode()
            ).decode()
        elif liar == "drop_pagination" and token is not None:
            del document["pagination"]
        elif liar == "next_number":
            pagination["next"] = 7
        elif liar == "repeat_page" and token is not None:
            pagination["next"] = None if is_last else pagination["next"]


def _error(status: int, code: int, headers: dict[str, str] | None = None) -> WireResponse:
    body = {
        "errors": [
            {"code": code, "message": f"simulated {status}", "infoUrl": "https://example.invalid", "context": None}
        ]
    }
    return WireResponse(
        status,
        {"content-type": "application/json", "twilio-request-id": "RQsim", **(headers or {})},
        json.dumps(body).encode(),
    )
