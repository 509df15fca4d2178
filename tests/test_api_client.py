"""The client over a scripted wire in virtual time: what each answer leads to, how often it asks and when."""

from __future__ import annotations

import asyncio
import logging
import random
from itertools import pairwise

import pytest

from syncer.api.backoff import RetryBudget
from syncer.api.client import Deleted
from syncer.api.protocol import Gone
from syncer.errors import ContractBroken, CredentialsRefused, GaveUp, SyncerError, UsageError
from syncer.model import ApiError, Counters, ListAnswer, Page, Struggling, Token, TokenRefused, WireRequest
from tests.scripted_wire import Answer, ScriptedWire, answer, client_over, failed
from tests.virtual_time import run_virtual
from tests.wire_server import page_body

TOKEN = Token("AC0123456789-token==")
GOOD = answer(200, page_body(2, "bmV4dA=="))
SLOW = b'{"errors":[{"code":20429,"message":"slow down"}]}'


def list_over(*script: Answer, token: Token | None = TOKEN, **options: object) -> tuple[ListAnswer, ScriptedWire]:
    wire = ScriptedWire(list(script))
    return run_virtual(client_over(wire, **options).list_page(token, 50)), wire  # type: ignore[arg-type]


def error_over(*script: Answer, token: Token | None = TOKEN, **options: object) -> tuple[SyncerError, ScriptedWire]:
    wire = ScriptedWire(list(script))
    with pytest.raises(SyncerError) as caught:
        run_virtual(client_over(wire, **options).list_page(token, 50))  # type: ignore[arg-type]
    assert TOKEN not in str(caught.value)
    return caught.value, wire


def test_a_page_is_asked_by_size_and_token() -> None:
    page, wire = list_over(GOOD)
    assert isinstance(page, Page)
    assert (page.next, page.end, len(page.users), page.body) == ("bmV4dA==", None, 2, GOOD.body)
    assert wire.requests == [WireRequest("GET", "/PushNotifications/Users", (("pageSize", "50"), ("pageToken", TOKEN)))]


def test_the_first_page_is_asked_without_a_token() -> None:
    _, wire = list_over(GOOD, token=None)
    assert wire.requests == [WireRequest("GET", "/PushNotifications/Users", (("pageSize", "50"),))]


def test_the_next_request_can_leave_before_the_page_is_returned() -> None:
    wire = ScriptedWire([GOOD])
    events: list[str] = []

    async def main() -> None:
        client = client_over(wire, concurrency=1)

        async def early() -> None:
            task = asyncio.create_task(client.list_page(Token("bmV4dA=="), 50))
            await asyncio.sleep(0)
            events.append(f"{len(wire.requests)} requests")
            await task

        tasks = []

        def on_next(token: Token) -> None:
            events.append(token)
            tasks.append(asyncio.create_task(early()))

        await client.list_page(None, 50, on_next)
        events.append(f"returned after {len(wire.requests)}")
        await asyncio.gather(*tasks)

    run_virtual(main())
    assert events[0] == "bmV4dA=="
    assert wire.requests[1].params[1] == ("pageToken", "bmV4dA==")
    assert wire.times[1] - wire.times[0] < 0.0102


def test_the_guess_is_made_for_each_whole_body_and_the_parse_is_the_judge() -> None:
    guesses: list[Token] = []
    broken = answer(200, b'{"users":7,"pagination":{"next":"d3Jvbmc="}}')
    wire = ScriptedWire([answer(500), broken, GOOD])
    page = run_virtual(client_over(wire).list_page(None, 50, guesses.append))
    assert isinstance(page, Page)
    assert guesses == ["d3Jvbmc=", "bmV4dA=="]


@pytest.mark.parametrize(
    "bad",
    [
        answer(500, SLOW), answer(502, b"<html>"), answer(503), answer(504), answer(408), answer(425),
        failed("disconnected"), failed("timeout"), failed("truncated"), failed("connect", sent=False),
        failed("protocol"), answer(200, b""), answer(200, b"<html>"), answer(200, GOOD.body[:-1]),
        answer(200, b"[]"), answer(201, GOOD.body),
        answer(200, GOOD.body, content_encoding="snappy"), answer(429, SLOW), answer(503, retry_after="2"),
    ],
)  # fmt: skip
def test_one_bad_answer_is_followed_by_another_attempt(bad: Answer) -> None:
    counters = Counters()
    page, wire = list_over(bad, GOOD, counters=counters)
    assert isinstance(page, Page)
    assert (counters.requests, counters.retries, len(wire.requests)) == (2, 1, 2)


