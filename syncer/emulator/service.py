"""The three operations of the API: a call in, an answer out.
No I/O; it reads no clock but the one handed in. Who may call, and how often, is decided elsewhere.
"""

import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from urllib.parse import quote

import orjson

from syncer.emulator.answers import Answer, error
from syncer.emulator.changes import Users
from syncer.emulator.faults import Fault
from syncer.emulator.listing import Rules, Slice, first_place, place_before, slice_at
from syncer.emulator.options import Options
from syncer.emulator.population import ID_PATTERN, Population, Style
from syncer.emulator.tokens import BadToken, Binding, Place, read_token, token_hash, write_token

USERS_PATH = "/v1/PushNotifications/Users"
PAGE_SIZE_DEFAULT = 50
PAGE_SIZE_MAX = 1000
_PAGE_SIZE = re.compile(r"[0-9]{1,6}")


@dataclass(frozen=True, slots=True)
class Call:
    """A request that was let in. `credential` is the user name of the Basic pair; `user_id` is None for the list."""

    operation: str
    account_sid: str
    credential: str
    query: dict[str, str]
    user_id: str | None = None
    fault: Fault | None = None
    number: int = 0


class Service:
    """The users of one emulator and what the API says about them. `now` and `wall` return seconds."""

    def __init__(self, options: Options, now: Callable[[], float], wall: Callable[[], float]) -> None:
        self.base_url = ""
        self.users = users_of(options)
        self._options = options
        self._now = now
        self._wall = wall
        self._rules = Rules(
            order=options.order,
            by_offset=options.token_kind == "offset",
            end=options.end,
            short_pages=options.short_pages,
            empty_pages=options.empty_pages,
            seed=options.seed,
        )
        self._churn = random.Random(f"{options.seed}:churn")
        self._pending: list[tuple[float, str]] = []
        self._pending_ids: set[str] = set()

    def answer(self, call: Call) -> Answer:
        """The answer to a call. Changes that are due take place before it."""
        self.settle()
        if call.operation == "list":
            return self._list(call)
        if call.user_id is None or not ID_PATTERN.fullmatch(call.user_id):
            return error(self._options.malformed_id, context="null")
        return self._delete(call.user_id) if call.operation == "delete" else self._fetch(call.user_id)

    def settle(self) -> None:
        """Carry out the deletes whose delay has passed."""
        while self._pending and self._pending[0][0] <= self._now():
            _, identity = heappop(self._pending)
            self._pending_ids.discard(identity)
            self.users.delete(identity)

    def _fetch(self, identity: str) -> Answer:
        row = self.users.get(identity)
        return error(404, context="null") if row is None else Answer(200, row)

    def _delete(self, identity: str) -> Answer:
        known = self.users.get(identity) is not None
        deleted = self.users.was_deleted(identity)
        if not known and not deleted:
            return error(404, context="null")
        if deleted and self._options.second_delete == 404:
            return error(404, context="null")
        if not deleted and identity not in self._pending_ids:
            heappush(self._pending, (self._now() + self._options.delete_delay, identity))
            self._pending_ids.add(identity)
            self.settle()
        location = f"{self.base_url}/PushNotifications/Users/{quote(identity)}"
        if self._options.delete_body == "no":
            return Answer(202, b"", None, {"Location": location})
        return Answer(
            202, orjson.dumps({"resourceId": identity, "resourceLocation": location}), headers={"Location": location}
        )

    def _list(self, call: Call) -> Answer:
        size = parse_page_size(call.query.get("pageSize"))
        if size is None:
            return error(400, f"pageSize must be a whole number from 1 to {PAGE_SIZE_MAX}.")
        binding = self._binding(call, size)
        token = call.query.get("pageToken")
        try:
            place = first_place(self._rules) if token is None else read_token(token, binding)
        except BadToken as bad:
            if self._options.bad_token != "first-page":
                return error(int(self._options.bad_token), str(bad))
            place = first_place(self._rules)
        if size > self._options.max_page_size_ok:
            return error(500)
        self._change_by_churn()
        page = slice_at(self.users, self._rules, place, size)
        return self._page(call, page, size, binding)

    def _binding(self, call: Call, size: int) -> Binding:
        options = self._options
        return Binding(
            account_sid=call.account_sid,
            page_size=size if options.token_bound_to_page_size else None,
            credential=token_hash(call.credential) if options.token_bound_to_credential else None,
            issued_seconds=int(self._wall()) if options.token_ttl is not None else None,
            ttl_seconds=options.token_ttl,
        )

    def _change_by_churn(self) -> None:
        options = self._options
        if not (options.churn_create or options.churn_delete or options.churn_update):
            return
        self.users.create(self._draw(options.churn_create))
        for _ in range(self._draw(options.churn_delete)):
            self.users.delete(self.users.some_id() or "")
        for _ in range(self._draw(options.churn_update)):
            self.users.update(self.users.some_id() or "")

    def _draw(self, expected: float) -> int:
        return int(expected) + (self._churn.random() < expected % 1)

    def _page(self, call: Call, page: Slice, size: int, binding: Binding) -> Answer:
        rows, following = page.rows, page.following
        kind = call.fault.kind if call.fault else None
        if kind == "repeat-page":
            before = place_before(self.users, self._rules, page.here, size)
            rows = slice_at(self.users, self._rules, before, size).rows if before else rows
        elif kind == "loop" and call.fault:
            count = (int(call.fault.number(2)) - 1) * size
            following = place_before(self.users, self._rules, page.here, count) or following
        elif kind == "dup-row" and rows:
            rows = [rows[0], *rows]
        elif kind == "bad-row" and rows:
            rows = [*rows[:-1], bad_row(rows[-1], call.fault.argument if call.fault else None, call.number)]
        own = write_token(page.here, binding)
        asked = call.query.get("pageToken", own)
        tail = pagination(kind, self._next_json(following, binding), own, asked, self.base_url)
        users = b"null" if kind == "null-users" else b"[" + b",".join(rows) + b"]"
        return Answer(200, b'{"users":' + users + tail + b"}", users=len(rows))

    def _next_json(self, following: Place | None, binding: Binding) -> bytes | None:
        if following is not None:
            return b'"' + write_token(following, binding).encode() + b'"'
        return {"absent": None, "empty": b'""'}.get(self._options.end, b"null")


