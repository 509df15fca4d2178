"""The emulator on a socket: credentials, limits, latency, routes."""

import asyncio
import json
import re
from email.utils import parsedate_to_datetime
from itertools import pairwise
from typing import Any

import pytest

from syncer.emulator.faults import parse_fault
from syncer.emulator.options import Options
from syncer.emulator.server import Emulator, parse_basic, route, running, serve, truth
from tests.emulator_client import ACCOUNT, basic, client, users_of_pages

USERS = "/v1/PushNotifications/Users"


async def test_a_walk_shows_the_users_that_the_options_say() -> None:
    for order in ("oldest", "newest"):
        async with client(users=1234, order=order) as one:
            met = users_of_pages(await one.walk(500))
        everyone = list(truth(Options(users=1234)))
        assert met == (everyone if order == "oldest" else everyone[::-1])


@pytest.mark.parametrize(
    "auth",
    [None, "Bearer x", "Basic", "Basic !", "Basic /w==", basic("XX1"), basic("", "x"), basic(ACCOUNT, ""), basic(":")],
)
async def test_what_is_no_account_and_secret_answers_401(auth: str | None) -> None:
    async with client() as one:
        got = await one.page(auth)
        assert (got.status, got.headers["WWW-Authenticate"]) == (401, 'Basic realm="Twilio API"')
        assert (got.json["code"], one.emulator.log[0].account) == (20003, None)


async def test_any_account_or_key_is_accepted_unless_pairs_are_given() -> None:
    async with client(account="AC7") as one:
        assert [(await one.page(basic(user))).status for user in ("AC1", "SK1")] == [200, 200]
        assert [entry.account for entry in one.emulator.log] == ["AC1", "AC7"]
    async with client(credentials=(("AC1", "a:b"), ("me", "c"))) as one:
        auths = [basic("AC1", "a:b"), basic("me", "c"), basic("AC1", "c"), basic("SK1", "x")]
        assert [(await one.page(auth)).status for auth in auths] == [200, 200, 401, 401]


async def test_a_token_holds_for_the_keys_of_its_account_and_for_no_other_account() -> None:
    async with client(account="AC1") as one:
        token = (await one.page(basic("AC1"))).json["pagination"]["next"]
        statuses = [(await one.page(basic(user), pageToken=token)).status for user in ("AC1", "SK1", "SK2", "AC2")]
        assert statuses == [200, 200, 200, 400]


@pytest.mark.parametrize(
    ("form", "content_type"),
    [
        ("classic", "application/json"),
        ("errors", "application/json"),
        ("problem", "application/problem+json"),
        ("html", "text/html"),
        ("empty", None),
    ],
)
async def test_a_forbidden_account_gets_403_in_the_form_asked_for(form: str, content_type: str | None) -> None:
    async with client(forbidden=True, auth_body=form) as one:
        got = await one.page()
        assert (got.status, got.headers.get("Content-Type"), got.body == b"") == (403, content_type, form == "empty")


@pytest.mark.parametrize(
    ("status", "options", "content_type"),
    [
        (500, {}, "application/json"),
        (500, {"error_body": "problem"}, "application/problem+json"),
        (429, {"error_body": "html"}, "text/html"),
        (502, {}, "text/html"),
        (504, {"gateway_body": "classic", "error_body": "html"}, "application/json"),
        (401, {"error_body": "html"}, "application/json"),
    ],
)
async def test_errors_have_the_body_asked_for(status: int, options: dict[str, Any], content_type: str) -> None:
    async with client(fault=((parse_fault(str(status)), 1.0),), **options) as one:
        got = await one.page()
        assert (got.status, got.headers["Content-Type"]) == (status, content_type)
        assert "Twilio-Request-Id" in got.headers


@pytest.mark.parametrize("answer", ["400", "404", "410", "422", "500", "first-page"])
async def test_a_bad_token_has_the_answer_asked_for(answer: str) -> None:
    async with client(users=120, bad_token=answer) as one:
        got = await one.page(pageToken="nonsense")
        if answer == "first-page":
            assert got.json == (await one.page()).json
        else:
            assert got.status == int(answer)


async def test_a_page_takes_longer_with_more_users() -> None:
    async with client(users=300, latency_per_user=1.0) as one:
        await one.page(pageSize=1)
        await one.page(pageSize=300)
        took = [entry.end - entry.start for entry in one.emulator.log if entry.end is not None]
    assert took[0] < 0.3 <= took[1]


