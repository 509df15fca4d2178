"""Every status in every form of body, for every operation: the exit code, and one sentence that is safe to print."""

from __future__ import annotations

import re

import pytest

from syncer.emulator.answers import error, in_form
from syncer.emulator.options import BODY_FORMS
from syncer.errors import SyncerError
from syncer.model import Struggling, Token, WireResponse
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
