"""Every status in every form of body, for every operation: the exit code, and one sentence that is safe to print."""

from __future__ import annotations

import re

import pytest

from syncer.emulator.answers import error, in_form
from syncer.emulator.options import BODY_FORMS
from syncer.errors import SyncerError
from syncer.model import Page, Struggling, Token, WireResponse
from tests.scripted_wire import ScriptedWire, client_over
from tests.virtual_time import run_virtual

REQUEST_ID = "RQ0123456789abcdef"
FINAL = {400: 5, 401: 3, 402: 5, 403: 3, 404: 5, 405: 5, 406: 5, 409: 5, 410: 5, 413: 5, 415: 5, 418: 5, 422: 5, 431: 5}
REPEATED = dict.fromkeys((408, 425, 429, 500, 501, 502, 503, 504, 507, 511, 520, 529, 599), 4)
CODES = {**FINAL, **REPEATED, 451: 5, 499: 5, 300: 5, 304: 5, 201: 5, 204: 5, 206: 5}
STRUGGLES = {408, 425, *(status for status in REPEATED if status >= 500 and status != 503)}
"""Where a smaller page may help, the crawler decides; it ends with exit code 4."""


def served(status: int, form: str) -> WireResponse:
    answer = in_form(error(status), form)
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return WireResponse(status, {**headers, "twilio-request-id": REQUEST_ID, "retry-after": "0"}, answer.body)


def outcome(verb: str, response: WireResponse) -> object:
    """What the client returns or raises."""
    client = client_over(ScriptedWire([response]))
    calls = {
        "list": lambda: client.list_page(None, 50),
        "fetch": lambda: client.fetch_user("u1"),
        "delete": lambda: client.delete_user("u1"),
    }
    try:
        return run_virtual(calls[verb]())
    except SyncerError as failure:
        return failure


def assert_one_safe_sentence(failure: SyncerError) -> None:
    assert re.fullmatch(r"[\x20-\x7e]+", str(failure))
    assert f"(request {REQUEST_ID})" in str(failure)
    assert failure.hint


@pytest.mark.parametrize("form", BODY_FORMS)
@pytest.mark.parametrize("status", CODES)
def test_a_list_that_only_answers_so_ends_with_the_exit_code_of_the_contract(status: int, form: str) -> None:
    ended = outcome("list", served(status, form))
    if status in STRUGGLES:
        assert isinstance(ended, Struggling)
        assert ended.error.request_id == REQUEST_ID
        return
    assert isinstance(ended, SyncerError)
    assert ended.exit_code == CODES[status]
    assert_one_safe_sentence(ended)


@pytest.mark.parametrize("form", BODY_FORMS)
@pytest.mark.parametrize("status", sorted({*FINAL, *REPEATED} - {404}))
@pytest.mark.parametrize("verb", ["fetch", "delete"])
def test_so_does_a_request_for_one_user(verb: str, status: int, form: str) -> None:
    ended = outcome(verb, served(status, form))
    assert isinstance(ended, SyncerError)
    assert ended.exit_code == CODES[status]
    assert_one_safe_sentence(ended)


@pytest.mark.parametrize(
    ("verb", "statuses"), [("fetch", (201, 202, 204, 206, 300, 304)), ("delete", (201, 206, 300, 304))]
)
def test_a_success_that_is_not_defined_is_refused_for_one_user_too(verb: str, statuses: tuple[int, ...]) -> None:
    for status in statuses:
        ended = outcome(verb, served(status, "errors"))
        assert isinstance(ended, SyncerError)
        assert (status, ended.exit_code) == (status, 5)
        assert_one_safe_sentence(ended)


@pytest.mark.parametrize("status", [200, 202, 204])
def test_a_deletion_is_accepted_by_its_status(status: int) -> None:
    assert getattr(outcome("delete", WireResponse(status, {}, b"")), "outcome", None) == "accepted"


@pytest.mark.parametrize("form", BODY_FORMS)
def test_a_user_that_is_not_there_is_no_failure_whatever_the_body(form: str) -> None:
    for verb in ("fetch", "delete"):
        assert not isinstance(outcome(verb, served(404, form)), SyncerError)