@pytest.mark.parametrize(
    "bad", [answer(500), failed("timeout"), failed("truncated"), failed("too_large"), failed("disconnected")]
)
def test_a_page_that_keeps_failing_is_worth_a_smaller_one(bad: Answer) -> None:
    struggling, wire = list_over(bad)
    assert isinstance(struggling, Struggling)
    assert len(wire.requests) == 3


@pytest.mark.parametrize(
    ("bad", "kind", "attempts"),
    [
        (answer(503), GaveUp, 8),
        (failed("connect", sent=False), GaveUp, 8),
        (answer(200, b"<html>"), GaveUp, 3),
        (answer(200, b""), GaveUp, 3),
        (answer(200, GOOD.body[:-1]), GaveUp, 3),
        (failed("protocol"), GaveUp, 3),
        (answer(200, b'{"users":[]}'), ContractBroken, 3),
        (answer(200, b'{"users":[],"pagination":{"next":7}}'), ContractBroken, 3),
        (answer(204), ContractBroken, 3),
        (answer(401, SLOW), CredentialsRefused, 1),
        (answer(403, SLOW), CredentialsRefused, 1),
        (answer(302, b"", location="https://evil.example"), ContractBroken, 1),
        (answer(429, b"", retry_after="0"), GaveUp, 100),
        (answer(429, b"", retry_after="999999999"), GaveUp, 1),
        (answer(503, b"", retry_after="999999999"), GaveUp, 1),
    ],
)
def test_the_end_of_trying_has_its_class_and_its_number_of_requests(
    bad: Answer, kind: type[SyncerError], attempts: int
) -> None:
    error, wire = error_over(bad)
    assert (type(error), len(wire.requests)) == (kind, attempts)


def test_a_refused_token_is_asked_twice_and_never_repeated_in_words() -> None:
    body = b'{"errors":[{"code":20404,"message":"bad pageToken %s"}]}' % TOKEN.encode()
    refused, wire = list_over(answer(400, body, twilio_request_id=f"RQ{TOKEN}"))
    assert refused == TokenRefused(ApiError(400, "bad pageToken (hidden)", 20404, "RQ(hidden)"))
    assert len(wire.requests) == 2


@pytest.mark.parametrize("status", [404, 405, 409, 410, 418, 422])
def test_any_other_refusal_of_a_token_is_one_too_and_without_a_token_ends_the_run(status: int) -> None:
    refused, wire = list_over(answer(status))
    assert isinstance(refused, TokenRefused)
    assert len(wire.requests) == 2
    error, wire = error_over(answer(status), token=None)
    assert (type(error), len(wire.requests)) == (ContractBroken, 1)


def test_a_single_400_is_a_fault_of_the_edge() -> None:
    page, wire = list_over(answer(400), GOOD)
    assert isinstance(page, Page)
    assert len(wire.requests) == 2


def test_a_400_without_a_token_is_a_broken_contract_with_the_api_s_words() -> None:
    error, wire = error_over(answer(400, b'{"code":1,"message":"pageSize too large"}'), token=None)
    assert str(error) == (
        "the first page of the list was refused with HTTP 400: pageSize too large; "
        "check the base URL, the page size and the ids"
    )
    assert len(wire.requests) == 1


RETRY_AFTERS = [
    ("7", 7), ("0", 0), ("1", 1), (None, 0), ("-5", 0), ("nonsense", 0), ("1e3", 0), ("1_0", 0), ("٣", 0),
    ("Mon, 23 Nov 2026 02:00:09 GMT", 9), ("Monday, 23-Nov-26 02:00:09 GMT", 9), ("Mon Nov 23 02:00:09 2026", 9),
]  # fmt: skip


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("value", "seconds"), RETRY_AFTERS)
def test_no_request_leaves_inside_a_retry_after_window(status: int, value: str | None, seconds: float) -> None:
    headers = {"date": "Mon, 23 Nov 2026 02:00:00 GMT"} | ({"retry_after": value} if value is not None else {})
    wire = ScriptedWire([answer(status, b"", **headers), GOOD])

    async def main() -> None:
        client = client_over(wire)
        first = asyncio.create_task(client.list_page(None, 50))
        await asyncio.sleep(0.02)
        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(client.list_page(None, 50))
        await first

    run_virtual(main())
    assert len(wire.times) == 7
    assert wire.times[1] - wire.times[0] < seconds + 2.5
    if seconds:
        assert wire.times[1] >= wire.times[0] + 0.01 + seconds


