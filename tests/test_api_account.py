"""Transport, door and client together over a real socket: counts, exit codes, and where the secret does not go."""

from __future__ import annotations

import asyncio
import logging
import random
import traceback
from contextlib import AbstractAsyncContextManager

import pytest

from syncer.api.account import open_client
from syncer.api.client import Client, Deleted
from syncer.api.transport import Timeouts
from syncer.credentials import Credentials, Secret
from syncer.errors import SyncerError
from syncer.model import Counters, Page, Struggling, Token
from tests.wire_server import Arrived, Behave, answer, chunked, page_body, sends, until_close, wire_server

CANARY = "canary-77aa-secret"
CREDENTIALS = Credentials("AC" + "1" * 32, Secret(CANARY))
TOKEN = Token("QUMxMTEx-canary-token==")


class NoJitter(random.Random):
    """Every wait is its shortest."""

    def random(self) -> float:
        return 0.0


def client_to(url: str, counters: Counters) -> AbstractAsyncContextManager[Client]:
    return open_client(
        url,
        CREDENTIALS,
        rate=1000.0,
        concurrency=4,
        user_agent="syncer/test",
        counters=counters,
        rng=NoJitter(),
        timeouts=Timeouts(total=2, connect=1, read=0.3),
    )


async def test_a_page_and_a_delete_over_a_real_socket() -> None:
    async def behave(arrived: Arrived, writer: asyncio.StreamWriter) -> bool:
        writer.write(answer(200, page_body(1000, "bmV4dA==")) if arrived.method == "GET" else answer(202, b"{}"))
        return True

    counters = Counters()
    guesses: list[Token] = []
    async with wire_server(behave) as server, client_to(server.url, counters) as client:
        page = await client.list_page(TOKEN, 1000, guesses.append)
        deleted = await client.delete_user("u1")
    assert isinstance(page, Page)
    assert (len(page.users), page.next, guesses) == (1000, "bmV4dA==", ["bmV4dA=="])
    assert deleted == Deleted("accepted", 1)
    assert (counters.requests, len(server.arrived), server.connections) == (2, 2, 1)


async def test_what_is_counted_is_what_is_on_the_wire() -> None:
    """A server that hangs up on two of three requests: every attempt is paid, counted and seen."""

    async def behave(arrived: Arrived, writer: asyncio.StreamWriter) -> bool:
        if len(server.arrived) % 3:
            return False
        writer.write(answer(200, page_body(1)) if arrived.method == "GET" else answer(202, b""))
        return True

    counters = Counters()
    async with wire_server(behave) as server, client_to(server.url, counters) as client:
        outcomes = [await client.list_page(None, 50), await client.delete_user("u1"), await client.list_page(TOKEN, 50)]
    assert [type(outcome) for outcome in outcomes] == [Page, Deleted, Page]
    assert (counters.requests, counters.retries, len(server.arrived)) == (9, 6, 9)


async def test_cancelled_requests_leave_door_and_transport_sound() -> None:
    async def behave(_: Arrived, writer: asyncio.StreamWriter) -> bool:
        if len(server.arrived) <= 8:
            writer.write(answer(200, page_body(50))[:700])
            await asyncio.sleep(0.2)
            return False
        writer.write(answer(200, page_body(50)))
        return True

    counters = Counters()
    async with wire_server(behave) as server, client_to(server.url, counters) as client:
        tasks = [asyncio.create_task(client.list_page(None, 50)) for _ in range(8)]
        await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
        assert all(
            isinstance(end, asyncio.CancelledError) for end in await asyncio.gather(*tasks, return_exceptions=True)
        )
        server.arrived.extend([Arrived("", "", {}, 0)] * 8)
        pages = await asyncio.gather(*(client.list_page(None, 50) for _ in range(8)))
    assert [type(page) for page in pages] == [Page] * 8


