"""How one part of each format is written. Nothing of the run may get into it: no time, no name, no chance."""

from __future__ import annotations

import struct
import zlib
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from syncer.snapshot.columns import USER_SCHEMA
from syncer.snapshot.files import HashingFile
from syncer.snapshot.layout import Compression

ParquetProfile = Literal["plain", "compact", "redshift"]
PARQUET_PROFILES: tuple[ParquetProfile, ...] = ("plain", "compact", "redshift")
"""``plain``: zstd and encodings that warehouses read. ``compact``: delta encodings, smaller, where readers know them.
``redshift``: plain with snappy, the one compression that all of Redshift's pages name (docs/formats.md)."""

_ZSTD_LEVEL = 1
# Measured in bytes a user: on ids, which are mostly random, level 1 is smaller than 2 to 6; on times level 3 is.
_COLUMN_LEVELS = {"id": 1, "created_at": 3, "updated_at": 3, "deleted_at": 3, "extra": 1}
_GZIP_LEVEL = 1
_GZIP_CONTAINER = 31  # zlib's window bits for a gzip header; it holds no time and no name
_PLAIN = dict.fromkeys(("id", "created_at", "updated_at", "deleted_at"), "PLAIN")
_ENCODINGS: dict[ParquetProfile, dict[str, str]] = {
    "plain": _PLAIN,
    "redshift": _PLAIN,
    "compact": {
        "id": "DELTA_BYTE_ARRAY",
        **dict.fromkeys(("created_at", "updated_at", "deleted_at"), "DELTA_BINARY_PACKED"),
    },
}


class ParquetPart:
    """One Parquet file."""

    def __init__(self, file: HashingFile, profile: ParquetProfile, group_rows: int) -> None:
        self._group_rows = group_rows
        self._waiting: list[Any] = []
        self._rows = 0
        self._writer = pq.ParquetWriter(
            file,
            USER_SCHEMA,
            version="2.6",
            data_page_version="1.0",
            compression="snappy" if profile == "redshift" else "zstd",
            compression_level=None if profile == "redshift" else _COLUMN_LEVELS,
            use_dictionary=["extra"],  # all else is nearly always distinct: a dictionary would only cost
            column_encoding=_ENCODINGS[profile],
            write_statistics=True,
            write_page_checksum=True,  # without it most flipped bits in zstd pages go unnoticed by readers
            write_page_index=True,
            sorting_columns=[pq.SortingColumn(0)],  # the merge proves the order, the check before publishing again
            store_schema=True,
        )

    def write(self, frame: Any) -> None:
        self._waiting.append(frame.select(USER_SCHEMA.names))
        self._rows += frame.num_rows
        if self._rows >= self._group_rows:
            self._write_group()

    def close(self) -> None:
        if self._rows:
            self._write_group()
        self._writer.close()

    def _write_group(self) -> None:
        # In contiguous memory: the borders of chunks would be borders of pages, and other bytes.
        whole = len(self._waiting) == 1
        group = self._waiting[0] if whole else pa.concat_tables(self._waiting).combine_chunks()
        self._waiting.clear()
        self._writer.write_table(group, row_group_size=self._rows)
        self._rows = 0


class NdjsonPart:
    """One NDJSON file; its content is the data buffer of the ``line`` column."""

    def __init__(self, file: HashingFile, compression: Compression) -> None:
        self._file = file
        self._compression = compression
        self._zstd: Any = pa.Codec("zstd", compression_level=_ZSTD_LEVEL)
        self._gzip = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_CONTAINER)

    def write(self, frame: Any) -> None:
        for content in map(_content, frame.column("line").chunks):  # one chunk, or more when the lines pass 2 GiB
            if self._compression == "zstd":
                self._file.write(self._zstd.compress(content, asbytes=True))
            elif self._compression == "gzip":
                self._file.write(self._gzip.compress(content))
            else:
                self._file.write(memoryview(content))

    def close(self) -> None:
        if self._compression == "gzip":
            self._file.write(self._gzip.flush())
        elif self._compression == "zstd" and not self._file.bytes:
            self._file.write(self._zstd.compress(b"", asbytes=True))  # a file without any frame is not a zstd file


def _content(lines: Any) -> Any:
    """The lines' bytes, one after the other: nothing is copied."""
    _, offsets, content = lines.buffers()
    first, last = _offset(offsets, lines.offset), _offset(offsets, lines.offset + len(lines))
    return content.slice(first, last - first)


def _offset(offsets: Any, row: int) -> int:
    return int(struct.unpack_from("<i", offsets, row * 4)[0])
