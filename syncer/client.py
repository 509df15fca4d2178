"""The Python interface: one account's users, listed, fetched and deleted through one door.

What the commands that work on single users use themselves. Publishes nothing: a list read here is no snapshot.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType

from syncer.api.account import open_client
from syncer.api.client import Client as ApiClient
from syncer.api.client import Deleted
from syncer.api.protocol import Gone, PageError, parse_user, users_exactly
from syncer.api.transport import Timeouts
from syncer.credentials import Credentials, Secret
from syncer.errors import ContractBroken, CoverageNotProven, GaveUp, UsageError
from syncer.model import Counters, Page, Token, TokenRefused
from syncer.version import VERSION

BASE_URL = "https://comms.twilio.com/v1"
PAGE_SIZE = 1000
_PAGE_SIZE_MIN = 1

__all__ = ["Client", "Deleted"]


class Client:
    """An account's users. Use it as ``async with Client(...) as client``; all requests share one rate and one bound.

    Every method raises a ``syncer.errors.SyncerError`` when nothing is left to try: ``CredentialsRefused`` (401, 403),
    ``GaveUp`` (attempts, the retry budget or the deadline are spent), ``ContractBroken`` (an answer that makes no
    sense to repeat, such as a 400).
    """

    def __init__(
        self,
        *,
        account_sid: str | None = None,
        auth_token: str | None = None,
        api_key: str | None = None,
        api_secret: str | None = None,
        credentials: Credentials | None = None,
        base_url: str = BASE_URL,
        rate: float = 20.0,
        concurrency: int = 8,
        deadline_seconds: float | None = None,
        timeouts: Timeouts | None = None,
        ca_file: Path | None = None,
        counters: Counters | None = None,
    ) -> None:
        """``rate`` in requests a second, ``concurrency`` in requests at once, the deadline from ``async with`` on.

        Either ``account_sid`` with ``auth_token``, or ``api_key`` with ``api_secret``. Raises UsageError.
        """
        self._credentials = credentials or _credentials(account_sid, auth_token, api_key, api_secret)
        self._base_url = base_url
        self._rate = rate
        self._concurrency = concurrency
        self._deadline_seconds = deadline_seconds
        self._timeouts = timeouts
        self._ca_file = ca_file
        self.counters = counters or Counters()
        """What was done so far: requests, retries, 429s."""
        self._open: ApiClient | None = None
        self._stack = AsyncExitStack()

    def __repr__(self) -> str:
        return f"Client({self._credentials.user!r}, base_url={self._base_url!r})"

    async def __aenter__(self) -> Client:
        seconds = self._deadline_seconds
        connection = open_client(
            self._base_url,
            self._credentials,
            rate=self._rate,
            concurrency=self._concurrency,
            user_agent=f"syncer/{VERSION}",
            counters=self.counters,
            deadline_at=None if seconds is None else asyncio.get_running_loop().time() + seconds,
            timeouts=self._timeouts,
            ca_file=self._ca_file,
        )
        self._open = await self._stack.enter_async_context(connection)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open = None
        await self._stack.aclose()

    @property
    def closed_until(self) -> float:
        """Loop time until which the service asked all requests to wait; in the past when it did not."""
        return self._api.closed_until

    async def users(self, *, page_size: int = PAGE_SIZE) -> AsyncIterator[dict[str, object]]:
        """Every user in list order while the list is walked page by page. Whole numbers are exact, others are floats.

        A list that returns to a token it has shown raises CoverageNotProven instead of never ending. A user may come
        twice, or not at all, if it moves in the list meanwhile: ``syncer export`` proves what it publishes, this does
        not.
        """
        token: Token | None = None
        seen: set[bytes] = set()
        while True:
            page, page_size = await self._page(token, page_size)
            for user in _exactly(page):
                yield user
            token = page.next
            if token is None:
                return
            digest = hashlib.blake2b(token.encode(), digest_size=16).digest()
            if digest in seen:
                raise CoverageNotProven("the list leads back to a page that it has shown", hint="run again later")
            seen.add(digest)

    async def fetch(self, user_id: str) -> dict[str, object] | None:
        """One user; None when there is none (404). Whole numbers are exact, others are floats: see ``fetch_json``."""
        user = await self._api.fetch_user(user_id)
        if isinstance(user, Gone):
            return None
        _expect(user_id, user)
        return user

    async def fetch_json(self, user_id: str) -> bytes | None:
        """One user's JSON, byte for byte as served; None when there is none (404)."""
        body = await self._api.fetch_json(user_id)
        if isinstance(body, Gone):
            return None
        _expect(user_id, parse_user(body))
        return body

    async def delete(self, user_id: str) -> Deleted:
        """Ask for the deletion of one user, which happens later.

        ``outcome`` is ``accepted``, ``already_absent`` (404 at once) or ``presumed`` (404 after a request whose answer
        was lost).
        """
        return await self._api.delete_user(user_id)

    async def _page(self, token: Token | None, page_size: int) -> tuple[Page, int]:
        """A page, asked for in smaller pieces where the service struggles with large ones."""
        while True:
            answer = await self._api.list_page(token, page_size)
            if isinstance(answer, Page):
                return answer, page_size
            if isinstance(answer, TokenRefused):
                raise ContractBroken(
                    "the service refused a page token that it had given", request_id=answer.error.request_id
                )
            if page_size <= _PAGE_SIZE_MIN:
                raise GaveUp("the service fails at every page size", request_id=answer.error.request_id)
            page_size = max(_PAGE_SIZE_MIN, page_size // 2)

    @property
    def _api(self) -> ApiClient:
        if self._open is None:
            raise UsageError("the client is not open", hint="use it as `async with syncer.Client(...) as client`")
        return self._open


def _exactly(page: Page) -> list[dict[str, object]]:
    try:
        return users_exactly(page)
    except PageError as error:
        raise ContractBroken(str(error), hint="`syncer export` keeps such values as they are served") from None


def _expect(user_id: str, user: dict[str, object]) -> None:
    if user.get("id") != user_id:
        raise ContractBroken("the answer to a fetch is about another user", hint="a person has to look")


def _credentials(sid: str | None, token: str | None, key: str | None, secret: str | None) -> Credentials:
    """The Basic pair. An API key belongs to one account, so that an Account SID beside it says nothing new."""
    if key and secret and not token:
        return Credentials(key, Secret(secret))
    if sid and token and not key and not secret:
        return Credentials(sid, Secret(token))
    raise UsageError(
        "the credentials are not complete", hint="give account_sid and auth_token, or api_key and api_secret"
    )
