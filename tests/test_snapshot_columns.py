"""Columns: nothing dropped in silence, numbers exact, every bad user named."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncer.errors import ContractBroken
from syncer.model import Reject
from syncer.snapshot.columns import make_encoder, unknown_fields
from syncer.snapshot.page_text import ID_CHARACTERS_MAX
from syncer.snapshot.payload import pack, unpack
from tests.snapshot_data import make_page, make_users, page_of

TIME = "2026-01-02T03:04:05Z"
PARSED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
GOOD: dict[str, Any] = {"id": "a", "createdAt": TIME, "updatedAt": TIME, "deletedAt": None}
ENCODE = make_encoder(with_lines=True)


def row(**more: Any) -> dict[str, Any]:
    return GOOD | more


def text_of(user_id: str, more: str) -> str:
    """A user's JSON with some of it written by hand."""
    return f'{{"id":{user_id},"createdAt":"{TIME}","updatedAt":"{TIME}",{more}}}'


def encode_json(*users: str) -> Any:
    return ENCODE(page_of(b'{"users":[%s],"pagination":{"next":null}}' % ",".join(users).encode()))


def test_clean_users_become_columns_in_list_order() -> None:
    users = [row(id="b", deletedAt=TIME), row(id="a", updatedAt="2026-01-02T03:04:05.678901+01:00")]
    encoded = make_encoder(with_lines=False)(make_page(users))
    assert (encoded.ids, encoded.users, encoded.rejects) == (["b", "a"], 2, ())
    assert encoded.digest == hashlib.sha256(b"a\nb").digest()
    assert encoded.batch.to_pylist() == [
        {"id": "b", "created_at": PARSED, "updated_at": PARSED, "deleted_at": PARSED, "extra": None},
        {
            "id": "a",
            "created_at": PARSED,
            "updated_at": datetime(2026, 1, 2, 2, 4, 5, 678901, tzinfo=UTC),
            "deleted_at": None,
            "extra": None,
        },
    ]


def test_lines_are_the_users_as_served_one_a_line() -> None:
    users = make_users(50)
    lines = ENCODE(make_page(users)).batch.column("line").to_pylist()
    assert lines == [orjson.dumps(user) + b"\n" for user in users]


def test_the_data_buffer_of_the_lines_is_the_content_of_a_file() -> None:
    column = ENCODE(make_page([row(), row(id="b", x={}), row(id="c", y=[{}, {}])])).batch.column("line")
    assert column.buffers()[2].to_pybytes() == b"".join(column.to_pylist())


@pytest.mark.parametrize("with_lines", [True, False])
def test_an_empty_page_has_columns_and_no_rows(with_lines: bool) -> None:
    encoded = make_encoder(with_lines=with_lines)(make_page([]))
    assert (encoded.ids, encoded.users, encoded.batch.num_rows) == ([], 0, 0)
    assert encoded.digest == hashlib.sha256(b"").digest()
    assert unpack(bytes(pack(encoded.batch)), with_lines=with_lines).equals(encoded.batch)


@pytest.mark.parametrize(
    ("users", "extra"),
    [
        ([row(related=[]), row(id="b", related=[])], ['{"related":[]}'] * 2),
        ([row(related=[{"id": "x"}, {"id": "y"}]), row(id="b", related=[])],
         ['{"related":[{"id":"x"},{"id":"y"}]}', '{"related":[]}']),
        ([row(z=1, a={"k": None}), row(id="b")], ['{"z":1,"a":{"k":null}}', None]),
        ([row(x="},{"), row(id="b", x='"},{"')], ['{"x":"},{"}', '{"x":"\\"},{\\""}']),
        ([row(x=1), row(id="b", y=2)], ['{"x":1}', '{"y":2}']),
        ([row(x={}), {k: v for k, v in row(id="b", x=1, y=2).items() if k != "deletedAt"}],
         ['{"x":{}}', '{"x":1,"y":2}']),
        ([row(), {k: v for k, v in row(id="b").items() if k != "deletedAt"}], [None, None]),
    ],
)  # fmt: skip
def test_fields_the_schema_does_not_know_are_kept_in_served_order(users: list[Any], extra: list[str | None]) -> None:
    encoded = ENCODE(make_page(users))
    assert encoded.batch.column("extra").to_pylist() == extra
    assert encoded.batch.column("line").to_pylist() == [orjson.dumps(user) + b"\n" for user in users]


@pytest.mark.parametrize(
    "number", ["1.0", "1.10", "-0.0", "18446744073709551616", "0.10000000000000000000000001", "1E5", "-1.5e-7"]
)
def test_a_number_keeps_its_own_text(number: str) -> None:
    text = text_of('"a"', f'"deletedAt":null,"n":[{{"m":{number}}}]')
    encoded = encode_json(text)
    assert encoded.batch.column("extra").to_pylist() == [f'{{"n":[{{"m":{number}}}]}}']
    assert encoded.batch.column("line").to_pylist() == [text.encode() + b"\n"]


def test_a_reject_keeps_its_numbers_too_and_the_others_stay() -> None:
    bad = text_of("1.50", '"n":18446744073709551616')
    good = text_of('"a"', '"n":2.50')
    encoded = encode_json(bad, good)
    assert encoded.rejects == (Reject(0, "id is not a string", bad.encode()),)
    assert encoded.batch.column("extra").to_pylist() == ['{"n":2.50}']
    assert encoded.batch.column("line").to_pylist() == [good.encode() + b"\n"]


