"""A raw HTTP server on loopback that does exactly what a test wants done to the wire, and writes down what arrives."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import orjson

JSON = b"Content-Type: application/json\r\n"


@dataclass(frozen=True)
class Arrived:
    """One request as it came off the wire."""

    method: str
    target: str
    headers: dict[str, str]
    connection: int
    """Number of the connection, from 1."""


Behave = Callable[[Arrived, asyncio.StreamWriter], Awaitable[bool | None]]
"""Answers one request; a true value keeps the connection open for the next one."""


@dataclass
class WireServer:
    """Listens on a free port of 127.0.0.1."""

    behave: Behave
    arrived: list[Arrived] = field(default_factory=list)
    tls: ssl.SSLContext | None = None
    connections: int = 0
    port: int = 0

    @property
    def url(self) -> str:
        """Base URL of the service."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/v1"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        number = self.connections
        try:
            while request := await _read_request(reader, number):
                self.arrived.append(request)
                if not await self.behave(request, writer):
                    break
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client under test hung up: that is its right
        finally:
            writer.close()


async def _read_request(reader: asyncio.StreamReader, connection: int) -> Arrived | None:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    return Arrived(method, target, headers, connection)


@asynccontextmanager
async def wire_server(behave: Behave, tls: ssl.SSLContext | None = None) -> AsyncIterator[WireServer]:
    """A running server; open connections are dropped at the end."""
    server = WireServer(behave, tls=tls)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()


def answer(status: int, body: bytes, headers: bytes = JSON) -> bytes:
    """A well-formed answer with a length."""
    return b"HTTP/1.1 %d X\r\n%sContent-Length: %d\r\n\r\n%s" % (status, headers, len(body), body)


def with_length(body: bytes, headers: bytes = JSON) -> bytes:
    """A 200 with a length."""
    return answer(200, body, headers)


def chunked(body: bytes, headers: bytes = JSON, *, last: bool = True) -> bytes:
    """A 200 in one chunk."""
    end = b"0\r\n\r\n" if last else b""
    return b"HTTP/1.1 200 X\r\n%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n%s" % (headers, len(body), body, end)


def until_close(body: bytes, headers: bytes = JSON) -> bytes:
    """A 200 whose end is the end of the connection."""
    return b"HTTP/1.1 200 X\r\n%sConnection: close\r\n\r\n%s" % (headers, body)


def sends(data: bytes, *, keep: bool = False) -> Behave:
    """Send these bytes for each request."""

    async def behave(_: Arrived, writer: asyncio.StreamWriter) -> bool:
        writer.write(data)
        return keep

    return behave


def page_body(users: int, next_token: object = None) -> bytes:
    """A list answer as the API documents it."""
    rows = [{"id": f"comms_pushnotificationuser_{n:026d}", "deletedAt": None} for n in range(users)]
    return orjson.dumps({"users": rows, "pagination": {"next": next_token, "self": "c2VsZg=="}})
