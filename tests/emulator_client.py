"""A small client for tests of the emulator: aiohttp for whole answers, a bare socket for broken ones."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from syncer.emulator.options import Options
from syncer.emulator.server import Emulator, running

ACCOUNT = "AC" + "1" * 32


def basic(user: str = ACCOUNT, secret: str = "secret") -> str:
    """An Authorization header."""
    return "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()


@dataclass(frozen=True, slots=True)
class Got:
    """A whole answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The decoded body."""
        return orjson.loads(self.body)


@dataclass(slots=True)
class Client:
    """A running emulator and a session to it."""

    emulator: Emulator
    session: aiohttp.ClientSession

    async def call(self, method: str, path: str, auth: str | None = "", **query: Any) -> Got:
        """Any request below the base URL. `auth`: a header; empty for the usual one, None for none."""
        headers = {} if auth is None else {"Authorization": auth or basic()}
        url, params = self.emulator.url + path, {key: str(value) for key, value in query.items()}
        async with self.session.request(method, url, params=params, headers=headers, allow_redirects=False) as response:
            return Got(response.status, dict(response.headers), await response.read())

    async def page(self, auth: str | None = "", **query: Any) -> Got:
        """A list request."""
        return await self.call("GET", "/PushNotifications/Users", auth, **query)

    async def user(self, identity: str, method: str = "GET") -> Got:
        """A fetch or a delete."""
        return await self.call(method, f"/PushNotifications/Users/{identity}")

    async def walk(self, page_size: int = 100, pages_max: int = 500) -> list[dict[str, Any]]:
        """The decoded pages from the first to the end, or `pages_max` of them."""
        pages = [(await self.page(pageSize=page_size)).json]
        while (token := pages[-1]["pagination"].get("next")) and len(pages) < pages_max:
            pages.append((await self.page(pageSize=page_size, pageToken=token)).json)
        return pages

    async def control(self, method: str, what: str, body: object = None) -> Got:
        """A control request."""
        data = None if body is None else orjson.dumps(body)
        async with self.session.request(method, f"{self.emulator.origin}/emulator/{what}", data=data) as response:
            return Got(response.status, dict(response.headers), await response.read())

    async def raw(self, path: str = "/v1/PushNotifications/Users", wait_seconds: float = 5.0) -> bytes:
        """All bytes that come over a bare connection until the server closes it or `wait_seconds` pass."""
        port = int(self.emulator.origin.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {basic()}\r\n\r\n".encode())
        received = b""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_seconds):
                while part := await reader.read(65_536):
                    received += part
        writer.close()
        return received


@contextlib.asynccontextmanager
async def client(**options: Any) -> AsyncIterator[Client]:
    """An emulator with these options, and a client of it."""
    async with running(Options(**options)) as emulator, aiohttp.ClientSession() as session:
        yield Client(emulator, session)


def users_of_pages(pages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The users of decoded pages."""
    return [user for page in pages for user in page["users"]]
