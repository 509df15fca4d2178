"""Streams of a snapshot's users, and the small readers that go along while parts are written."""

from __future__ import annotations

import gzip
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from syncer.errors import ContractBroken, SnapshotMismatch
from syncer.snapshot import fields
from syncer.snapshot.columns import USER_SCHEMA, make_encoder
from syncer.snapshot.fetched import encode_fetched
from syncer.snapshot.fields import FieldNames
from syncer.snapshot.gone import Gone, GoneUsers
from syncer.snapshot.layout import Compression, Format
from syncer.snapshot.local_store import LocalStore
from syncer.snapshot.manifest import Manifest
from syncer.snapshot.part_readers import BYTES_AT_ONCE, PartFault, count_lines, read_ndjson
from syncer.snapshot.publish import publish
from syncer.snapshot.reading import read_part, read_users
from syncer.snapshot.sinks import SinkOptions
from tests.snapshot_data import SMALL, User, chunked, make_users, merge, page_of, spool, stage_snapshot
from tests.test_snapshot_manifest_json import FULL


def published(store: LocalStore, users: list[User], *formats: Format, options: SinkOptions = SMALL) -> Manifest:
    manifest = stage_snapshot(store, spool([chunked(users, 20)]), formats=formats, options=options)
    publish(store, manifest)
    return manifest


def table(store: LocalStore, manifest: Manifest, *columns: str) -> Any:
    batches = list(read_users(store, manifest, columns) if columns else read_users(store, manifest))
    return pa.Table.from_batches(batches, pa.schema([USER_SCHEMA.field(n) for n in columns or USER_SCHEMA.names]))


@pytest.mark.parametrize("compression", ["zstd", "gzip", "none"])
@pytest.mark.parametrize("lines", [[], [b"{}"], [b"{}"] * 9, [b"x" * BYTES_AT_ONCE, b"", b"y" * (BYTES_AT_ONCE - 2)]])
def test_lines_are_counted_as_they_are_read(compression: Compression, lines: list[bytes]) -> None:
    data = b"".join(line + b"\n" for line in lines)
    packed = {"zstd": zstandard.compress, "gzip": gzip.compress, "none": bytes}[compression](data)
    assert count_lines(io.BytesIO(packed), compression) == len(lines)
    assert [line for block in read_ndjson(io.BytesIO(packed), compression) for line in block] == lines


def test_a_last_line_without_its_end_is_not_counted_but_refused() -> None:
    for cut in (b"{}", b"{}\n{}"):
        with pytest.raises(PartFault, match="does not end with a line end"):
            count_lines(io.BytesIO(cut), "none")


def test_both_formats_read_alike(tmp_path: Path) -> None:
    users = [{**user, "related": [n]} if n % 3 else user for n, user in enumerate(make_users(150))]
    stores = [LocalStore(tmp_path / name) for name in ("parquet", "ndjson", "gzip")]
    gzipped = replace(SMALL, ndjson_compression="gzip")
    first = published(stores[0], users, "parquet")
    assert len(first.files) == 3
    expected = table(stores[0], first)
    assert expected.column("id").to_pylist() == [user["id"] for user in users]
    assert expected.equals(table(stores[1], published(stores[1], users, "ndjson")))
    assert expected.equals(table(stores[2], published(stores[2], users, "ndjson", options=gzipped)))


@pytest.mark.parametrize("form", ["parquet", "ndjson"])
def test_only_the_columns_asked_for_are_given(form: Format, tmp_path: Path) -> None:
    users = make_users(30)
    store = LocalStore(tmp_path)
    found = table(store, published(store, users, form), "id", "deleted_at")
    assert found.column_names == ["id", "deleted_at"]
    assert found.column("deleted_at").null_count == sum(user["deletedAt"] is None for user in users)


