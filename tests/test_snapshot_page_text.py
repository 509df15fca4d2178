"""Users read from the text of a page are what the parser reads, byte for byte, or they are not read from the text."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncer.api.protocol import PageError, parse_page
from syncer.errors import SyncerError
from syncer.model import EncodedPage, Page
from syncer.snapshot import page_text
from syncer.snapshot.columns import make_encoder, unknown_fields
from tests.snapshot_data import make_users

TAIL: dict[str, Any] = {"next": "dG9rZW4=", "self": "c2VsZg=="}


def body_of(users: list[Any], tail: object = TAIL) -> bytes:
    return orjson.dumps({"users": users, "pagination": tail})


def documented(count: int, *, deleted: frozenset[int] = frozenset(), **more: object) -> list[dict[str, object]]:
    """Users as the API serves them, all with the same further fields."""
    users = make_users(count)
    times = {n: users[n]["updatedAt"] for n in deleted}
    keys = ("id", "createdAt", "updatedAt")
    return [{**{key: user[key] for key in keys}, "deletedAt": times.get(n), **more} for n, user in enumerate(users)]


def parsed(body: bytes, *, with_lines: bool, seen: set[str]) -> tuple[Page, EncodedPage]:
    page = parse_page(body)
    return page, make_encoder(with_lines=with_lines, seen=seen)(page)


def taken_from_text(body: bytes, *, with_lines: bool, seen: set[str]) -> tuple[Page, EncodedPage] | None:
    found = page_text.find_users(body, bytes_min=0)
    if found is None:
        return None
    page = replace(parse_page(found.envelope), body=body, columns=found.columns)
    return page, make_encoder(with_lines=with_lines, seen=seen)(page)


def expect_the_same(body: bytes) -> bool:
    """Whether the text was enough; then everything is as the parser gives it."""
    for with_lines in (False, True):
        quick: set[str] = set()
        slow: set[str] = set()
        found = taken_from_text(body, with_lines=with_lines, seen=quick)
        if found is None:
            return False
        page, encoded = parsed(body, with_lines=with_lines, seen=slow)
        assert (found[0].next, found[0].end) == (page.next, page.end)
        assert replace(found[1], batch=None) == replace(encoded, batch=None)
        assert found[1].batch.schema == encoded.batch.schema
        assert found[1].batch.equals(encoded.batch)
        assert found[1].batch.validate(full=True) is None
        assert unknown_fields(quick) == unknown_fields(slow)
    return True


@pytest.mark.parametrize("deleted", [(), (0,), (6,), (2, 3), (0, 3, 6)])
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"related": []},
        {"related": [{"id": "x", "name": "y"}], "n": 1, "on": None},
        {"related": {"deletedAt": "2026-01-01T00:00:00Z"}},
        {"null": "null"},
    ],
)
def test_users_of_the_documented_form_are_read_from_the_text(deleted: Any, more: dict[str, object]) -> None:
    assert expect_the_same(body_of(documented(7, deleted=frozenset(deleted), **more)))


def test_times_of_deletion_may_be_written_in_any_way() -> None:
    users = documented(8)
    users[1]["deletedAt"], users[6]["deletedAt"] = "2026-01-01T00:00:00.123456Z", "2026-01-01T00:00:00+01:00"
    assert expect_the_same(body_of(users))


@pytest.mark.parametrize("tail", [{"next": None}, {}, {"next": "", "self": "x"}])
def test_the_end_of_the_list_is_read_by_the_parser(tail: dict[str, Any]) -> None:
    assert expect_the_same(body_of(documented(3), tail))


def altered(**fields: object) -> bytes:
    users = documented(5)
    return body_of([*users[:2], {**users[2], **fields}, *users[3:]])


def without(name: str) -> bytes:
    users = documented(5)
    return body_of([*users[:2], {k: v for k, v in users[2].items() if k != name}, *users[3:]])


DOUBTFUL = {
    "no users": body_of([]),
    "not an object": body_of([*documented(2), 7]),
    "an empty object": body_of([{}]),
    "most users deleted": body_of(documented(7, deleted=frozenset(range(1, 5)))),
    "an escape": altered(id='a"b'),
    "not ASCII": altered(id="ä"),
    "a longer id": altered(id="comms_pushnotificationuser_" + "z" * 40),
    "an id with a delete character": altered(id="comms_pushnotificationuser_7zzzzzzzzzzzzzzzzzzzzzzzz\x7f"),
    "an empty id": body_of([{**user, "id": ""} for user in documented(2)]),
    "ids that are too long": body_of([{**user, "id": "x" * 129} for user in documented(2)]),
    "a fraction of a second": altered(updatedAt="2026-01-01T00:00:00.123456Z"),
    "no time": altered(createdAt="2026-01-01T99:00:00Z"),
    "a number for a time": altered(createdAt=1),
    "an empty time of deletion": altered(deletedAt=""),
    "a further field": altered(extra=1),
    "no id": without("id"),
    "no time of deletion": without("deletedAt"),
    "another order of fields": body_of([dict(reversed(user.items())) for user in documented(3)]),
    "spaces": json.dumps({"users": documented(3), "pagination": TAIL}).encode(),
    "a number that is rounded": body_of(documented(3, n=1)).replace(b'"n":1', b'"n":18446744073709551616'),
    "a number in another spelling": body_of(documented(3, n=1)).replace(b'"n":1', b'"n":1.50'),
    "a known field twice": body_of(documented(3, n=1)).replace(b'"n":1', b'"id":"x"'),
    "an unknown field twice": body_of(documented(3, n=1)).replace(b'"n":1', b'"n":1,"n":2'),
    "users twice": body_of(documented(3))[:-1] + b',"users":[]}',
    "pagination before users": orjson.dumps({"pagination": TAIL, "users": documented(3)}),
}


@pytest.mark.parametrize("body", DOUBTFUL.values(), ids=DOUBTFUL)
def test_whatever_is_doubtful_is_left_to_the_parser(body: bytes) -> None:
    assert page_text.find_users(body, bytes_min=0) is None


@pytest.mark.parametrize("part", [b'"id":"', b'","createdAt":"', b'","updatedAt":"', b'","deletedAt":null', b"},{"])
@pytest.mark.parametrize("rows", [range(1, 5), range(0, 4), range(2, 3), range(0, 1), range(4, 5)])
def test_rows_that_differ_from_the_first_in_one_byte_around_their_values_are_not_read_from_the_text(
    part: bytes, rows: range
) -> None:
    pieces = body_of(documented(5)).split(part)
    assert len(pieces) == (5 if part == b"},{" else 6)
    for at in range(len(part)):
        other = part[:at] + b"#" + part[at + 1 :]
        body = pieces[0] + b"".join((other if row in rows else part) + piece for row, piece in enumerate(pieces[1:]))
        found = page_text.find_users(body, bytes_min=0)
        assert found is None or (part == b"},{" and rows == range(4, 5))


def test_small_answers_are_left_to_the_parser() -> None:
    assert page_text.find_users(body_of(documented(100))) is None
    assert page_text.find_users(body_of(documented(400))) is not None


def test_an_answer_cut_anywhere_is_never_taken() -> None:
    body = body_of(documented(6, deleted=frozenset({3}), related=[]))
    assert expect_the_same(body)
    for end in range(len(body)):
        found = page_text.find_users(body[:end], bytes_min=0)
        if found is not None:
            with pytest.raises(PageError):
                parse_page(found.envelope)


def damaged(body: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(body))
    how = rng.randrange(5)
    if how == 0:
        return body[:at] + bytes([rng.randrange(256)]) + body[at + 1 :]
    if how == 1:
        return body[:at] + bytes([rng.choice(b'{}[]",:\\ 0\n\x7f')]) + body[at:]
    if how == 2:
        return body[:at] + body[at + rng.randrange(1, 40) :]
    if how == 3:  # in every row but some of the first ones
        part = body[at : at + rng.randrange(1, 6)]
        keeps = rng.randrange(1, 3)
        head, *rest = body.split(part)
        changed = part[:-1] + bytes([rng.choice(b'"#iI0')])
        return head + b"".join((part if n < keeps else changed) + piece for n, piece in enumerate(rest))
    other = rng.randrange(len(body))
    return body[:at] + body[other : other + rng.randrange(1, 200)] + body[at:]


@pytest.mark.parametrize("seed", range(8))
def test_a_damaged_answer_is_read_as_the_parser_reads_it_or_not_at_all(seed: int) -> None:
    rng = random.Random(seed)
    more: dict[str, object] = {"related": []} if seed % 2 else {}
    good = body_of(documented(rng.randrange(2, 12), deleted=frozenset(range(rng.randrange(3))), **more))
    taken = 0
    for _ in range(600):
        body = damaged(good, rng)
        found = page_text.find_users(body, bytes_min=0)
        if found is None:
            continue
        try:
            parse_page(found.envelope)
        except PageError:
            with pytest.raises(PageError):
                parse_page(body)
            continue
        taken += expect_the_same(body)
    assert taken > 10


TEXTS = st.text(st.characters(min_codepoint=0, max_codepoint=0x2FF), max_size=12)
TIMES = st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-01T00:00:00+01:00", "2026-01-01 00:00:00Z", "x", ""])
USERS = st.lists(
    st.fixed_dictionaries(
        {"id": TEXTS, "createdAt": TIMES, "updatedAt": TIMES, "deletedAt": st.none() | TIMES},
        optional={"related": st.just([]) | TEXTS},
    ),
    max_size=4,
)


@settings(max_examples=300, deadline=None)
@given(USERS)
def test_any_users_are_read_as_the_parser_reads_them_or_not_at_all(users: list[dict[str, object]]) -> None:
    try:
        expect_the_same(body_of(users))
    except SyncerError:
        raise AssertionError("the parser's way refuses what the text was taken for") from None