@pytest.mark.parametrize(
    ("user", "reason"),
    [
        (None, "not an object"),
        ("x", "not an object"),
        ([], "not an object"),
        (7, "not an object"),
        ({}, "there is no id"),
        (row(id=None), "id is not a string"),
        (row(id=5), "id is not a string"),
        (row(id=""), "id is empty"),
        (row(id="x" * (ID_CHARACTERS_MAX + 1)), "id is longer than 128 characters"),
        (row(id="a\nb"), "id holds a control character"),
        (row(id="a\x00"), "id holds a control character"),
        (row(id="a\x7f"), "id holds a control character"),
        (row(id="a\x9b"), "id holds a control character"),
        ({k: v for k, v in GOOD.items() if k != "createdAt"}, "there is no createdAt"),
        (row(updatedAt=None), "there is no updatedAt"),
        (row(createdAt=5), "createdAt is not a string"),
        (row(deletedAt=False), "deletedAt is not a string"),
        (row(createdAt="yesterday"), "createdAt is not a readable time"),
        (row(updatedAt="2026-01-02T03:04:05.1234567Z"), "updatedAt is not a readable time"),
        (row(updatedAt="2026-01-02T03:04:05"), "updatedAt is not a readable time"),
        (row(deletedAt=""), "deletedAt is not a readable time"),
        (row(deletedAt="2026-13-02T03:04:05Z"), "deletedAt is not a readable time"),
    ],
)
def test_a_user_that_breaks_the_contract_is_kept_whole_with_the_reason(user: Any, reason: str) -> None:
    encoded = ENCODE(make_page([row(id="first"), user, row(id="last")]))
    assert encoded.rejects == (Reject(1, reason, orjson.dumps(user)),)
    assert (encoded.ids, encoded.users) == (["first", "last"], 3)
    assert encoded.batch.column("id").to_pylist() == ["first", "last"]


def test_many_bad_users_are_each_named() -> None:
    users = [row(id=f"u{i}", createdAt=TIME if i % 3 else "bad") for i in range(100)]
    encoded = ENCODE(make_page(users))
    assert [reject.row for reject in encoded.rejects] == list(range(0, 100, 3))
    assert len(encoded.ids) == 66


@pytest.mark.parametrize("user_id", ["x" * ID_CHARACTERS_MAX, "é", "a b", "a\\b", '"', "\u2028", "😀"])
def test_an_id_of_another_shape_is_kept(user_id: str) -> None:
    assert ENCODE(make_page([row(id=user_id)])).ids == [user_id]


@pytest.mark.parametrize("depth", [300, 1000])
def test_a_user_nested_too_deeply_to_be_written_again_is_refused(depth: int) -> None:
    deep = "[" * depth + "]" * depth
    with pytest.raises(ContractBroken, match="nested deeper"):
        encode_json(text_of('"a"', f'"deep":{deep}'))


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
TIMES = st.sampled_from([TIME, "2026-01-02T03:04:05.5+02:00", "bad", "", None, 5, "1999-12-31T23:59:59.999999Z"])
USER = st.fixed_dictionaries(
    {}, optional={"id": TEXT | VALUE, "createdAt": TIMES, "updatedAt": TIMES, "deletedAt": TIMES}
).flatmap(lambda known: st.dictionaries(TEXT, VALUE, max_size=3).map(lambda more: {**more, **known}))


@settings(max_examples=300, deadline=None)
@given(st.lists(USER | VALUE, max_size=6))
def test_every_user_is_either_a_row_or_a_reject_and_loses_nothing(users: list[Any]) -> None:
    body = json.dumps({"users": users, "pagination": {"next": None}}).encode()
    encoded = ENCODE(page_of(body))
    rejected = {reject.row for reject in encoded.rejects}
    accepted = [user for row, user in enumerate(users) if row not in rejected]
    rows = encoded.batch.to_pylist()
    assert [exact(r["line"]) for r in rows] == [exact(json.dumps(user)) for user in accepted]
    assert [exact(r.body) for r in encoded.rejects] == [exact(json.dumps(users[r.row])) for r in encoded.rejects]
    known = {"id", "createdAt", "updatedAt", "deletedAt"}
    extras = [{k: v for k, v in user.items() if k not in known} for user in accepted]
    assert [exact(r["extra"]) if r["extra"] else {} for r in rows] == [exact(json.dumps(e)) for e in extras]
    assert [r["id"] for r in rows] == encoded.ids == [user["id"] for user in accepted]
    assert unpack(bytes(pack(encoded.batch)), with_lines=True).equals(encoded.batch)


def exact(text: str | bytes) -> Any:
    return json.loads(text, parse_float=Decimal)


def test_an_id_that_is_bad_in_a_deep_page_does_not_hide_the_depth() -> None:
    deep = "[" * 1000 + "]" * 1000
    with pytest.raises(ContractBroken, match="nested deeper"):
        encode_json(f'{{"id":1,"deep":{deep}}}')


def test_an_encoder_gathers_the_names_of_fields_where_some_are_unknown() -> None:
    seen: set[str] = set()
    encode = make_encoder(with_lines=False, seen=seen)
    users = make_users(6)
    encode(make_page(users[:2]))
    assert (seen, unknown_fields(seen)) == (set(), ())
    encode(make_page([users[2], {**users[3], "related": [], "b": 1.5}]))
    encode(make_page([{"no": "id", "reject": 1}, {**users[4], "a": 1}]))
    assert unknown_fields(seen) == ("a", "b", "related")
    encode(make_page([{**users[5], **{f"f{n:04d}": n for n in range(2000)}}]))
    encode(make_page([{**users[5], "late": 1}]))
    assert "late" not in seen
    assert unknown_fields(seen) == ("a", "b", *(f"f{n:04d}" for n in range(254)))
