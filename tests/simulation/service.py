"""A fake service above the wire: a list that changes while it is read, its tokens, faults, limits and lies.

It keeps the whole history, so that the checker knows what was true when. Nothing of the product is used but the wire's
values.
"""

from __future__ import annotations

import asyncio
import bisect
import random
from base64 import b64decode, b64encode
from collections import deque
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256

import orjson

from syncer.model import WireFailed, WireRequest, WireResponse
from tests.simulation.population import Population, User, show_time
from tests.simulation.scenario import Scenario

CHANGES_MAX = 60
"""Changes during one night: a list that grows faster than it is read has no end."""
GRACE_SECONDS = 0.000_05
"""Some turns of the loop, until whoever reads a 429 has closed its door."""
STALL_SECONDS = 60.0
FAULTS = ("500", "502", "503", "504", "429", "cut", "timeout", "stall", "html", "half", "none")
_JSON = {"content-type": "application/json"}


@dataclass(frozen=True, slots=True)
class Position:
    """What a page token of this service means."""

    place: tuple[str, str]
    offset: int
    issued_at: float
    page_size: int


@dataclass(frozen=True, slots=True)
class Served:
    """One page that was served."""

    at: int
    """Its number among all pages that were served."""
    requests: int
    """Requests that had come by then."""
    next: str | None
    ids: list[str]


@dataclass(slots=True)
class Account:
    """What the checker wants to know about one run of the client."""

    good: int = 0
    failed: int = 0
    """Answers that are worth another attempt, 429 left out."""
    retries: int = 0
    """Requests whose token had such an answer the last time."""
    troubled: set[str | None] = field(default_factory=set)
    """Tokens whose last answer was one of these."""
    early: int = 0
    """Requests inside a Retry-After window."""
    too_fast: int = 0
    """Requests beyond the rate that the client was set to, with a burst of two."""
    sent_at: deque[float] = field(default_factory=lambda: deque(maxlen=256))


