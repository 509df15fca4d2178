"""The ids that a person gives: from arguments, lines, NDJSON or a Parquet column. What is not an id is never sent.

Reads only the files that it is given; memory grows with the ids.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import BinaryIO

import orjson

from syncer.errors import StorageFailed, UsageError
from syncer.model import counted

ID_PATTERN = re.compile("comms_pushnotificationuser_[0-7][a-hjkmnpqrstv-z0-9]{25,34}")
"""The pattern of the API's own description (twilio_comms_v1.yaml), anchored at both ends."""
LINE_BYTES_MAX = 1 << 20
_SHOWN_CHARACTERS_MAX = 80


@dataclass(frozen=True, slots=True)
class Given:
    """One id as it was given. ``place`` says where, in words."""

    text: str
    place: str


@dataclass(frozen=True, slots=True)
class Chosen:
    """The ids to work on: each once, in the order in which they were given first."""

    ids: tuple[str, ...]
    repeated: int
    """How many were given again."""


def is_user_id(text: str) -> bool:
    """Whether a text has the documented form of a user's id."""
    return ID_PATTERN.fullmatch(text) is not None


def choose(given: Iterable[Given]) -> Chosen:
    """Each id once. Raises UsageError that lists everything which is not an id."""
    seen: dict[str, None] = {}
    malformed, count = [], 0
    for one in given:
        count += 1
        if is_user_id(one.text):
            seen[one.text] = None
        else:
            malformed.append(f"{_shown(one.text)} ({one.place})")
    if malformed:
        what = "1 is not a user id" if len(malformed) == 1 else f"{len(malformed)} are not user ids"
        raise UsageError(
            f"of {counted(count, 'id')} given, {what}, and nothing was sent:\n  " + "\n  ".join(malformed),
            hint="an id is comms_pushnotificationuser_ and 26 to 35 characters",
        )
    return Chosen(tuple(seen), count - len(seen))


def of_arguments(arguments: Iterable[str]) -> Iterator[Given]:
    """Ids on the command line."""
    return (Given(text, f"argument {number}") for number, text in enumerate(arguments, 1))


def of_lines(lines: Iterable[bytes], name: str) -> Iterator[Given]:
    """One id a line, or one JSON object with an ``id`` a line; blank lines and lines that begin with # are none."""
    for number, raw in enumerate(lines, 1):
        line = raw.strip().removeprefix(b"\xef\xbb\xbf")
        if line and not line.startswith(b"#"):
            yield Given(_of_json(line) if line.startswith(b"{") else _text(line), f"line {number} of {name}")


def of_file(path: Path) -> Iterator[Given]:
    """A text, NDJSON or Parquet file, told apart by its first bytes. Raises UsageError for one that cannot be read."""
    try:
        with path.open("rb") as file:
            yield from of_stream(file, path.name)
    except OSError as error:
        raise UsageError(f"the ids in {path} cannot be read: {error.strerror}", hint="check --ids-file") from None


def of_stream(file: BufferedReader, name: str) -> Iterator[Given]:
    """Ids from a file or a pipe, told apart by its first bytes. Parquet from a pipe is read whole."""
    if not file.peek(4).startswith(b"PAR1"):
        yield from of_lines(_lines(file), name)
    elif file.seekable():
        yield from _of_parquet(file, name)
    else:
        yield from _of_parquet(BytesIO(file.read()), name)


def _lines(file: BinaryIO) -> Iterator[bytes]:
    while line := file.readline(LINE_BYTES_MAX):
        yield line


def _of_json(line: bytes) -> str:
    try:
        found = orjson.loads(line).get("id")
    except orjson.JSONDecodeError:
        return _text(line)
    return found if isinstance(found, str) else _text(line)


def _of_parquet(file: BinaryIO, name: str) -> Iterator[Given]:
    import pyarrow as pa  # some 100 ms to load: most ids come as lines
    import pyarrow.parquet as pq

    row = 0
    try:
        parquet = pq.ParquetFile(file)
        if "id" not in parquet.schema_arrow.names:
            raise UsageError(f"{name} has no column id", hint="check --ids-file")
        for batch in parquet.iter_batches(columns=["id"]):
            for value in batch.column(0).to_pylist():
                row += 1
                yield Given(value if isinstance(value, str) else str(value), f"row {row} of {name}")
    except (pa.ArrowException, OSError):
        raise StorageFailed(f"{name} cannot be read as Parquet: it is damaged", hint="check --ids-file") from None


def _text(line: bytes) -> str:
    return line.decode("utf-8", "backslashreplace")


def _shown(text: str) -> str:
    return ascii(text if len(text) <= _SHOWN_CHARACTERS_MAX else text[:_SHOWN_CHARACTERS_MAX] + "...")
