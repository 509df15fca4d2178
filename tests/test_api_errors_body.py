"""Every body that an error may have becomes one harmless line."""

from __future__ import annotations

import re

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.api.errors_body import parse_error, printable, request_id_of
from syncer.model import ApiError


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            b'{"errors":[{"code":20429,"message":"Too many","infoUrl":"https://x","context":"null"}]}',
            (20429, "Too many"),
        ),
        (b'{"errors":[{"code":1,"message":"a"},{"code":2,"message":"b"},7]}', (1, "a; b")),
        (b'{"code":20003,"message":"Authenticate","more_info":"https://x","status":401}', (20003, "Authenticate")),
        (b'{"type":"t","title":"Title","status":403,"detail":"The detail","code":70051}', (70051, "The detail")),
        (b'{"title":"Title"}', (None, "Title")),
        (b'{"code":"20003","message":"m"}', (20003, "m")),
        (b'{"code":true,"message":7}', (None, "HTTP 418 without a message")),
        (b'{"code":1.5,"errors":[]}', (None, "HTTP 418 without a message")),
        (b'{"errors":"x","message":"m"}', (None, "m")),
        (b"<html><title>502</title></html>", (None, "an HTML page")),
        (b"", (None, "an empty body")),
        (b"  \n", (None, "an empty body")),
        (b"upstream connect error", (None, "a body that is not JSON")),
        (b"\xff\x00", (None, "a body that is not JSON")),
        (b"[1]", (None, "JSON that is not an error object")),
        (b'"' + b"x" * 70_000 + b'"', (None, "a body too long for an error")),
        (b'{"message":"a\\nb\\t c"}', (None, "a b c")),
    ],
)
def test_each_form_of_error_body(body: bytes, expected: tuple[int | None, str]) -> None:
    code, message = expected
    assert parse_error(418, {"twilio-request-id": "RQ1"}, body) == ApiError(418, message, code, "RQ1")


def test_the_request_id_comes_from_either_header() -> None:
    ids = [
        request_id_of(headers)
        for headers in ({"x-request-id": "b"}, {"twilio-request-id": "a", "x-request-id": "b"}, {})
    ]
    assert ids == ["b", "a", None]


def test_a_long_message_is_cut_and_says_so() -> None:
    assert printable("x" * 2000) == "x" * 509 + "..."


@given(st.text(st.characters(), max_size=1200))
def test_any_text_becomes_one_printable_line(text: str) -> None:
    assert re.fullmatch(r"[\x20-\x7e]{0,512}", printable(text))


@pytest.mark.parametrize("code_point", [0x00, 0x1B, 0x7F, 0x80, 0x9B, 0x2028, 0x202E, 0x2066, 0xFEFF, 0xD800, 0x1F600])
def test_a_hostile_character_becomes_an_escape(code_point: int) -> None:
    shown = printable(f"a{chr(code_point)}b")
    assert re.fullmatch(r"a\\[xuU][0-9a-f]+b", shown)


@given(
    st.binary(max_size=400)
    | st.recursive(
        st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=30),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["errors", "code", "message", "detail", "title"]), inner, max_size=4)
        ),
    ).map(lambda value: orjson.dumps(value))
)
def test_no_body_makes_the_error_parser_raise(body: bytes) -> None:
    error = parse_error(500, {"twilio-request-id": "a\x1b"}, body)
    assert re.fullmatch(r"[\x20-\x7e]{1,512}", error.message)
