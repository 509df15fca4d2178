"""The page index, ``pages.parquet``: one row a page, streamed both ways. Must not hold all pages at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from syncer.errors import SnapshotMismatch
from syncer.model import PageRecord
from syncer.snapshot.files import HashingFile
from syncer.snapshot.manifest import PageIndexFacts
from syncer.snapshot.part_readers import whole_batches
from syncer.snapshot.store import Store

_GROUP_ROWS = 4096
_ROWS_AT_ONCE = 512
"""Records that are objects of Python at a time: each takes twice what its row takes in a column."""
_NAMES = tuple(field.name for field in fields(PageRecord))
_COUNTS = {"stretch", "sequence", "asked", "page_size", "users", "rejects", "stitch"}
_REPEATING = ["stretch", "page_size", "users", "rejects", "end", "ending"]
"""Columns of few values: for all others, nearly always distinct, a dictionary would only cost."""
_OPTIONAL = {"token", "next", "end", "first_id", "last_id", "min_id", "max_id", "ending", "stitch", "stitch_id"}


def _type(name: str) -> Any:
    if name == "digest":
        return pa.binary(32)
    return pa.int64() if name in _COUNTS else pa.string()


PAGE_SCHEMA: Any = pa.schema([pa.field(name, _type(name), nullable=name in _OPTIONAL) for name in _NAMES])


def write_page_index(records: Iterable[PageRecord], path: Path, final_path: str) -> PageIndexFacts:
    """Write a new file at ``path``; ``final_path`` is what the manifest will call it."""
    file = HashingFile(path)
    rows = 0
    try:
        writer = pq.ParquetWriter(
            file, PAGE_SCHEMA, compression="zstd", use_dictionary=_REPEATING, write_page_checksum=True
        )
        batches = _batches(records)
        while group := list(islice(batches, _GROUP_ROWS // _ROWS_AT_ONCE)):
            table = pa.Table.from_batches(group)
            writer.write_table(table)
            rows += table.num_rows
        writer.close()
        file.close()
    except BaseException:
        file.abandon()
        raise
    return PageIndexFacts(final_path, rows, file.bytes, file.sha256)


def _batches(records: Iterable[PageRecord]) -> Iterator[Any]:
    stream = iter(records)
    while chunk := list(islice(stream, _ROWS_AT_ONCE)):
        columns = [pa.array([getattr(r, name) for r in chunk], _type(name)) for name in _NAMES]
        yield pa.RecordBatch.from_arrays(columns, schema=PAGE_SCHEMA)


def read_page_index(store: Store, path: str) -> Iterator[PageRecord]:
    """The pages of a snapshot in list order. Raises FileMissing, and SnapshotMismatch for a damaged file."""
    with store.open(path) as file:
        yield from _records(file, path)


def count_users_and_borders(store: Store, path: str) -> tuple[int, int]:
    """Accepted users on all pages of a snapshot, and the stretches that ended where another one begins. Raises as
    ``read_page_index`` does."""
    users = borders = 0
    with store.open(path) as file:
        for batch in read_page_columns(file, path, ["users", "rejects", "ending"]):
            users += pc.sum(pc.subtract(batch.column("users"), batch.column("rejects"))).as_py() or 0
            borders += sum(ending in ("entry", "met") for ending in batch.column("ending").to_pylist())
    return users, borders


def _records(file: BinaryIO, path: str) -> Iterator[PageRecord]:
    for batch in read_page_columns(file, path, _NAMES):
        yield from map(PageRecord, *(column.to_pylist() for column in batch.columns))


def read_page_columns(file: BinaryIO, path: str, names: Iterable[str]) -> Iterator[Any]:
    """Some columns of the page index, as record batches."""
    try:
        parquet = pq.ParquetFile(file, page_checksum_verification=True)
        if not parquet.schema_arrow.equals(PAGE_SCHEMA):
            raise SnapshotMismatch(f"{path} does not have the columns of a page index")
        yield from whole_batches(parquet.iter_batches(batch_size=_ROWS_AT_ONCE, columns=list(names)))
    except (pa.ArrowException, OSError, ValueError):  # Arrow decodes the names of damaged columns without care
        raise SnapshotMismatch(f"{path} cannot be read as a page index: it is damaged") from None