def test_a_part_that_is_missing_damaged_or_short_is_named(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    manifest = published(store, make_users(150), "parquet")
    short = replace(manifest, files=(replace(manifest.files[0], rows=7), *manifest.files[1:]))
    twice = replace(manifest, files=(manifest.files[0], manifest.files[0]))
    part = manifest.files[0].path
    for wrong, words in ((short, "has 64 rows instead of 7"), (twice, "is not in strictly ascending order of ids")):
        with pytest.raises(SnapshotMismatch) as caught:
            table(store, wrong)
        assert caught.value.message == f"{part} {words}"
    (tmp_path / part).write_bytes(b"PAR1")
    with pytest.raises(SnapshotMismatch, match="cannot be read as Parquet: it is damaged"):
        table(store, manifest)
    (tmp_path / part).unlink()
    with pytest.raises(SnapshotMismatch, match="is not there"):
        table(store, manifest)


@pytest.mark.parametrize("line", [b"{\n", b"{}\n", b"[]\n", b'{"id":"a"}\n'])
def test_a_line_that_is_no_user_is_named(line: bytes, tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    manifest = published(store, make_users(3), "ndjson", options=replace(SMALL, ndjson_compression="none"))
    (tmp_path / manifest.files[0].path).write_bytes(line)
    with pytest.raises(SnapshotMismatch, match="holds a line that is not"):
        table(store, manifest)


def frames(users: list[User], tmp_path: Path) -> list[Any]:
    return list(merge(spool([chunked(users, 20)]), tmp_path / "work").tables())


def test_gone_users_are_counted_and_the_first_of_them_named(tmp_path: Path) -> None:
    users = make_users(150)
    store = LocalStore(tmp_path)
    watch = GoneUsers(store, published(store, users, "parquet"), ids_max=3)
    for frame in frames([user for n, user in enumerate(users) if n % 7], tmp_path):
        watch.write(frame)
    gone = users[::7]
    vanished = [user["id"] for user in gone if user["deletedAt"] is None]
    assert watch.finish() == Gone(len(vanished), len(gone) - len(vanished), tuple(vanished[:3]))


def test_a_list_that_holds_everyone_lacks_nobody(tmp_path: Path) -> None:
    users = make_users(150)
    store = LocalStore(tmp_path)
    watch = GoneUsers(store, published(store, users, "parquet"), ids_max=3)
    for frame in frames([*users, *make_users(170)[150:]], tmp_path):
        watch.write(frame)
    watch.abandon()
    assert watch.finish() == Gone()


def test_a_previous_snapshot_that_cannot_be_read_is_a_fact(tmp_path: Path) -> None:
    users = make_users(150)
    store = LocalStore(tmp_path)
    manifest = published(store, users, "parquet")
    (tmp_path / manifest.files[1].path).unlink()
    watch = GoneUsers(store, manifest, ids_max=3)
    for frame in frames(users, tmp_path):
        watch.write(frame)
    assert watch.finish().unreadable == f"{manifest.files[1].path} is not there"


def test_names_of_unknown_fields_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    users = make_users(60)
    for n, user in enumerate(users):
        user.update([{}, {"related": []}, {"b": n, "c": {"d": 1}}][n % 3])
    names = FieldNames()
    for frame in frames(users, tmp_path) * 2:
        names.write(frame)
    names.abandon()
    assert names.names == ("b", "c", "related")
    monkeypatch.setattr(fields, "FIELDS_MAX", 2)
    few = FieldNames()
    for frame in frames(users, tmp_path):
        few.write(frame)
    assert few.names == ("b", "c")


def test_a_fetched_user_is_the_row_that_a_page_would_have_given() -> None:
    users = [{**user, "related": []} for user in make_users(40)]
    pages = spool([[[user] for user in users]])
    for user, page in zip(users, pages, strict=True):
        fetched = encode_fetched(user["id"], orjson.dumps(user), with_lines=True)
        assert fetched.batch.equals(page.encoded.batch)
        assert fetched.is_deleted == (user["deletedAt"] is not None)
    long = b'{"n":123456789012345678901234567890, "r":1.10,' + orjson.dumps(users[0])[1:]
    assert encode_fetched(users[0]["id"], long, with_lines=False).batch.column("extra").to_pylist() == [
        '{"n":123456789012345678901234567890,"r":1.10,"related":[]}'
    ]
    with pytest.raises(ContractBroken, match="is about another user"):
        encode_fetched("other", orjson.dumps(users[0]), with_lines=False)


NUMBERS = st.one_of(
    st.sampled_from(["1.10", "-0", "-0.0", "1E5", "1e300", "0.1e-7", "123456789012345678901234567890"]),
    st.integers().map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
)
VALUES = st.recursive(
    st.one_of(NUMBERS, st.text(max_size=4).map(json.dumps), st.sampled_from(["null", "true"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]"),
        st.dictionaries(st.sampled_from(["a", "id", "},{", "\n"]), inner, max_size=3).map(
            lambda members: "{" + ",".join(f"{json.dumps(key)}:{value}" for key, value in members.items()) + "}"
        ),
    ),
    max_leaves=6,
)
EXTRAS = st.lists(st.tuples(st.sampled_from(["x", "y", "ü"]), VALUES), max_size=3)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.booleans(), EXTRAS), min_size=1, max_size=4))
def test_lines_give_the_columns_that_the_page_gave_whatever_the_users_hold(served: list[Any]) -> None:
    rows = []
    for user, (says_deleted, extras) in zip(make_users(len(served)), served, strict=True):
        known = {key: value for key, value in user.items() if says_deleted or key != "deletedAt"}
        unknown = "".join(f",{json.dumps(key)}:{value}" for key, value in extras)
        rows.append(orjson.dumps(known).decode()[:-1] + unknown + "}")
    page = page_of(f'{{"users":[{",".join(rows)}]}}'.encode())
    batch: Any = make_encoder(with_lines=True)(page).batch
    file = io.BytesIO(b"".join(batch.column("line").to_pylist()))
    (again,) = read_part(file, FULL.files[1], replace(FULL, ndjson_compression="none"))
    assert again.equals(batch.select(USER_SCHEMA.names))
