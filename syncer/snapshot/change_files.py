"""Files of changes: one row a change, as Parquet or NDJSON. Whole and durable after ``close``, or not there at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from syncer.errors import UsageError
from syncer.snapshot import files
from syncer.snapshot.diff import CHANGE_SCHEMA
from syncer.snapshot.files import HashingFile, dropped_on_failure
from syncer.snapshot.part_readers import PartFault, whole_batches

ChangeFormat = Literal["parquet", "ndjson", "ndjson.zst"]
GROUP_ROWS = 32_768
_SUFFIXES: tuple[tuple[str, ChangeFormat], ...] = (
    (".parquet", "parquet"),
    (".ndjson.zst", "ndjson.zst"),
    (".ndjson", "ndjson"),
)
_ZSTD_LEVEL = 1


def change_format(name: str) -> ChangeFormat:
    """What a file of this name is to hold. Raises UsageError for a name that does not say."""
    for suffix, form in _SUFFIXES:
        if name.endswith(suffix):
            return form
    raise UsageError(
        "the name of the output does not say its format", hint="let it end with .parquet, .ndjson or .ndjson.zst"
    )


class ChangeFile:
    """One open file. Takes tables of any size; rows gather until they are worth a row group or a frame."""

    def __init__(self, path: Path, form: ChangeFormat) -> None:
        """``path`` is not there yet; its folder is."""
        self.rows = 0
        self.min_id: str | None = None
        self.max_id: str | None = None
        self.file = HashingFile(path)
        with dropped_on_failure([self.file]):
            self._writer: _Writer = _ParquetWriter(self.file) if form == "parquet" else _NdjsonWriter(self.file, form)
        self._waiting: list[Any] = []
        self._waiting_rows = 0

    def write(self, table: Any) -> None:
        """Some more changes, in order of ids; at least one."""
        ids = table.column("id")
        self.min_id = ids[0].as_py() if self.min_id is None else self.min_id
        self.max_id = ids[-1].as_py()
        self.rows += table.num_rows
        self._waiting.append(table)
        self._waiting_rows += table.num_rows
        if self._waiting_rows >= GROUP_ROWS:
            self._flush()

    def close(self) -> None:
        """Write what is left, and make the file durable."""
        if self._waiting_rows:
            self._flush()
        self._writer.close()
        self.file.close()

    def abandon(self) -> None:
        """Drop the file; never raises."""
        self.file.abandon()

    def _flush(self) -> None:
        table = pa.concat_tables(self._waiting).combine_chunks()
        self._waiting.clear()
        self._waiting_rows = 0
        self._writer.write(table)


class OutputFile:
    """A file of changes at a path that a person chose: it appears there when it is whole, replacing what is there."""

    def __init__(self, path: Path) -> None:
        """Raises UsageError for a name that does not say its format, StorageFailed when it cannot be created."""
        self._path = path
        self._temporary = path.with_name(f".{path.name}{files.TEMPORARY_SUFFIX}")
        form = change_format(path.name)
        files.make_folder(path.parent)
        files.remove(self._temporary)
        self._file = ChangeFile(self._temporary, form)

    def write(self, table: Any) -> None:
        """Some more changes."""
        self._file.write(table)

    def close(self) -> None:
        """Put it in its place."""
        self._file.close()
        files.move(self._temporary, self._path)

    def abandon(self) -> None:
        """Drop it; what was there before stays."""
        self._file.abandon()


def read_changes(file: BinaryIO) -> Iterator[Any]:
    """Record batches of a Parquet file of changes, page checksums verified. Raises PartFault."""
    try:
        parquet = pq.ParquetFile(file, page_checksum_verification=True, pre_buffer=False)
        if not parquet.schema_arrow.equals(CHANGE_SCHEMA):
            raise PartFault("does not have the columns of changes")
        yield from whole_batches(parquet.iter_batches(batch_size=GROUP_ROWS, use_threads=False))
    except (pa.ArrowException, OSError, ValueError):
        raise PartFault("cannot be read as Parquet: it is damaged") from None


class _ParquetWriter:
    def __init__(self, file: HashingFile) -> None:
        self._writer = pq.ParquetWriter(
            file,
            CHANGE_SCHEMA,
            version="2.6",
            data_page_version="1.0",
            compression="zstd",
            compression_level=1,
            use_dictionary=["change", "old_extra", "new_extra"],
            write_statistics=True,
            write_page_checksum=True,
            sorting_columns=[pq.SortingColumn(CHANGE_SCHEMA.get_field_index("id"))],
            store_schema=True,
        )

    def write(self, table: Any) -> None:
        self._writer.write_table(table, row_group_size=max(table.num_rows, 1))

    def close(self) -> None:
        self._writer.close()


class _NdjsonWriter:
    def __init__(self, file: HashingFile, form: ChangeFormat) -> None:
        self._file = file
        self._zstd: Any = pa.Codec("zstd", compression_level=_ZSTD_LEVEL) if form == "ndjson.zst" else None

    def write(self, table: Any) -> None:
        lines = b"".join(
            orjson.dumps(row, option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE) for row in table.to_pylist()
        )
        self._put(lines)

    def close(self) -> None:
        if not self._file.bytes:
            self._put(b"")

    def _put(self, lines: bytes) -> None:
        self._file.write(self._zstd.compress(lines, asbytes=True) if self._zstd else lines)


_Writer = _ParquetWriter | _NdjsonWriter