@pytest.mark.parametrize("form", ["errors", "classic", "problem"])
@pytest.mark.parametrize("status", [400, 401, 403, 429, 503])
def test_the_words_of_the_service_are_in_the_sentence(status: int, form: str) -> None:
    ended = outcome("list", served(status, form))
    said = {400: "Malformed request.", 401: "Authenticate", 403: "Authorization failed.", 429: "Too many requests."}
    assert f"HTTP {status}: {said.get(status, 'Service unavailable.')}" in str(ended)


def test_a_token_that_the_service_echoes_is_in_no_sentence() -> None:
    token = Token("QUMwMTIzNDU2Nzg5LXRva2Vu")
    body = in_form(error(429, f"not with {token}"), "errors").body
    client = client_over(ScriptedWire([WireResponse(429, {"retry-after": "999999"}, body)]))
    with pytest.raises(SyncerError) as caught:
        run_virtual(client.list_page(token, 50))
    assert token not in str(caught.value)


PAGE = b'{"users":[],"pagination":{"next":null,"self":"c2VsZg=="}}'
DAMAGED = [
    *(b"", b" ", b"<html><body>502</body></html>", b"<!doctype html>", b"OK", b"{", b"}"),
    *(PAGE[:-1], PAGE + PAGE, PAGE + b"x"),
    *(b"\xef\xbb\xbf" + PAGE, b"\xff\xfe" + PAGE, b"\x1f\x8b\x08\0" + PAGE, b"\0" * 50, PAGE.replace(b"[]", b"[,]")),
    *(PAGE.replace(b"null", b"NaN"), PAGE.replace(b"null", b"'x'"), PAGE.replace(b'"self"', b"self"), b"[" * 2000),
]  # fmt: skip
"""Bytes that are no JSON: a gateway, or an accident on the way."""
BREACHES = [
    *(b"null", b"[]", b"true", b"17", b'"text"', b"{}", b'{"users":[]}', b'{"pagination":{"next":null}}'),
    *(PAGE.replace(b"[]", value) for value in (b"null", b"{}", b'"x"', b"7")),
    *(PAGE.replace(b'{"next":null,"self":"c2VsZg=="}', value) for value in (b"null", b"[]", b'"x"', b"0")),
    *(PAGE.replace(b"null", value) for value in (b"7", b"true", b"[]", b"{}", b'"https://x/v1?pageToken=y"')),
    b'{"errors":[{"code":20404,"message":"no"}]}',
]
"""JSON that is no page: the service itself breaks its contract."""


@pytest.mark.parametrize("body", DAMAGED)
def test_a_200_that_is_no_json_is_given_up(body: bytes) -> None:
    ended = outcome("list", WireResponse(200, {"twilio-request-id": REQUEST_ID}, body))
    assert isinstance(ended, SyncerError)
    assert ended.exit_code == 4
    assert_one_safe_sentence(ended)


@pytest.mark.parametrize("body", BREACHES)
def test_a_200_that_is_no_page_is_a_broken_contract(body: bytes) -> None:
    ended = outcome("list", WireResponse(200, {"twilio-request-id": REQUEST_ID}, body))
    assert isinstance(ended, SyncerError)
    assert ended.exit_code == 5
    assert_one_safe_sentence(ended)


@pytest.mark.parametrize("encoding", ["snappy", "gzip, gzip", "zstd", "compress", "x" * 200])
def test_an_encoding_that_was_not_asked_for_is_given_up(encoding: str) -> None:
    ended = outcome("list", WireResponse(200, {"content-encoding": encoding, "twilio-request-id": REQUEST_ID}, PAGE))
    assert isinstance(ended, SyncerError)
    assert ended.exit_code == 4


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "text/plain", ""])
def test_what_an_answer_calls_itself_does_not_matter_if_it_is_a_page(content_type: str) -> None:
    assert isinstance(outcome("list", WireResponse(200, {"content-type": content_type}, PAGE)), Page)