GZIPPED = b"Content-Encoding: gzip\r\n"
WRONG_ANSWERS = {
    "empty": answer(200, b""),
    "blank": answer(200, b"\r\n"),
    "html": answer(200, b"<html><body>login</body></html>", b"Content-Type: text/html\r\n"),
    "html as json": answer(200, b"<html>"),
    "text": answer(200, b"OK", b"Content-Type: text/plain\r\n"),
    "null": answer(200, b"null"),
    "list": answer(200, b"[]"),
    "string": answer(200, b'"x"'),
    "error with 200": answer(200, b'{"errors":[{"code":1,"message":"x"}]}'),
    "no users": answer(200, b'{"pagination":{"next":null}}'),
    "no pagination": answer(200, b'{"users":[]}'),
    "null pagination": answer(200, b'{"users":[],"pagination":null}'),
    "number as next": answer(200, b'{"users":[],"pagination":{"next":1}}'),
    "url as next": answer(200, b'{"users":[],"pagination":{"next":"https://evil.example/"}}'),
    "two pages": answer(200, page_body(1) + page_body(1)),
    "byte order mark": answer(200, b"\xef\xbb\xbf" + page_body(1)),
    "utf-16": answer(200, page_body(1).decode().encode("utf-16")),
    "latin-1": answer(200, b'{"users":["\xe9"],"pagination":{"next":null}}'),
    "nan": answer(200, b'{"users":[NaN],"pagination":{"next":null}}'),
    "snappy": answer(200, page_body(1), b"Content-Encoding: snappy\r\n"),
    "twice gzip": answer(200, page_body(1), b"Content-Encoding: gzip, gzip\r\n"),
    "gzip that is none": answer(200, page_body(1), GZIPPED),
    "cut in length": answer(200, page_body(1)[:-1]),
    "cut in chunks": chunked(page_body(1), last=False),
    "cut at the end": until_close(page_body(1)[:-9]),
    "short": answer(200, page_body(1))[:-1],
    "no content": answer(204, b""),
    "partial": answer(206, page_body(1)),
    "not http": b"hello\r\n\r\n",
    "nothing": b"",
    "redirect": answer(302, b"", b"Location: http://127.0.0.1:1/\r\n"),
    "unauthorized": answer(
        401, b'{"message":"bad %s and %s"}' % (CANARY.encode(), CREDENTIALS.basic_header().encode())
    ),
    "forbidden": answer(403, b"<html>"),
    "not found": answer(404, b""),
    "teapot": answer(418, b"x" * 500),
    "echoed token": answer(400, b'{"message":"bad %s"}' % TOKEN.encode()),
    "header of escapes": answer(409, b"\x1b[31m", b"Twilio-Request-Id: a\x9b31m\r\n"),
    "too large": b"HTTP/1.1 200 X\r\nContent-Length: 99999999999\r\n\r\n" + b"x" * 100,
}


@pytest.mark.parametrize("name", WRONG_ANSWERS)
async def test_no_wrong_answer_is_a_page_and_none_tells_the_secret(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    texts: list[str] = []
    async with wire_server(sends(WRONG_ANSWERS[name])) as server, client_to(server.url, Counters()) as client:
        try:
            outcome: object = await client.list_page(TOKEN, 50)
        except SyncerError as error:
            outcome = error
            texts += ["".join(traceback.format_exception(error)), repr(error.__context__)]
    assert not isinstance(outcome, Page)
    texts.append(repr(outcome))
    shown = caplog.text + "".join(texts)
    basic = CREDENTIALS.basic_header().removeprefix("Basic ")
    assert [hidden for hidden in (CANARY, basic, TOKEN) if hidden in shown] == []
    assert "\x1b" not in shown
    assert "\x9b" not in shown


@pytest.mark.parametrize(("status", "exit_code"), [(401, 3), (403, 3), (404, 5), (302, 5), (409, 5), (204, 5)])
async def test_the_exit_code_of_the_contract(status: int, exit_code: int) -> None:
    async with wire_server(sends(answer(status, b""))) as server, client_to(server.url, Counters()) as client:
        with pytest.raises(SyncerError) as caught:
            await client.list_page(None, 50)
    assert caught.value.exit_code == exit_code


async def test_a_silent_server_makes_the_list_struggle_and_not_hang() -> None:
    async def silent(_: Arrived, __: asyncio.StreamWriter) -> bool:
        await asyncio.sleep(1)
        return False

    behave: Behave = silent
    async with wire_server(behave) as server, client_to(server.url, Counters()) as client:
        outcome = await client.list_page(None, 50)
    assert isinstance(outcome, Struggling)
    assert len(server.arrived) == 3


async def test_the_budget_grows_with_what_can_fail_at_once() -> None:
    async with open_client(
        "http://127.0.0.1:1", CREDENTIALS, rate=1, concurrency=64, user_agent="x", counters=Counters()
    ) as client:
        assert client.budget.tokens == 128