@pytest.mark.parametrize(("failed", "budget"), [(0, 0.0), (7, 50.0)])
def test_a_wait_that_was_asked_for_is_kept_by_others_where_the_request_itself_is_given_up(
    failed: int, budget: float
) -> None:
    wire = ScriptedWire([*[answer(503)] * failed, answer(503, b"", retry_after="90"), GOOD])

    async def main() -> None:
        client = client_over(wire, budget=RetryBudget(budget))
        with pytest.raises(GaveUp):
            await client.list_page(None, 50)
        await client.list_page(None, 50)

    run_virtual(main())
    assert len(wire.times) == failed + 2
    assert wire.times[-1] >= wire.times[-2] + 90


def test_429s_cost_no_budget_and_are_counted() -> None:
    counters = Counters()
    list_over(*[answer(429, b"", retry_after="1")] * 30, GOOD, counters=counters, budget=RetryBudget(0.0))
    assert (counters.throttled, counters.requests, counters.retries) == (30, 31, 30)


def test_an_empty_budget_ends_the_run_with_the_last_error() -> None:
    error, wire = error_over(answer(500, SLOW), budget=RetryBudget(1.0))
    assert isinstance(error, GaveUp)
    assert "retry budget of the run is spent" in str(error)
    assert "slow down" in str(error)
    assert len(wire.requests) == 2


def test_good_pages_pay_back_a_tenth() -> None:
    wire = ScriptedWire([GOOD])
    client = client_over(wire, budget=RetryBudget(3.0))

    async def main() -> None:
        for _ in range(10):
            await client.list_page(None, 50)

    run_virtual(main())
    assert client.budget.tokens == pytest.approx(4.0)


def test_an_outage_is_met_with_at_most_fifty_retries_and_a_tenth_of_the_good_pages() -> None:
    wire = ScriptedWire([GOOD] * 40 + [answer(503)])

    async def main() -> None:
        client = client_over(wire)
        for _ in range(40):
            await client.list_page(None, 50)
        async with asyncio.TaskGroup() as group:
            for _ in range(30):
                group.create_task(client.list_page(None, 50))

    with pytest.raises(ExceptionGroup) as caught:
        run_virtual(main())
    assert caught.group_contains(GaveUp)
    assert len(wire.requests) - 40 - 30 <= 50 + 4


@pytest.mark.parametrize(
    ("script", "deadline_at", "said", "ends_by"),
    [
        ([answer(429, b"", retry_after="90")], 60.0, "would have to wait 90 s, past the deadline", 0.1),
        ([answer(503, b"", retry_after="90")], 60.0, "would have to wait 90 s, past the deadline", 0.1),
        ([answer(429, b"", retry_after="5")], 60.0, "past the deadline", 60.1),
        ([answer(503)], 2.0, "past the deadline", 2.1),
    ],
)
def test_a_wait_past_the_deadline_is_not_begun(
    script: list[Answer], deadline_at: float, said: str, ends_by: float
) -> None:
    wire = ScriptedWire(script)

    async def main() -> float:
        with pytest.raises(GaveUp, match=said):
            await client_over(wire, deadline_at=deadline_at).list_page(None, 50)
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) <= ends_by


def test_a_closed_door_beyond_the_deadline_ends_the_others_at_once() -> None:
    wire = ScriptedWire([answer(429, b"", retry_after="90")])

    async def main() -> tuple[list[BaseException], float]:
        client = client_over(wire, deadline_at=60.0)
        both = [await asyncio.gather(client.list_page(None, 50), return_exceptions=True) for _ in range(2)]
        return [error for (error,) in both if isinstance(error, BaseException)], asyncio.get_running_loop().time()

    errors, at = run_virtual(main())
    assert [type(error) for error in errors] == [GaveUp, GaveUp]
    assert (len(wire.requests), at < 1) == (1, True)


def test_a_deadline_in_the_middle_of_a_request_ends_it() -> None:
    wire = ScriptedWire([GOOD], latency_seconds=50.0)

    async def main() -> float:
        with pytest.raises(GaveUp, match="the deadline came during the first page"):
            await client_over(wire, deadline_at=20.0).list_page(None, 50)
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == pytest.approx(20.0, abs=0.01)


def test_a_connection_closed_meanwhile_is_asked_again_without_a_wait() -> None:
    _, wire = list_over(failed("disconnected"), GOOD)
    assert wire.times[1] - wire.times[0] == pytest.approx(wire.latency_seconds, abs=0.002)


