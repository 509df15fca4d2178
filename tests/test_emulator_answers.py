"""Errors in every known form, and every Retry-After."""

import json

import pytest

from syncer.emulator.answers import HOSTILE, Answer, error, gateway_error, in_form, refusal, retry_after
from syncer.emulator.options import BODY_FORMS


def test_an_error_is_a_list_with_code_message_link_and_context() -> None:
    answer = error(400, context="null")
    assert (answer.status, answer.content_type) == (400, "application/json")
    assert json.loads(answer.body) == {
        "errors": [
            {
                "code": 20404,
                "message": "Malformed request.",
                "infoUrl": "https://www.twilio.com/docs/errors/20404",
                "context": "null",
            }
        ]
    }
    assert json.loads(error(418, "No.").body)["errors"][0]["message"] == "No."


@pytest.mark.parametrize(
    ("form", "content_type", "keys"),
    [
        ("classic", "application/json", ["code", "message", "more_info", "status"]),
        ("errors", "application/json", ["errors"]),
        ("problem", "application/problem+json", ["type", "title", "status", "detail", "code"]),
        ("hostile", "application/json", ["errors"]),
    ],
)
def test_a_refusal_has_the_form_asked_for(form: str, content_type: str, keys: list[str]) -> None:
    answer = refusal(401, form)
    assert (answer.status, answer.content_type, list(json.loads(answer.body))) == (401, content_type, keys)
    assert answer.headers == {"WWW-Authenticate": 'Basic realm="Twilio API"'}


def test_a_refusal_may_be_html_or_empty() -> None:
    assert refusal(403, "html") == gateway_error(403)
    assert refusal(403, "empty") == Answer(403, b"", None)
    assert json.loads(refusal(403, "classic").body)["code"] == 70051


def test_an_error_keeps_its_code_words_and_headers_in_every_form() -> None:
    plain = error(429, "Slow down.").with_headers({"Retry-After": "3"})
    assert in_form(plain, "errors") is plain
    for form in BODY_FORMS:
        answer = in_form(plain, form)
        assert (answer.status, answer.headers) == (429, {"Retry-After": "3"})
    assert json.loads(in_form(plain, "classic").body)["code"] == 20429
    assert json.loads(in_form(plain, "problem").body)["detail"] == "Slow down."
    first, second = json.loads(in_form(plain, "hostile").body)["errors"]
    assert (first["message"], first["context"], second["message"]) == ("Slow down." + HOSTILE, HOSTILE, "Slow down.")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("seconds", {"Retry-After": "3"}),
        ("date", {"Retry-After": "Thu, 01 Jan 1970 00:01:04 GMT"}),
        ("zero", {"Retry-After": "0"}),
        ("none", {}),
        ("nonsense", {"Retry-After": "in a moment"}),
        ("negative", {"Retry-After": "-5"}),
        ("17", {"Retry-After": "17"}),
    ],
)
def test_retry_after_has_the_form_asked_for(word: str, expected: dict[str, str]) -> None:
    assert retry_after(word, 2.1, 60.5) == expected


def test_retry_after_is_at_least_a_second() -> None:
    assert retry_after("seconds", 0.01, 0) == {"Retry-After": "1"}
