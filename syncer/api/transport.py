"""The wire: one call, one HTTP request, one whole answer under a byte cap, over aiohttp.

Must not retry, follow a redirect, read the environment, or let an exception of aiohttp out, not even as a context:
their texts hold URLs with page tokens and headers with the secret.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

from yarl import URL

from syncer.api.base_url import checked_base_url
from syncer.api.certificates import system_file_unread, tls_context
from syncer.credentials import Credentials
from syncer.model import WireFailed, WireRequest, WireResponse

with system_file_unread():
    import aiohttp

BODY_BYTES_MAX: Final = 8 * 1024 * 1024
_ERROR_BODY_BYTES_MAX: Final = 64 * 1024
"""What is read of an unsuccessful answer: a shorter one leaves the connection reusable, a longer one closes it."""
_UNREAD_BYTES: Final = 512 * 1024
"""Half of what may wait to be read: beyond 128 KB, less than a page of 1,000 users, aiohttp would stop the socket in
the middle of each answer and start it again, at a tenth of a request's processor time."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. Only ``total`` ends an answer that drips; aiohttp rounds values above 5 s up to a whole loop second."""

    total: float = 60.0
    connect: float = 10.0
    read: float = 20.0


class Transport:
    """``send`` is a ``model.Send`` for one service and one account, while the ``async with`` block lasts.

    ``concurrency`` bounds the connections: the door allows no more requests at once, so none waits for one. With
    ``compression`` answers may come as gzip: less traffic over a thin line, more processor time everywhere.
    """

    def __init__(
        self,
        base_url: str,
        credentials: Credentials,
        *,
        concurrency: int,
        user_agent: str,
        timeouts: Timeouts | None = None,
        body_bytes_max: int = BODY_BYTES_MAX,
        ca_file: Path | None = None,
        compression: bool = False,
        allow_http: bool = False,
    ) -> None:
        self._base_url = checked_base_url(base_url, allow_http=allow_http)
        self._concurrency = concurrency
        self._timeouts = timeouts or Timeouts()
        self._body_bytes_max = body_bytes_max
        # Given with each request to this one origin; as a session's default it would outlive a change of origin.
        self._headers = {
            "User-Agent": user_agent,
            "Accept": "application/json",
            # Always explicit, so that the behaviour does not depend on which decoders are installed.
            "Accept-Encoding": "gzip" if compression else "identity",
            "Authorization": credentials.basic_header(),
        }
        self._ssl = tls_context(ca_file) if self._base_url.startswith("https") else None
        self._session: aiohttp.ClientSession | None = None
        self.wire_requests = 0
        """Requests that were really put on the wire."""

    async def __aenter__(self) -> Transport:
        timeouts = self._timeouts
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._concurrency, ssl=self._ssl or True),
            timeout=aiohttp.ClientTimeout(
                total=timeouts.total,
                connect=timeouts.connect,
                sock_connect=timeouts.connect,
                sock_read=timeouts.read,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            read_bufsize=_UNREAD_BYTES,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(self, request: WireRequest) -> WireResponse:
        """Send one request and read the whole answer. Raises ``WireFailed``."""
        assert self._session is not None, "send outside of the async with block"
        try:
            async with self._session.request(
                request.method,
                URL(self._base_url + request.path, encoded=True),
                params=request.params or None,
                headers=self._headers,
                allow_redirects=False,
                middlewares=(_Once(self),),
            ) as response:
                body = await self._read(response)
                headers = {name.lower(): value for name, value in response.headers.items()}
                return WireResponse(response.status, headers, body)
        except _FOREIGN as error:
            failure = _failure_of(error)
        raise failure  # outside of the handler: the foreign exception must not travel on as its context

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        good = 200 <= response.status < 300
        bytes_max = self._body_bytes_max if good else min(self._body_bytes_max, _ERROR_BODY_BYTES_MAX)
        chunks: list[bytes] = []
        left = bytes_max
        async for chunk in response.content.iter_any():
            left -= len(chunk)
            if left < 0:
                response.close()
                if good:
                    raise WireFailed("too_large", f"the answer is longer than {bytes_max} bytes")
                break
            chunks.append(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)


class _Once:
    """A middleware around one wire request.

    aiohttp sends a GET or DELETE a second time, unseen, when the connection breaks before the answer. Here that failure
    becomes ours, which aiohttp does not handle, and a second request for one permit is refused whatever its reason.
    """

    __slots__ = ("_transport", "_used")

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._used = False

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if self._used:
            raise WireFailed("protocol", "a second request for one permit was not sent")
        self._used = True
        self._transport.wire_requests += 1
        try:
            return await handler(request)
        except _FOREIGN as error:
            failure = _failure_of(error)
        raise failure


_FOREIGN = (aiohttp.ClientError, OSError, asyncio.TimeoutError)


def _failure_of(error: Exception) -> WireFailed:
    """Ours for theirs; none of their text."""
    match error:
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return WireFailed("connect", "no TLS connection: the certificate or the protocol was refused", sent=False)
        case aiohttp.ClientConnectorDNSError():
            return WireFailed("connect", "no connection: the host name could not be resolved", sent=False)
        case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError():
            return WireFailed("connect", "no connection to the service", sent=False)
        case asyncio.TimeoutError():
            return WireFailed("timeout", "no whole answer within the time allowed")
        case aiohttp.ClientPayloadError():
            if isinstance(error.__cause__, aiohttp.http_exceptions.ContentEncodingError):
                return WireFailed("protocol", "the answer could not be decompressed")
            return WireFailed("truncated", "the answer was cut off")
        case aiohttp.InvalidURL():
            return WireFailed("protocol", "the request has an impossible URL", sent=False)
        case aiohttp.ClientConnectionError() | OSError():
            return WireFailed("disconnected", "the connection was closed before the answer")
    return WireFailed("protocol", "the answer is not HTTP as it should be")
