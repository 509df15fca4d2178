"""A file of users at a path that a person chose: it appears there when it is whole. In any order of ids."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from syncer.errors import DataRefused
from syncer.model import Page
from syncer.snapshot import files
from syncer.snapshot.change_files import change_format
from syncer.snapshot.columns import USER_SCHEMA, make_encoder
from syncer.snapshot.files import HashingFile

_ZSTD_LEVEL = 1


def write_user_file(path: Path, users: Iterable[list[bytes]]) -> None:
    """Write users, given as JSON without line ends; the name of the path says the format (Parquet, NDJSON, zstd).

    Raises UsageError for a name that does not say it, DataRefused for a user that Parquet's columns cannot hold,
    StorageFailed.
    """
    form = change_format(path.name)
    temporary = path.with_name(f".{path.name}{files.TEMPORARY_SUFFIX}")
    files.make_folder(path.absolute().parent)
    files.remove(temporary)
    file = HashingFile(temporary)
    try:
        if form == "parquet":
            _write_parquet(file, users)
        else:
            _write_ndjson(file, users, compressed=form == "ndjson.zst")
        file.close()
    except BaseException:
        file.abandon()
        raise
    files.move(temporary, path.absolute())


def _write_ndjson(file: HashingFile, users: Iterable[list[bytes]], *, compressed: bool) -> None:
    codec: Any = pa.Codec("zstd", compression_level=_ZSTD_LEVEL)
    for lines in users:
        content = b"".join(line + b"\n" for line in lines)
        file.write(codec.compress(content, asbytes=True) if compressed else content)
    if compressed and not file.bytes:
        file.write(codec.compress(b"", asbytes=True))  # a file without any frame is not a zstd file


def _write_parquet(file: HashingFile, users: Iterable[list[bytes]]) -> None:
    writer = pq.ParquetWriter(file, USER_SCHEMA, version="2.6", compression="zstd", write_page_checksum=True)
    for lines in users:
        writer.write_batch(_columns(lines))
    writer.close()


def _columns(lines: list[bytes]) -> Any:
    body = b'{"users":[%s]}' % b",".join(lines)
    encoded = make_encoder(with_lines=False)(Page(orjson.loads(body)["users"], None, "null", body))
    if encoded.rejects:
        raise DataRefused(
            f"a fetched user does not fit the columns of Parquet: {encoded.rejects[0].reason}",
            hint="write NDJSON, which keeps users as they are served",
        )
    return encoded.batch
