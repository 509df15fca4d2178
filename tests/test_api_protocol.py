"""What an answer means: every status, and an envelope that is never taken for the end of the list by mistake."""

from __future__ import annotations

import copy
import json
import timeit
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.api.protocol import (
    Absent,
    Accepted,
    Fail,
    Gone,
    Ok,
    Operation,
    PageError,
    Retry,
    classify,
    find_next,
    parse_page,
    parse_user,
    parse_user_exactly,
    users_exactly,
)
from syncer.model import ApiError, Page, WireResponse
from tests.wire_server import page_body

OPERATIONS: tuple[Operation, ...] = ("list", "fetch", "delete")


def response(status: int, body: bytes = b"", **headers: str) -> WireResponse:
    return WireResponse(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


def kind_of(status: int, operation: Operation) -> str:
    verdict = classify(response(status), operation, 0.0)
    return f"{type(verdict).__name__} {getattr(verdict, 'kind', '')}".strip()


@pytest.mark.parametrize(
    ("statuses", "kinds"),
    [
        ((200,), ("Ok", "Ok", "Accepted")),
        ((201, 203, 206), ("Retry contract",) * 3),
        ((202, 204), ("Retry contract", "Retry contract", "Accepted")),
        ((301, 302, 303, 304, 307, 308), ("Fail redirect",) * 3),
        ((400,), ("Fail bad_request",) * 3),
        ((401, 403), ("Fail credentials",) * 3),
        ((404,), ("Fail not_found", "Gone", "Absent")),
        ((402, 405, 406, 409, 410, 413, 414, 415, 422, 451), ("Fail refused",) * 3),
        ((408, 425, 500, 501, 502, 504, 505, 507, 520, 599), ("Retry fault",) * 3),
        ((429,), ("Retry throttled",) * 3),
        ((503,), ("Retry unavailable",) * 3),
    ],
)
def test_the_status_decides(statuses: tuple[int, ...], kinds: tuple[str, ...]) -> None:
    for status in statuses:
        assert tuple(kind_of(status, operation) for operation in OPERATIONS) == kinds


def test_the_status_decides_and_not_the_code() -> None:
    body = b'{"errors":[{"code":20404,"message":"gone?"}]}'
    assert classify(response(400, body), "list", 0.0) == Fail("bad_request", ApiError(400, "gone?", 20404))


def test_a_success_passes_its_body_and_request_id_on() -> None:
    assert classify(response(200, b"{}", twilio_request_id="RQ1"), "list", 0.0) == Ok(b"{}", "RQ1")


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_read_from_429_and_503(status: int) -> None:
    dated = response(status, retry_after="Mon, 23 Nov 2026 02:00:09 GMT", date="Mon, 23 Nov 2026 02:00:00 GMT")
    verdicts = [
        classify(answer, "list", 0.0) for answer in (dated, response(status, retry_after="7"), response(status))
    ]
    assert [verdict.after_seconds for verdict in verdicts if isinstance(verdict, Retry)] == [9.0, 7.0, None]


@pytest.mark.parametrize("encoding", ["snappy", "gzip, gzip", "zstd", "x"])
def test_an_encoding_that_nobody_asked_for_is_a_damaged_answer(encoding: str) -> None:
    verdict = classify(response(200, page_body(1), content_encoding=encoding), "list", 0.0)
    assert verdict == Retry("garbled", ApiError(200, "a content encoding that was not asked for"))


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "identity", "", "deflate", "br"])
def test_an_encoding_that_the_transport_undoes_is_fine(encoding: str) -> None:
    assert isinstance(classify(response(200, b"", content_encoding=encoding), "list", 0.0), Ok)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            response(202, b'{"resourceId":"u1","resourceLocation":"https://x/u1"}', location="no"),
            ("u1", "https://x/u1"),
        ),
        (response(202, b"", location="https://x/u1"), (None, "https://x/u1")),
        (response(202, b"[]"), (None, None)),
        (response(204, b""), (None, None)),
        (response(202, b'{"resourceId":7,"resourceLocation":{}}'), (None, None)),
        (response(202, b'{"resourceId":"a\\u001b[31m"}'), ("a\\x1b[31m", None)),
    ],
)
def test_an_accepted_delete_is_read_from_the_body_first(
    answer: WireResponse, expected: tuple[str | None, str | None]
) -> None:
    assert classify(answer, "delete", 0.0) == Accepted(*expected)


def test_a_missing_user_is_gone_for_a_fetch_and_absent_for_a_delete() -> None:
    assert [classify(response(404), operation, 0.0) for operation in ("fetch", "delete")] == [Gone(), Absent()]


@pytest.mark.parametrize(
    ("pagination", "expected"),
    [
        ({"next": "dG9r", "self": "s"}, ("dG9r", None)),
        ({"next": None, "self": "s"}, (None, "null")),
        ({"self": "s"}, (None, "absent")),
        ({"next": "", "self": "s"}, (None, "empty")),
        ({"next": "/v1Abase64+/=="}, ("/v1Abase64+/==", None)),
        ({"next": "x" * 4096}, ("x" * 4096, None)),
    ],
)
def test_a_page_and_each_spelling_of_the_end(
    pagination: dict[str, object], expected: tuple[str | None, str | None]
) -> None:
    body = orjson.dumps({"users": [{"id": "a"}, 7], "pagination": pagination})
    token, end = expected
    assert parse_page(body) == Page([{"id": "a"}, 7], token, end, body)  # type: ignore[list-item, arg-type]
    assert find_next(body) == token