def test_waits_grow_and_have_full_jitter() -> None:
    waits: list[list[float]] = []
    for seed in range(40):
        wire = ScriptedWire([answer(503)] * 5 + [GOOD], latency_seconds=0.0)
        run_virtual(client_over(wire, seed=seed).list_page(None, 50))
        waits.append([later - earlier for earlier, later in pairwise(wire.times)])
    for attempt in range(5):
        column = [row[attempt] for row in waits]
        bound = 0.5 * 2**attempt
        assert 0.75 * bound < max(column) <= bound + 0.01
        assert min(column) < 0.25 * bound


def test_fetch_returns_the_user_as_served_or_gone() -> None:
    async def main() -> list[object]:
        wire = ScriptedWire(
            [answer(200, b'{"id":"a b","related":[]}'), answer(404), answer(200, b"<"), answer(200, b"{}")]
        )
        client = client_over(wire)
        users: list[object] = [await client.fetch_user("a b/../c") for _ in range(3)]
        return [*users, wire.requests[0].path, len(wire.requests)]

    assert run_virtual(main()) == [
        {"id": "a b", "related": []},
        Gone(),
        {},
        "/PushNotifications/Users/a%20b%2F..%2Fc",
        4,
    ]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ([answer(202, b'{"resourceId":"u1","resourceLocation":"https://x/u1"}')], Deleted("accepted", 1, "u1", "https://x/u1")),
        ([answer(204)], Deleted("accepted", 1)),
        ([answer(404)], Deleted("already_absent", 1)),
        ([failed("disconnected"), answer(404)], Deleted("presumed", 2)),
        ([failed("timeout"), answer(429, b"", retry_after="1"), answer(404)], Deleted("presumed", 3)),
        ([answer(500), answer(404)], Deleted("presumed", 2)),
        ([failed("connect", sent=False), answer(404)], Deleted("already_absent", 2)),
        ([answer(429), answer(404)], Deleted("already_absent", 2)),
        ([answer(503), answer(404)], Deleted("already_absent", 2)),
        ([failed("disconnected"), answer(202, b"")], Deleted("accepted", 2)),
    ],
)  # fmt: skip
def test_delete_tells_absent_from_presumed(script: list[Answer], expected: Deleted) -> None:
    wire = ScriptedWire(script)
    assert run_virtual(client_over(wire).delete_user("u1")) == expected
    assert {(request.method, request.path) for request in wire.requests} == {("DELETE", "/PushNotifications/Users/u1")}


@pytest.mark.parametrize("verb", ["fetch_user", "delete_user"])
@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ([answer(401)], CredentialsRefused),
        ([answer(400)], ContractBroken),
        ([answer(500)], GaveUp),
        ([answer(200, b"[]", content_encoding="x")], GaveUp),
    ],
)
def test_fetch_and_delete_fail_with_the_class_of_the_contract(
    verb: str, script: list[Answer], kind: type[SyncerError]
) -> None:
    with pytest.raises(kind):
        run_virtual(getattr(client_over(ScriptedWire(script)), verb)("u1"))


@pytest.mark.parametrize("user_id", ["", ".", "..", "x" * 129])
def test_an_id_that_would_leave_its_place_in_the_path_is_refused(user_id: str) -> None:
    wire = ScriptedWire([GOOD])
    with pytest.raises(UsageError, match="is not a user id"):
        run_virtual(client_over(wire).delete_user(user_id))
    assert wire.requests == []


def test_each_repeat_is_logged_with_status_code_request_and_wait_and_without_token(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "syncer")
    body = b'{"errors":[{"code":20500,"message":"no luck with %s, secret-canary"}]}' % TOKEN.encode()
    list_over(answer(503, body, twilio_request_id="RQ9"), GOOD, hidden=("secret-canary",), seed=1)
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage() == (
        "page 64fd750f of the list: HTTP 503: no luck with (hidden), (hidden) "
        "(code 20500, request RQ9), attempt 1, again in 0.1 s"
    )


@pytest.mark.parametrize("storm", range(30))
def test_a_storm_of_429s_is_waited_out_in_the_open(storm: int) -> None:
    rng = random.Random(storm)
    values = [value for value, _ in RETRY_AFTERS]
    headers = {"date": "Mon, 23 Nov 2026 02:00:00 GMT"}
    script: list[Answer] = []
    for _ in range(rng.randrange(3, 40)):
        value = rng.choice(values)
        script.append(answer(429, SLOW, **headers, **({"retry_after": value} if value is not None else {})))
    counters = Counters()
    wire = ScriptedWire([*script, GOOD])

    async def main() -> None:
        client = client_over(wire, counters=counters, rate=20.0)
        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(client.list_page(None, 50))

    run_virtual(main())
    assert (counters.throttled, counters.waiting_for) == (len(script), "")
    assert max(sum(at <= other < at + 1 for other in wire.times) for at in wire.times) <= 21
