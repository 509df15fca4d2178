"""Parts: the same bytes for the same users, readable by others, and nothing whole-looking after a failure."""

from __future__ import annotations

import gzip
import hashlib
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncer.errors import StorageFailed
from syncer.snapshot import files, part_formats
from syncer.snapshot.columns import LINE_SCHEMA, USER_SCHEMA
from syncer.snapshot.layout import Compression, Format
from syncer.snapshot.manifest import FileFacts
from syncer.snapshot.part_formats import PARQUET_PROFILES, ParquetProfile
from syncer.snapshot.sinks import Sink, SinkOptions, cut, write_parts
from tests.snapshot_data import COMPRESSIONS, SMALL, User, chunked, make_users, merge, spool, tree

OTHERS = {"related": [], "name": "Zoë \u2028 😀", "n": 1}


def odd_users(count: int) -> list[User]:
    return [user | OTHERS if at % 7 == 0 else user for at, user in enumerate(make_users(count))]


def table_of(users: list[User]) -> Any:
    pages = spool([chunked(users, 50)])
    return pa.concat_tables([pa.Table.from_batches([page.encoded.batch]) for page in pages]) if users else EMPTY


EMPTY = LINE_SCHEMA.empty_table()


def write(folder: Path, tables: Any, options: SinkOptions = SMALL) -> tuple[FileFacts, ...]:
    forms: tuple[Format, ...] = ("parquet", "ndjson")
    for form in forms:
        (folder / form).mkdir(parents=True)
    return write_parts(tables, [Sink(form, folder / form, f"final/{form}", options) for form in forms], options)


@pytest.mark.parametrize("page_size", [1, 3, 50, 1000])
@pytest.mark.parametrize("falling", [False, True])
def test_page_size_and_order_do_not_change_a_byte(tmp_path: Path, page_size: int, falling: bool) -> None:
    users = odd_users(150)
    listed = users[::-1] if falling else users
    write(tmp_path / "a", [table_of(users)])
    write(tmp_path / "b", merge(spool([chunked(listed, page_size)]), tmp_path / "work").tables())
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 40), max_size=12))
def test_no_way_of_cutting_the_stream_changes_a_byte(sizes: list[int]) -> None:
    whole = table_of(odd_users(100))
    assert [t.to_pylist() for t in cut(pieces(whole, sizes), 8)] == [t.to_pylist() for t in cut([whole], 8)]
    for frame in cut(pieces(whole, sizes), 8):
        assert [column.num_chunks for column in frame.columns] == [1] * len(frame.columns)


def pieces(whole: Any, sizes: list[int]) -> Iterator[Any]:
    at = 0
    for size in [*sizes, whole.num_rows]:
        yield whole.slice(at, size)
        at = min(whole.num_rows, at + size)


@pytest.mark.parametrize("profile", PARQUET_PROFILES)
def test_an_independent_reader_sees_the_same_users(tmp_path: Path, profile: ParquetProfile) -> None:
    table = table_of(odd_users(150))
    write(tmp_path, [table], replace(SMALL, parquet_profile=profile))
    found = duckdb.sql(
        "SELECT id, epoch_us(created_at), epoch_us(updated_at), epoch_us(deleted_at), extra"
        f" FROM '{tmp_path}/parquet/*.parquet' ORDER BY id"
    ).fetchall()
    plain = [table.column(name) for name in USER_SCHEMA.names]
    plain[1:4] = [column.cast(pa.int64()) for column in plain[1:4]]
    assert found == list(zip(*(column.to_pylist() for column in plain), strict=True))
    assert pq.read_table(tmp_path / "parquet").select(USER_SCHEMA.names).equals(table.select(USER_SCHEMA.names))


def test_the_footer_says_what_readers_use(tmp_path: Path) -> None:
    write(tmp_path, [table_of(make_users(40))])
    parquet = pq.ParquetFile(tmp_path / "parquet" / "part-00000.parquet")
    assert parquet.schema_arrow == USER_SCHEMA
    assert [parquet.schema.column(at).name for at in range(5)] == USER_SCHEMA.names
    group = parquet.metadata.row_group(0)
    assert (parquet.metadata.num_row_groups, group.num_rows, group.sorting_columns) == (3, 16, (pq.SortingColumn(0),))
    assert {group.column(at).compression for at in range(5)} == {"ZSTD"}
    assert {encoding for at in range(4) for encoding in group.column(at).encodings} == {"PLAIN", "RLE"}
    assert all(group.column(at).statistics.has_null_count for at in range(5))
    assert group.column(0).has_column_index
    assert group.column(0).statistics.min == make_users(40)[0]["id"]