GOOD: dict[str, Any] = {"users": [{"id": "a"}], "pagination": {"next": None, "self": "c2VsZg=="}}


def mutations() -> list[bytes]:
    """40 envelopes that break the contract, each by one thing."""
    wrong: list[Any] = [None, 0, 1, True, False, "", "x", 1.5]
    changed: list[Any] = []
    for value in [*wrong, {}]:
        changed.append({**GOOD, "users": value})
    for value in [*wrong, []]:
        changed.append({**GOOD, "pagination": value})
    for value in [0, 1, True, False, 1.5, [], {}, ["dG9r"], {"token": "x"}]:
        changed.append({**GOOD, "pagination": {"next": value, "self": "s"}})
    for value in ["https://x/y?pageToken=1", "http://x", "HTTPS://x", "/v1/PushNotifications/Users", "x" * 4097]:
        changed.append({**GOOD, "pagination": {"next": value}})
    for key in GOOD:
        changed.append({name: value for name, value in copy.deepcopy(GOOD).items() if name != key})
    changed += [[], [GOOD], "x", None, 1, {"errors": []}]
    return [json.dumps(value).encode() for value in changed]


def test_no_broken_envelope_is_ever_the_end_of_the_list() -> None:
    bodies = mutations()
    outcomes = []
    for body in bodies:
        with pytest.raises(PageError) as caught:
            parse_page(body)
        outcomes.append(caught.value.retryable)
    assert (len(bodies), outcomes) == (40, [False] * 40)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"<html>502</html>",
        b"{",
        b'{"users":[]',
        b"\xff\xfe",
        b"null null",
        b'\xef\xbb\xbf{"users":[]}',
        b"\x1f\x8b\x08",
    ],
)
def test_bytes_that_are_not_json_may_be_a_fault_on_the_way(body: bytes) -> None:
    with pytest.raises(PageError) as caught:
        parse_page(body)
    assert caught.value.retryable
    assert caught.value.__context__ is None  # the parser's own exception would carry the body


def test_no_cut_of_a_page_is_accepted() -> None:
    body = page_body(40, "dG9rZW4=")
    for at in range(len(body)):
        with pytest.raises(PageError):
            parse_page(body[:at])
    assert parse_page(body).next == "dG9rZW4="


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_only_a_page_error_comes_out_of_a_page_parser(body: bytes) -> None:
    try:
        page = parse_page(body)
    except PageError:
        return
    parsed = json.loads(body)
    assert (page.users, page.next) == (parsed["users"], parsed["pagination"].get("next") or None)


@given(st.binary(max_size=200), st.text(max_size=20))
def test_the_guess_never_raises_and_is_unsure_rather_than_wrong(noise: bytes, token: str) -> None:
    find_next(noise + b'"pagination"' + noise)
    body = orjson.dumps({"users": [{"id": '"pagination":{"next":"no"}'}], "pagination": {"next": token or None}})
    assert find_next(body) in (parse_page(body).next, None)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        page_body(1, None),
        b'{"pagination":{"next":"a"},"users":[]' + b" " * 9000 + b"}",
        b'{"users":[],"pagination":{"next":"a"}',
        b'{"users":[],"pagination":["a"]}',
        b'{"users":[],"pagination":{"next":7}}',
        b'{"pagination":{"next":"a"},"users":[]}x',
    ],
)
def test_the_guess_is_none_when_unsure(body: bytes) -> None:
    assert find_next(body) is None


def test_the_guess_costs_microseconds() -> None:
    body = page_body(1000, "dG9rZW4=" * 30)
    assert min(timeit.repeat(lambda: find_next(body), number=100, repeat=5)) / 100 < 100e-6


def test_a_user_is_an_object() -> None:
    assert parse_user(b'{"id":"a","related":[]}') == {"id": "a", "related": []}
    for body, retryable in ((b"", True), (b"[]", False), (b"null", False)):
        with pytest.raises(PageError) as caught:
            parse_user(body)
        assert caught.value.retryable is retryable


def test_the_numbers_of_a_user_keep_their_value() -> None:
    body = b'{"id":"a","n":[123456789012345678901234567890,0.5],"m":{"k":18446744073709551616}}'
    assert parse_user_exactly(body) == {"id": "a", "n": [123456789012345678901234567890, 0.5], "m": {"k": 1 << 64}}
    assert parse_user_exactly(b'{"id":"a","n":1}') == parse_user(b'{"id":"a","n":1}') == {"id": "a", "n": 1}
    with pytest.raises(PageError, match="cannot read"):
        parse_user_exactly(b'{"id":"a","n":' + b"1" * 5000 + b"}")


def test_the_numbers_of_a_pages_users_keep_their_value() -> None:
    body = b'{"users":[{"id":"a","n":18446744073709551616}],"pagination":{"next":null}}'
    assert users_exactly(parse_page(body)) == [{"id": "a", "n": 1 << 64}]
    plain = parse_page(b'{"users":[{"id":"a","n":1.5}],"pagination":{"next":null}}')
    assert users_exactly(plain) is plain.users
    with pytest.raises(PageError, match="cannot read"):
        users_exactly(Page([], None, "null", b'{"users":[' + b"1" * 5000 + b"]}"))
