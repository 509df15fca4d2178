"""Errors in every known form, and every Retry-After."""

import json

import pytest

from syncer.emulator.answers import Answer, error, gateway_error, refusal, retry_after


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
