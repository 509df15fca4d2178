"""List, fetch and delete for one account: what is asked, and what an answer means to the caller.

Knows no HTTP library and no clock; ``asking`` does the attempts.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import quote

from syncer.api.asking import Ask, Run
from syncer.api.attempts import ATTEMPTS_MAX
from syncer.api.backoff import RetryBudget
from syncer.api.errors_body import printable
from syncer.api.protocol import (
    Absent,
    Accepted,
    Fail,
    FailKind,
    Gone,
    Ok,
    PageError,
    Retry,
    RetryKind,
    find_next,
    parse_page,
    parse_user,
    parse_user_exactly,
)
from syncer.api.redact import mark
from syncer.api.retry_after import parse_http_date
from syncer.api.throttle import Door
from syncer.errors import ContractBroken, SyncerError, UsageError
from syncer.model import (
    ApiError,
    Counters,
    FindUsers,
    ListAnswer,
    Page,
    Send,
    Struggling,
    Token,
    TokenRefused,
    WireRequest,
)

_TOKEN_REFUSALS: frozenset[FailKind] = frozenset({"bad_request", "not_found", "refused"})
"""How a stale token is answered is not documented; if the list itself is gone, its first page says so next."""
_USERS = "/PushNotifications/Users"
USER_ID_CHARACTERS_MAX = 128


@dataclass(frozen=True, slots=True)
class Deleted:
    """What became of one delete.

    ``accepted``: the service took it, and carries it out later. ``already_absent``: 404 at once. ``presumed``: 404
    after an attempt whose answer was lost, so most likely our own doing.
    """

    outcome: Literal["accepted", "already_absent", "presumed"]
    attempts: int
    resource_id: str | None = None
    resource_location: str | None = None
    request_id: str | None = None


class Client:
    """All requests of one account, through one door; ``list_page`` is a ``model.ListPage``.

    ``deadline_at`` is loop time. ``hidden``: secrets in every form in which a service could echo them in a message.
    ``find_users``: a quicker way to the users of a page, where it is sure of them; without it every page is parsed.
    """

    def __init__(
        self,
        send: Send,
        door: Door,
        *,
        counters: Counters,
        rng: random.Random,
        budget: RetryBudget | None = None,
        attempts_max: int = ATTEMPTS_MAX,
        deadline_at: float | None = None,
        hidden: tuple[str, ...] = (),
        wall_clock: Callable[[], float] = time.time,
        find_users: FindUsers | None = None,
    ) -> None:
        self._run = Run(
            send, door, counters, rng, budget or RetryBudget(), attempts_max, deadline_at, hidden, wall_clock
        )
        self._find_users = find_users or _find_none

    @property
    def budget(self) -> RetryBudget:
        """What is left of the run's retries."""
        return self._run.budget

    @property
    def closed_until(self) -> float:
        """Loop time until which the door is closed; in the past when it is open."""
        return self._run.door.resume_at

    async def list_page(
        self, token: Token | None, page_size: int, on_next: Callable[[Token], None] | None = None
    ) -> ListAnswer:
        """Ask for one page, as ``model.ListPage`` says. Raises ``SyncerError`` when nothing is left to try."""
        params = [("pageSize", str(page_size))]
        if token is not None:
            params.append(("pageToken", token))
        subject = f"page {mark(token)} of the list" if token is not None else "the first page of the list"
        ask = Ask(self._run, "list", WireRequest("GET", _USERS, tuple(params)), subject, token)
        refused_before = False
        while True:
            verdict = await ask.final()
            if isinstance(verdict, Ok):
                page = await self._parsed_page(verdict, on_next)
                if isinstance(page, Page):
                    ask.good()
                    self._note_date(verdict)
                    return page
                await ask.again(page)
            elif isinstance(verdict, Struggling):
                return verdict
            else:
                assert isinstance(verdict, Fail)
                if token is None or verdict.kind not in _TOKEN_REFUSALS:
                    raise ask.refused(verdict)
                if refused_before:
                    return TokenRefused(ask.clean(verdict.error))
                refused_before = True
                await ask.once_more(verdict)

    async def _parsed_page(self, answer: Ok, on_next: Callable[[Token], None] | None) -> Page | Retry:
        if on_next is not None and (token := find_next(answer.body)) is not None:
            on_next(token)
            await asyncio.sleep(0)  # the next request leaves before this page takes the processor
        found = self._find_users(answer.body)
        try:
            if found is None:
                return parse_page(answer.body)
            return replace(parse_page(found.envelope), body=answer.body, columns=found.columns)
        except PageError as error:
            return _retry(error, answer)

    def _note_date(self, answer: Ok) -> None:
        """When the run began by the service's clock: whether a user was there then is told by its own times."""
        counters = self._run.counters
        if not counters.began_at and answer.date is not None:
            counters.began_at = int(parse_http_date(answer.date, self._run.wall_clock()) or 0)

    async def fetch_user(self, user_id: str) -> dict[str, object] | Gone:
        """The user's object, or ``Gone`` for 404. Raises ``SyncerError``."""
        body = await self.fetch_json(user_id)
        try:
            return body if isinstance(body, Gone) else parse_user_exactly(body)
        except PageError as error:
            raise ContractBroken(f"fetch of {printable(user_id)}: {error}", hint="ask for its JSON instead") from None

    async def fetch_json(self, user_id: str) -> bytes | Gone:
        """The user's object, byte for byte as served, or ``Gone`` for 404. Raises ``SyncerError``."""
        ask = Ask(self._run, "fetch", WireRequest("GET", _user_path(user_id)), f"fetch of {printable(user_id)}")
        while True:
            verdict = await ask.final()
            if isinstance(verdict, Fail):
                raise ask.refused(verdict)
            if isinstance(verdict, Gone):
                return verdict
            assert isinstance(verdict, Ok)
            try:
                parse_user(verdict.body)
            except PageError as error:
                await ask.again(_retry(error, verdict))
                continue
            ask.good()
            return verdict.body

    async def delete_user(self, user_id: str) -> Deleted:
        """Ask for the deletion of one user. Raises ``SyncerError``."""
        ask = Ask(self._run, "delete", WireRequest("DELETE", _user_path(user_id)), f"delete of {printable(user_id)}")
        try:
            verdict = await ask.final()
            if isinstance(verdict, Fail):
                raise ask.refused(verdict)
        except SyncerError as error:
            error.attempts, error.ambiguous = ask.tries.attempts, ask.tries.ambiguous
            raise
        assert isinstance(verdict, Accepted | Absent)
        ask.good()
        tries, request_id = ask.tries, verdict.request_id
        if isinstance(verdict, Accepted):
            return Deleted(
                "accepted", tries.attempts, verdict.resource_id, verdict.resource_location, request_id=request_id
            )
        return Deleted("presumed" if tries.ambiguous else "already_absent", tries.attempts, request_id=request_id)


def _find_none(_body: bytes) -> None:
    return None


def _retry(error: PageError, answer: Ok) -> Retry:
    kind: RetryKind = "garbled" if error.retryable else "contract"
    return Retry(kind, ApiError(status=200, message=str(error), request_id=answer.request_id))


def _user_path(user_id: str) -> str:
    """The id as one path segment; dots alone would climb out of it."""
    if not 0 < len(user_id) <= USER_ID_CHARACTERS_MAX or not user_id.strip("."):
        raise UsageError(
            f"{printable(user_id, 40)!r} is not a user id", hint=f"an id has 1 to {USER_ID_CHARACTERS_MAX} characters"
        )
    return f"{_USERS}/{quote(user_id, safe='')}"