def test_nothing_of_the_run_is_in_the_footer(tmp_path: Path) -> None:
    write(tmp_path, [table_of(make_users(1))])
    metadata = pq.ParquetFile(tmp_path / "parquet" / "part-00000.parquet").metadata
    assert list(metadata.metadata) == [b"ARROW:schema"]
    assert metadata.created_by.startswith("parquet-cpp-arrow version ")


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("count", [0, 1, 8, 64, 150])
def test_ndjson_is_the_users_as_served_a_line_each(tmp_path: Path, compression: Compression, count: int) -> None:
    users = odd_users(count)
    facts = write(tmp_path, [table_of(users)], replace(SMALL, ndjson_compression=compression))
    content = b"".join(
        plain(tmp_path / "ndjson" / f.path.rpartition("/")[2], compression) for f in facts if f.format == "ndjson"
    )
    assert content == b"".join(orjson.dumps(user) + b"\n" for user in users)


def plain(path: Path, compression: Compression) -> bytes:
    if compression == "gzip":
        data = path.read_bytes()
        assert data[4:8] == bytes(4)  # no time
        assert data[3] == 0  # no name
        return gzip.decompress(data)
    if compression == "none":
        return path.read_bytes()
    with pa.input_stream(str(path), compression="zstd") as stream:
        data = stream.read()
        assert isinstance(data, bytes)
        return data


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_an_independent_reader_reads_ndjson(tmp_path: Path, compression: Compression) -> None:
    write(tmp_path, [table_of(odd_users(150))], replace(SMALL, ndjson_compression=compression))
    query = (
        f"SELECT count(*), count(DISTINCT id) FROM read_json('{tmp_path}/ndjson/part-*', format='newline_delimited')"
    )
    assert duckdb.sql(query).fetchall() == [(150, 150)]


@pytest.mark.parametrize("form", ["parquet", "ndjson"])
def test_parts_are_described_as_they_are(tmp_path: Path, form: Format) -> None:
    users = make_users(150)
    facts = [f for f in write(tmp_path, [table_of(users)]) if f.format == form]
    ids = [user["id"] for user in users]
    suffix = "parquet" if form == "parquet" else "ndjson.zst"
    assert [(f.path, f.rows, f.min_id, f.max_id) for f in facts] == [
        (f"final/{form}/part-00000.{suffix}", 64, ids[0], ids[63]),
        (f"final/{form}/part-00001.{suffix}", 64, ids[64], ids[127]),
        (f"final/{form}/part-00002.{suffix}", 22, ids[128], ids[149]),
    ]
    for f in facts:
        data = (tmp_path / form / f.path.rpartition("/")[2]).read_bytes()
        assert (f.bytes, f.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert (tmp_path / form / "_SUCCESS").read_bytes() == b""


def test_no_users_are_one_part_of_each_format_without_rows(tmp_path: Path) -> None:
    facts = write(tmp_path, [])
    assert [(f.path, f.rows, f.min_id, f.max_id) for f in facts] == [
        ("final/parquet/part-00000.parquet", 0, None, None),
        ("final/ndjson/part-00000.ndjson.zst", 0, None, None),
    ]
    assert pq.read_table(tmp_path / "parquet").equals(USER_SCHEMA.empty_table())


def test_users_that_fill_parts_exactly_leave_no_empty_one(tmp_path: Path) -> None:
    assert [f.rows for f in write(tmp_path, [table_of(make_users(128))])] == [64, 64, 64, 64]


def test_an_error_in_the_stream_leaves_no_part_open(tmp_path: Path) -> None:
    def broken() -> Iterator[Any]:
        yield table_of(make_users(100))
        raise StorageFailed("a page in the spool is damaged")

    with pytest.raises(StorageFailed, match="is damaged"):
        write(tmp_path, broken())
    assert sorted(tree(tmp_path)) == ["ndjson/part-00000.ndjson.zst", "parquet/part-00000.parquet"]  # whole ones


@pytest.mark.parametrize("options", [(8, 16, 8), (16, 16, 5), (16, 16, 0), (0, 16, 8)])
def test_sizes_that_do_not_fit_into_each_other_are_refused(options: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="multiple"):
        SinkOptions(*options)


def test_realistic_users_stay_small(tmp_path: Path) -> None:
    table = table_of(make_users(20_000))
    by_format = {f.format: f for f in write(tmp_path, [table], SinkOptions())}
    assert by_format["parquet"].bytes / 20_000 < 23.5
    assert by_format["ndjson"].bytes / 20_000 < 30


def test_lines_beyond_one_chunk_are_all_written(tmp_path: Path) -> None:
    table = table_of(make_users(30))
    in_chunks = pa.concat_tables([table.slice(0, 11), table.slice(11)])
    file = files.HashingFile(tmp_path / "lines")
    part = part_formats.NdjsonPart(file, "none")
    part.write(in_chunks)
    part.close()
    file.close()
    assert (tmp_path / "lines").read_bytes() == b"".join(table.column("line").to_pylist())


def test_shuffled_lists_give_the_same_bytes_too(tmp_path: Path) -> None:
    users = odd_users(150)
    shuffled = list(users)
    random.Random(3).shuffle(shuffled)
    write(tmp_path / "a", [table_of(users)])
    write(tmp_path / "b", merge(spool([chunked(shuffled, 7)]), tmp_path / "work", pending_rows_max=20).tables())
    assert tree(tmp_path / "a") == tree(tmp_path / "b")