async def test_every_answer_has_a_request_id_that_the_log_knows() -> None:
    async with client(fault=((parse_fault("500"), 0.5),)) as one:
        got = [await one.page() for _ in range(20)]
        ids = [answer.headers["Twilio-Request-Id"] for answer in got]
        assert ids == [entry.request_id for entry in one.emulator.log]
        assert all(re.fullmatch("RQ[0-9a-f]{32}", one_id) for one_id in ids)
        assert {answer.headers["Twilio-Concurrent-Requests"] for answer in got} == {"1"}


async def test_a_burst_is_answered_and_the_rest_told_when_to_come_back() -> None:
    async with client(users=1, rate=1.0, burst=5) as one:
        got = [await one.page() for _ in range(8)]
        assert [answer.status for answer in got] == [200] * 5 + [429] * 3
        assert [answer.headers["Retry-After"] for answer in got[5:]] == ["1"] * 3
        assert got[5].json["errors"][0]["code"] == 20429
        await asyncio.sleep(0.06)
        await one.page()
        assert one.emulator.stats["early_requests"] == 1


async def test_limits_are_those_of_an_account() -> None:
    async with client(users=1, rate=0.01, burst=1) as one:
        statuses = [(await one.page(basic(user))).status for user in ("AC1", "AC1", "AC2", "AC2", "SK1")]
        assert statuses == [200, 429, 200, 429, 200]


async def test_too_many_at_once_are_refused() -> None:
    async with client(users=1, concurrency=3, latency=200.0) as one:
        got = await asyncio.gather(*(one.page() for _ in range(5)))
        assert sorted(answer.status for answer in got) == [200, 200, 200, 429, 429]
        assert one.emulator.stats["max_concurrent"] in (4, 5)  # a refused one may be gone before the last comes
        assert (await one.page()).status == 200


@pytest.mark.parametrize(
    ("word", "expected"), [("zero", "0"), ("none", None), ("nonsense", "in a moment"), ("negative", "-5"), ("7", "7")]
)
async def test_retry_after_is_what_the_knob_says(word: str, expected: str | None) -> None:
    async with client(users=1, rate=0.01, burst=1, retry_after=word) as one:
        await one.page()
        assert (await one.page()).headers.get("Retry-After") == expected


async def test_retry_after_may_be_a_date() -> None:
    async with client(users=1, rate=0.5, burst=1, retry_after="date") as one:
        await one.page()
        got = await one.page()
        wait = parsedate_to_datetime(got.headers["Retry-After"]) - parsedate_to_datetime(got.headers["Date"])
        assert 1 <= wait.total_seconds() <= 4


async def test_latency_is_the_time_to_answer() -> None:
    async with client(users=1, latency=50.0, jitter=20.0) as one:
        for _ in range(3):
            await one.page()
        assert all(0.05 <= (entry.end or 0) - entry.start < 0.5 for entry in one.emulator.log)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 418, 429, 500, 502, 503, 504, 599])
async def test_a_status_fault_answers_that_status(status: int) -> None:
    async with client(fault=((parse_fault(str(status)), 1.0),)) as one:
        got = await one.page()
        assert (got.status, "Retry-After" in got.headers) == (status, status in (429, 503))
        assert got.headers["Content-Type"] == ("text/html" if status in (502, 504) else "application/json")
        assert one.emulator.stats["by_fault"] == {str(status): 1}


async def test_the_wait_of_a_fault_can_be_said() -> None:
    async with client(fault=((parse_fault("503:none"), 1.0),)) as one:
        assert "Retry-After" not in (await one.page()).headers
    async with client(fault=((parse_fault("429:30"), 1.0),)) as one:
        assert (await one.page()).headers["Retry-After"] == "30"


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/PushNotifications/Users/", 200, None),
        ("GET", "/PushNotifications/users", 404, None),
        ("GET", "/PushNotifications/Users/a/b", 404, None),
        ("GET", "/", 404, None),
        ("POST", "/PushNotifications/Users", 405, "GET"),
        ("DELETE", "/PushNotifications/Users", 405, "GET"),
        ("PUT", "/PushNotifications/Users/a", 405, "GET, DELETE"),
    ],
)
async def test_other_paths_and_methods(method: str, path: str, status: int, allow: str | None) -> None:
    async with client() as one:
        got = await one.call(method, path)
        assert (got.status, got.headers.get("Allow")) == (status, allow)


