"""Reading parts back in bounded memory, as suspiciously as a stranger's: what is wrong is named, not guessed around."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from syncer.snapshot.columns import USER_SCHEMA
from syncer.snapshot.layout import Compression
from syncer.snapshot.manifest import FileFacts

_ROWS_AT_ONCE = 16_384
BYTES_AT_ONCE = 1 << 20
LINE_BYTES_MAX = 64 << 20
"""A page is no longer, and a user is a part of one."""
_ARROW_NAMES = {"zstd": "zstd", "gzip": "gzip", "none": None}


class PartFault(Exception):
    """A part is not what the manifest says; the message is a half sentence that follows its name."""


@dataclass(slots=True)
class Ids:
    """What the ids of one part amount to."""

    after: str | None = None
    """The largest id of the part before: all of this one must be larger."""
    rows: int = 0
    deleted: int = 0
    min_id: str | None = None
    max_id: str | None = None

    @property
    def largest(self) -> str | None:
        """Of this part and those before."""
        return self.after if self.max_id is None else self.max_id

    def add(self, ids: Any, deleted: int) -> None:
        """The next rows, as an Arrow array. Raises PartFault when ids do not rise strictly."""
        if not len(ids):
            return
        first = ids[0].as_py()
        rises = pc.all(pc.less(ids.slice(0, len(ids) - 1), ids.slice(1))).as_py() is not False
        if not rises or (self.largest is not None and self.largest >= first):
            raise PartFault("is not in strictly ascending order of ids")
        self.min_id = first if self.min_id is None else self.min_id
        self.max_id = ids[-1].as_py()
        self.rows += len(ids)
        self.deleted += deleted


def hash_file(file: BinaryIO, size_expected: int | None = None) -> tuple[int, str]:
    """Bytes and sha256 of a whole file, which is at its start again afterwards; one of another size is not read."""
    sha256, size = hashlib.sha256(), file.seek(0, io.SEEK_END)
    if size_expected not in (None, size):
        return size, ""
    size = file.seek(0)
    while block := file.read(BYTES_AT_ONCE):
        sha256.update(block)
        size += len(block)
    file.seek(0)
    return size, sha256.hexdigest()


def bytes_problem(file: BinaryIO, size: int, sha256: str) -> str:
    """A half sentence that follows the file's name; empty when size and hash are right. It is at its start again."""
    found_size, found_sha256 = hash_file(file, size)
    if found_size != size:
        return f"has {found_size} bytes instead of {size}"
    return "" if found_sha256 == sha256 else "has another sha256"


def check_bytes(file: BinaryIO, facts: FileFacts) -> None:
    """Size and sha256. Raises PartFault. The file is at its start again afterwards."""
    if problem := bytes_problem(file, facts.bytes, facts.sha256):
        raise PartFault(problem)


def check_counts(ids: Ids, facts: FileFacts) -> None:
    """Rows and the smallest and largest id. Raises PartFault."""
    if ids.rows != facts.rows:
        raise PartFault(f"has {ids.rows} rows instead of {facts.rows}")
    if (ids.min_id, ids.max_id) != (facts.min_id, facts.max_id):
        raise PartFault("has other smallest and largest ids")


def whole_batches(batches: Iterable[Any]) -> Iterator[Any]:
    """The same, each looked through: text that is no UTF-8 would fail whoever reads it. Raises what Arrow raises."""
    for batch in batches:
        batch.validate(full=True)
        yield batch


def read_parquet(file: BinaryIO, columns: Sequence[str] | None = None) -> Iterator[Any]:
    """Record batches of users, page checksums verified; all columns, or only those named. Raises PartFault."""
    try:
        parquet = pq.ParquetFile(file, page_checksum_verification=True, pre_buffer=False)
        if not parquet.schema_arrow.equals(USER_SCHEMA):
            raise PartFault("does not have the columns of a snapshot")
        for group in range(parquet.metadata.num_row_groups):
            if parquet.metadata.row_group(group).sorting_columns != (pq.SortingColumn(0),):
                raise PartFault("does not say that it is sorted by id")
        wanted = list(columns) if columns is not None else None
        yield from whole_batches(parquet.iter_batches(batch_size=_ROWS_AT_ONCE, columns=wanted, use_threads=False))
    except (pa.ArrowException, OSError, ValueError):
        raise PartFault("cannot be read as Parquet: it is damaged") from None


def read_ndjson(file: BinaryIO, compression: Compression) -> Iterator[list[bytes]]:
    """Lists of whole lines without their ends. Raises PartFault."""
    rest = b""
    for block in _blocks(file, compression):
        *lines, rest = (rest + block).split(b"\n")
        if len(rest) > LINE_BYTES_MAX:
            raise PartFault(f"holds a line of more than {LINE_BYTES_MAX >> 20} MiB")
        yield lines
    if rest:
        raise PartFault("does not end with a line end")


def count_lines(file: BinaryIO, compression: Compression) -> int:
    """How many lines there are, without making an object of each. Raises PartFault."""
    lines, last = 0, b"\n"
    for block in _blocks(file, compression):
        lines, last = lines + block.count(b"\n"), block[-1:]
    if last != b"\n":
        raise PartFault("does not end with a line end")
    return lines


def _blocks(file: BinaryIO, compression: Compression) -> Iterator[bytes]:
    name = _ARROW_NAMES[compression]
    try:
        raw = pa.PythonFile(file, mode="r")
        stream = pa.CompressedInputStream(raw, name) if name else raw
        while block := stream.read(BYTES_AT_ONCE):
            yield block
    except (pa.ArrowException, OSError, ValueError):
        raise PartFault("cannot be decompressed: it is damaged") from None