class Service:
    """The service of one scenario. ``send`` is the wire."""

    def __init__(self, s: Scenario) -> None:
        self.s = s
        self.random = random.Random(f"service {s.seed}")
        self.requests = 0
        self.population = Population(s, self.random)
        self.in_flight = 0
        self.served_at: list[float] = []
        self.is_in_burst = False
        self.outage_until = 0.0
        self.storm_left = s.storm
        self.lies_left = s.lies
        self.log: list[tuple[int, str, int]] = []
        """Requests that were answered by more than an error: when, by the number of requests, token and page size."""
        self.sent: list[tuple[int, str, int]] = []
        """Every request as it came: microseconds since all began, token and page size."""
        self.served: dict[tuple[str | None, bytes], list[Served]] = {}
        """What was served: by the token asked with and the hash of the ids."""
        self.pages_served = 0
        self.starts = 0
        """Walks from the start of the list that came to a second page, before any reached the end."""
        self.second_page = ""
        self.shows_the_end = False
        """Whether the run in hand was shown the end of the list."""
        self.has_shown_the_end = False
        """Whether an earlier run of the same walk was."""
        self.changes_left = CHANGES_MAX
        self.account = Account()
        self.closed_from = self.closed_until = -1.0

    def begin_run(self) -> None:
        """A new process asks: it cannot know what an earlier one was told."""
        self.account = Account()
        self.starts, self.second_page, self.shows_the_end = 0, "", False
        self.closed_from = self.closed_until = -1.0

    def change(self) -> None:
        """One change of the kind that happens while a list is read."""
        self.population.change(self.requests, _now())

    # -- the wire -----------------------------------------------------------------------------------------------

    async def send(self, request: WireRequest) -> WireResponse:
        """Answer one request, later."""
        sent_at = _now()
        self.requests += 1
        self._note(sent_at, request)
        refused = self._limits(sent_at)
        self.in_flight += 1
        try:
            await asyncio.sleep(self.s.latency_seconds * self.random.uniform(0.5, 1.5))
            answer = refused if refused is not None else await self._answer(request)
        except WireFailed:
            self._failed(request)
            raise
        finally:
            self.in_flight -= 1
        return self._told(request, answer)

    def _failed(self, request: WireRequest) -> None:
        self.account.failed += 1
        self.account.troubled.add(dict(request.params).get("pageToken"))

    def _note(self, now: float, request: WireRequest) -> None:
        account, rate = self.account, int(self.s.rate)
        params = dict(request.params)
        token = params.get("pageToken")
        self.sent.append((round((now - self.s.uptime_seconds) * 1e6), token or "", int(params.get("pageSize", "50"))))
        account.retries += token in account.troubled
        account.troubled.discard(token)
        if token and token == self.second_page and not (self.shows_the_end or self.has_shown_the_end):
            self.starts, self.second_page = self.starts + 1, ""
        account.early += now < self.closed_until and now > self.closed_from
        if len(account.sent_at) > rate + 1 and now - account.sent_at[-rate - 2] < 1.0 - 1e-3:
            account.too_fast += 1
        account.sent_at.append(now)

    def _told(self, request: WireRequest, answer: WireResponse) -> WireResponse:
        if answer.status == 200 and answer.body.endswith(b"}"):
            self.account.good += 1
        elif answer.status not in (400, 429):
            self._failed(request)
        after = answer.headers.get("retry-after", "")
        if answer.status in (429, 503) and after.isdigit():
            now = _now()
            if now >= self.closed_until:
                self.closed_from = now + GRACE_SECONDS
            self.closed_until = max(self.closed_until, now + int(after))
        return answer

    def _limits(self, now: float) -> WireResponse | None:
        self.served_at = [t for t in self.served_at if t > now - 1.0]
        too_fast = self.s.rate_limit is not None and len(self.served_at) >= self.s.rate_limit + 5
        too_many = self.s.concurrency_limit is not None and self.in_flight >= self.s.concurrency_limit
        in_storm = self.storm_left > 0 and self.requests > self.s.storm_at
        if too_fast or too_many or in_storm:
            self.storm_left -= in_storm
            return self._throttle(now)
        self.served_at.append(now)
        return None

    def _throttle(self, now: float) -> WireResponse:
        wall = self.s.wall(now)
        date = {"retry-after": show_date(wall + 2), "date": show_date(wall)}
        after = self.random.choice(["1", "3", "0", "2", None, "soon", "-5", "1.5", "", "1e3", "+1", date])
        if isinstance(after, dict):
            return _error(429, 20429, after)
        return _error(429, 20429, {} if after is None else {"retry-after": after})

    async def _answer(self, request: WireRequest) -> WireResponse:
        now = _now()
        while self.random.random() < self.s.churn and self.changes_left:
            self.changes_left -= 1
            self.change()
        if self._is_out(now):
            return self._outage()
        if (fault := await self._fault()) is not None:
            return fault
        params = dict(request.params)
        size = int(params.get("pageSize", "50"))
        token = params.get("pageToken")
        self.log.append((self.requests, token or "", size))
        if self._is_too_large(token, size):
            return _error(500, 20500)
        position = self._position(token, size, now)
        return _error(400, 20404) if position is None else self._page(position, size, token, now)

    def _is_too_large(self, token: str | None, size: int) -> bool:
        if self.s.size_that_fails is None or size < self.s.size_that_fails:
            return False
        return random.Random(f"{self.s.seed} {token}").random() < self.s.size_fails_share

    def _is_out(self, now: float) -> bool:
        if self.s.outage_at and self.requests >= self.s.outage_at and not self.outage_until:
            self.outage_until = now + self.s.outage_seconds
        return now < self.outage_until

    def _outage(self) -> WireResponse:
        kind = self.s.outage_kind
        if kind.isdigit():
            return _error(int(kind), 20000 + int(kind))
        if kind == "connect":
            raise WireFailed("connect", "simulated outage", sent=False)
        raise WireFailed("timeout" if kind == "timeout" else "disconnected", "simulated outage")

    async def _fault(self) -> WireResponse | None:
        probability = self.s.burst if self.is_in_burst else self.s.faults
        self.is_in_burst = self.random.random() < probability
        if not self.is_in_burst:
            return None
        kind = self.random.choice(
            ["500", "502", "503", "504", "429", "cut", "timeout", "stall", "html", "half", "none"]
        )
        if kind == "stall":
            await asyncio.sleep(STALL_SECONDS)
        if kind in ("cut", "timeout", "stall"):
            raise WireFailed("disconnected" if kind == "cut" else "timeout", f"simulated {kind}")
        if kind == "html":
            return WireResponse(200, {"content-type": "text/html"}, b"<html>gateway</html>")
        if kind == "half":
            return WireResponse(200, _JSON, b'{"users":[{"id":"comms_')
        if kind == "none":
            return WireResponse(200, _JSON, b"")
        headers = {"retry-after": "1"} if kind in ("429", "503") else {}
        return _error(int(kind), 20000 + int(kind), headers)

    # -- pages --------------------------------------------------------------------------------------------------

    def _position(self, token: str | None, size: int, now: float) -> int | None:
        if token is None:
            return 0
        meant = read_token(token)
        if meant is None:
            return None
        if self.s.token_ttl_seconds is not None and now - meant.issued_at > self.s.token_ttl_seconds:
            return None
        if self.s.tokens_bound_to_size and meant.page_size != size:
            return None
        if self.s.liar == "page_one_for_ever" and self._lies():
            return 0
        if self.s.token_kind == "offset":
            return meant.offset
        places = self.population.places
        if self.s.newest_first:
            return len(places) - bisect.bisect_left(places, meant.place)
        return bisect.bisect_right(places, meant.place)

    def _page(self, start: int, size: int, token: str | None, now: float) -> WireResponse:
        listed = self.population.listed()
        wanted = min(size, self.s.page_users_max)
        if self.random.random() < self.s.short_pages:
            wanted = max(1, wanted // 2)
        if token is not None and self.random.random() < self.s.empty_pages:
            wanted = 0
        rows = listed[start : start + wanted]
        is_last = start + len(rows) >= len(listed) and (wanted > 0 or not listed)
        if self.s.end == "empty_page":
            is_last = start >= len(listed)
        following = None if is_last else self._token(rows, start + len(rows), size, token, now)
        if self.s.liar == "repeat_page" and start >= size and start // size % 2 and rows and self._lies():
            rows = listed[start - size : start]
        return self._envelope([self.population.users[i] for _, i in rows], following, token, is_last)

    def _token(self, rows: list[tuple[str, str]], offset: int, size: int, token: str | None, now: float) -> str:
        at = round(now, 3) if self.s.token_ttl_seconds is not None else 0
        bound = size if self.s.tokens_bound_to_size else 0
        hop = 0
        if self.s.token_kind == "offset":
            place, user_id, hop = "", "", 0 if rows else self.random.randrange(10**9)
        elif rows:
            place, user_id = rows[-1]
        elif token is not None and (meant := read_token(token)) is not None:
            (place, user_id), hop = meant.place, self.random.randrange(10**9)
        else:
            place, user_id = ("~" if self.s.newest_first else ""), ""
        if self.s.liar == "page_one_for_ever":
            hop = self.requests
        return show_token(place, user_id, offset if self.s.token_kind == "offset" else 0, at, bound, hop)

    def _envelope(self, users: list[User], following: str | None, token: str | None, is_last: bool) -> WireResponse:
        pagination: dict[str, object] = {"self": token or "start", "next": following}
        if is_last and self.s.end == "absent":
            del pagination["next"]
        if is_last and self.s.end == "empty":
            pagination["next"] = ""
        document: dict[str, object] = {"users": [user.body() for user in users], "pagination": pagination}
        if self.s.liar:
            self._lie(document, pagination, token, is_last)
        ids = sorted(user.id for user in users) if document["users"] else []
        self._note_served(token, ids, document)
        headers = {**_JSON, "date": show_date(self.s.wall(_now()))} if self.s.dated else _JSON
        return WireResponse(200, headers, orjson.dumps(document))

    def _note_served(self, token: str | None, ids: list[str], document: dict[str, object]) -> None:
        self.pages_served += 1
        pagination = document.get("pagination")
        following = pagination.get("next") if isinstance(pagination, dict) else None
        page = Served(self.pages_served, self.requests, str(following) if following else None, ids)
        self.shows_the_end |= page.next is None
        if token is None:
            self.second_page = page.next or ""
        self.served.setdefault((token, sha256("\n".join(ids).encode()).digest()), []).append(page)

    def _lies(self) -> bool:
        self.lies_left -= 1
        return self.lies_left >= 0

    def _lie(
        self, document: dict[str, object], pagination: dict[str, object], token: str | None, is_last: bool
    ) -> None:
        liar = self.s.liar
        if liar == "self_loop" and token is not None and self._lies():
            pagination["next"] = token
        elif liar == "loop" and is_last and self._lies():
            earlier = [t for _, t, _ in self.log if t]
            pagination["next"] = earlier[len(earlier) // 2] if earlier else None
        elif liar == "endless_empty" and is_last:
            document["users"] = []
            pagination["next"] = show_token("~~", "", 10**6, 0, 0, self.requests)
        elif liar == "drop_pagination" and token is not None and self._lies():
            del document["pagination"]
        elif liar == "next_number" and self._lies():
            pagination["next"] = 7


def show_token(place: str, user_id: str, offset: int, at: float, page_size: int, hop: int) -> str:
    """A page token: opaque to the client."""
    return b64encode(f"{place} {user_id} {offset} {at} {page_size} {hop}".encode()).decode()


def read_token(token: str) -> Position | None:
    """What a page token means; None for a foreign one."""
    try:
        place, user_id, offset, at, page_size, _ = b64decode(token, validate=True).decode().split(" ")
        return Position((place, user_id), int(offset), float(at), int(page_size))
    except ValueError:
        return None


@lru_cache(4096)
def show_date(at: float) -> str:
    """An HTTP date, of seconds since 1970."""
    return show_time(int(at), "%a, %d %b %Y %H:%M:%S GMT")


def _now() -> float:
    return asyncio.get_running_loop().time()


def _error(status: int, code: int, headers: dict[str, str] | None = None) -> WireResponse:
    body = b'{"errors":[{"code":%d,"message":"simulated %d","infoUrl":"https://example.invalid","context":null}]}'
    return WireResponse(status, {**_JSON, "twilio-request-id": "RQsim", **(headers or {})}, body % (code, status))