async def test_a_delete_over_the_wire() -> None:
    async with client(deleted="gone", users=5) as one:
        identity = (await one.page()).json["users"][0]["id"]
        got = await one.user(identity, "DELETE")
        place = f"{one.emulator.url}/PushNotifications/Users/{identity}"
        assert (got.status, got.headers["Location"]) == (202, place)
        assert got.json == {"resourceId": identity, "resourceLocation": place}
        assert (await one.user(identity)).status == 404


async def test_a_delete_without_a_body_has_no_type() -> None:
    async with client(delete_body="no", users=5) as one:
        got = await one.user((await one.page()).json["users"][0]["id"], "DELETE")
        assert (got.status, got.body, got.headers.get("Content-Type")) == (202, b"", None)


async def test_connections_are_kept() -> None:
    async with client(users=1) as one:
        for _ in range(3):
            await one.page()
        connector = one.session.connector
        assert connector is not None
        assert sum(len(kept) for kept in connector._conns.values()) == 1


async def test_two_emulators_with_one_seed_answer_alike() -> None:
    async def walked(**options: Any) -> list[Any]:
        knobs = {"users": 300, "churn_create": 0.5, "churn_update": 0.5, "short_pages": 0.3, "seed": 5} | options
        async with client(**knobs, fault=((parse_fault("dup-row"), 0.2),)) as one:
            return await one.walk(30)

    assert await walked() == await walked() != await walked(seed=6)


async def test_concurrent_walks_of_a_large_account_stay_apart() -> None:
    async with client(users=100_000_000) as one:
        first = (await one.page(pageSize=2)).json
        got = await asyncio.gather(*(one.page(pageSize=1000) for _ in range(8)))
        assert all(answer.json["users"][:2] == first["users"] for answer in got)
        assert one.emulator.stats["users"] == 8002


async def test_stopping_ends_requests_that_never_end() -> None:
    async with running(Options(fault=((parse_fault("stall"), 1.0),))) as emulator:
        port = int(emulator.origin.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {USERS} HTTP/1.1\r\nHost: x\r\nAuthorization: {basic()}\r\n\r\n".encode())
        await asyncio.sleep(0.1)
        assert len(emulator.log) == 1
    async with asyncio.timeout(2):
        assert await reader.read() == b""
    assert emulator.stats["active"] == 0
    writer.close()


async def test_an_address_that_is_taken_leaves_nothing_behind() -> None:
    async with client() as one:
        port = int(one.emulator.origin.rpartition(":")[2])
        with pytest.raises(OSError, match="address already in use"):
            await serve(Options(port=port))
        assert (await one.page()).status == 200


async def test_stopping_before_the_start_is_harmless() -> None:
    emulator = Emulator(Options())
    await emulator.stop()
    assert (emulator.url, emulator.log) == ("", [])


async def test_a_client_that_left_is_counted_without_an_answer() -> None:
    async with client(latency=60_000.0) as one:
        for wait_seconds in (0.02, 0.04, 0.06):
            await one.raw(wait_seconds=wait_seconds)
        await asyncio.sleep(0.05)
        assert [(entry.status, entry.bytes, entry.end is None) for entry in one.emulator.log] == [(None, 0, False)] * 3
        assert one.emulator.stats["active"] == 0


async def test_the_log_file_holds_every_request(tmp_path: Any) -> None:
    path = tmp_path / "requests.ndjson"
    async with client(users=30, log_file=str(path)) as one:
        await one.walk(10)
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert [line["users"] for line in lines] == [10, 10, 10]
    assert all(older["end"] <= newer["start"] for older, newer in pairwise(lines))


def test_routes() -> None:
    assert route("GET", USERS) == ("list", None)
    assert route("DELETE", f"{USERS}/a%2Fb") == ("delete", "a/b")
    assert route("HEAD", f"{USERS}/a") == ("forbidden", "a")
    assert route("GET", f"{USERS}x") == ("unknown", None)


def test_a_basic_pair_is_read() -> None:
    assert parse_basic(basic("AC1", "a:b")) == ("AC1", "a:b")
    assert [parse_basic(header) for header in (None, "", "Digest x", "Basic *", "Basic /w==")] == [("", "")] * 5