def pagination(kind: str | None, next_json: bytes | None, own: str, asked: str, base_url: str) -> bytes:
    """The end of a page's body, broken as the fault `kind` wants it. A `next_json` of None leaves the key out."""
    if kind == "missing-pagination":
        return b""
    if kind == "next-number":
        next_json = b"17"
    elif kind == "next-url":
        next_json = orjson.dumps(f"{base_url}/PushNotifications/Users?pageToken={quote(own)}")
    elif kind == "self-loop":
        next_json = orjson.dumps(asked)
    head = b"" if next_json is None else b'"next":' + next_json + b","
    return b',"pagination":{' + head + b'"self":"' + own.encode() + b'"}'


def bad_row(row: bytes, form: str | None, number: int) -> bytes:
    """A user that breaks the contract: `no-id`, `bad-time` or `not-object`; by the request's number if not said."""
    form = form or ("no-id", "bad-time", "not-object")[number % 3]
    if form == "no-id":
        return b"{" + row[row.index(b'"createdAt"') :]
    if form == "bad-time":
        return re.sub(rb'("createdAt":")[^"]*', rb"\g<1>last tuesday", row)
    return b'"' + row[7:60] + b'"'


def parse_page_size(text: str | None) -> int | None:
    """The page size asked for, 50 if none was; None if it is not a whole number from 1 to 1000."""
    if text is None:
        return PAGE_SIZE_DEFAULT
    if not _PAGE_SIZE.fullmatch(text):
        return None
    size = int(text)
    return size if 1 <= size <= PAGE_SIZE_MAX else None


def users_of(options: Options) -> Users:
    """The users at the start. Where deleted users are not listed, none of the first ones is deleted."""
    style = Style(options.fractions, options.offsets, options.related, options.extra_field)
    share = options.deleted_share if options.deleted == "listed" else 0.0
    population = Population(options.seed, options.users, style, share, options.page_cache)
    return Users(
        population,
        style,
        options.seed,
        deleted=options.deleted,
        new_ids=options.new_ids,
        reorder_on_update=options.reorder_on_update,
        clock_ms=(lambda: int(time.time() * 1000)) if options.clock == "wall" else None,
    )
