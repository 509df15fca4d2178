"""Looks for erased users in every file below a folder: as bytes, decompressed, decoded, and within page tokens."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

_CODECS = {".zst": "zstd", ".gz": "gzip"}
_BASE64 = re.compile(rb"[A-Za-z0-9+/=_-]{16,}")


def found(folder: Path, ids: list[str]) -> list[str]:
    """Files that name any of these users, relative to the folder; one that cannot be decoded is searched as it is."""
    wanted = [needle for user_id in ids for needle in _needles(user_id)]
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [str(path.relative_to(folder)) for path in files if any(n in text for text in texts(path) for n in wanted)]


def _needles(user_id: str) -> Iterator[bytes]:
    """The id, and what stays the same of it in base64 wherever it begins, in both alphabets."""
    yield user_id.encode()
    for before in range(3):
        for encode in (b64encode, urlsafe_b64encode):
            yield encode(b"\0" * before + user_id.encode())[4 if before else 0 : -4]


def texts(path: Path) -> Iterator[bytes]:
    """What a file says, and what it says once it is decompressed and its tokens are read."""
    data = path.read_bytes()
    yield data
    if codec := _CODECS.get(path.suffix):
        try:
            yield pa.input_stream(pa.BufferReader(data), compression=codec).read()
        except (pa.ArrowException, OSError):
            return  # cut short
    if path.suffix == ".parquet":
        try:
            yield from _of_parquet(path)
        except (pa.ArrowException, OSError):
            return


def _of_parquet(path: Path) -> Iterator[bytes]:
    file = pq.ParquetFile(path)
    yield repr(file.metadata.to_dict()).encode()
    table = file.read()
    text = repr(table.to_pylist()).encode()
    yield text
    for token in {token for name in {"token", "next"} & set(table.column_names) for token in _tokens(table, name)}:
        for run in _BASE64.findall(token):
            yield b64decode(run.translate(bytes.maketrans(b"-_", b"+/")) + b"==")


def _tokens(table: pa.Table, name: str) -> Iterator[bytes]:
    return (token.encode() for token in table.column(name).to_pylist() if token)
