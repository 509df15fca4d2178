"""Tokens are standard base64 of a start key, and are refused when they are not for this request."""

import base64
import json
from dataclasses import replace

import pytest

from syncer.emulator.population import make_id
from syncer.emulator.tokens import BadToken, Binding, Place, read_token, token_hash, write_token

KEY = make_id(1_700_000_000_000, 12345)
PLAIN = Binding("AC1")
FULL = Binding("AC1", page_size=50, credential="c0ffee00", issued_seconds=1000, ttl_seconds=60.0)


@pytest.mark.parametrize("binding", [PLAIN, FULL])
@pytest.mark.parametrize("place", [Place(KEY), Place(KEY, passed=True), Place(offset=7), Place(offset=0, passed=True)])
def test_a_token_names_its_place(place: Place, binding: Binding) -> None:
    assert read_token(write_token(place, binding), binding) == place


def test_a_token_is_padded_base64_of_a_start_key() -> None:
    tokens = [
        write_token(Place(make_id(1_700_000_000_000, noise)), Binding("A" * size))
        for size in (1, 2, 3)
        for noise in (1, 2)
    ]
    assert any(token.endswith("=") for token in tokens)
    assert list(json.loads(base64.b64decode(tokens[0], validate=True))) == ["PK", "SK", "SK1"]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (replace(FULL, account_sid="AC2"), "another account"),
        (replace(FULL, page_size=51), "another page size"),
        (replace(FULL, credential="0ther000"), "other credentials"),
        (replace(FULL, issued_seconds=1061), "expired"),
    ],
)
def test_a_token_is_refused_for_what_it_was_not_made_for(other: Binding, message: str) -> None:
    with pytest.raises(BadToken, match=message):
        read_token(write_token(Place(KEY), FULL), other)


def test_a_token_lives_as_long_as_it_may() -> None:
    assert read_token(write_token(Place(KEY), FULL), replace(FULL, issued_seconds=1060)) == Place(KEY)


def test_a_token_without_an_age_is_stale_where_age_counts() -> None:
    with pytest.raises(BadToken, match="expired"):
        read_token(write_token(Place(KEY), PLAIN), replace(PLAIN, issued_seconds=0, ttl_seconds=1.0))


def encoded(value: object) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


@pytest.mark.parametrize(
    "token",
    [
        "",
        "!",
        "abc",
        "\u00fc",
        "e30",
        encoded({}),
        encoded([]),
        encoded(7),
        encoded("x"),
        encoded({"PK": "AC1", "SK": 5}),
        encoded({"PK": "AC1", "SK": "USER#x", "SK1": "1"}),
        encoded({"PK": "AC1", "SK": f"USER#{KEY}", "SK1": "1"}),
        encoded({"PK": "AC1", "O": -1}),
        encoded({"PK": "AC1", "O": True}),
        write_token(Place(KEY), PLAIN)[:-5],
        write_token(Place(KEY), PLAIN).replace("=", "%3D") + "%3D",
        write_token(Place(KEY), PLAIN) + " ",
    ],
)
def test_what_cannot_be_read_is_refused_without_a_trace_of_it(token: str) -> None:
    with pytest.raises(BadToken, match="cannot be read") as caught:
        read_token(token, PLAIN)
    assert str(caught.value) == "The page token cannot be read."


def test_the_hash_names_a_token_in_eight_digits() -> None:
    assert token_hash("abc") == "ba7816bf"
    assert len(token_hash("\ud800")) == 8
