"""From one stream of sorted users to the parts of each format.

The same users give the same bytes, however the stream was cut: rows are cut anew, and nothing of the run is in a part.
A failure drops what was begun; a part is never closed while an error is on its way, as a closed short file looks whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from syncer.snapshot import files
from syncer.snapshot.files import HashingFile, dropped_on_failure
from syncer.snapshot.layout import SUCCESS_NAME, Compression, Format, part_name
from syncer.snapshot.manifest import FileFacts
from syncer.snapshot.part_formats import NdjsonPart, ParquetPart, ParquetProfile

GROUP_ROWS = 32_768
"""Rows of a Parquet row group, some 3 MB in memory: four times as many save 1 % of the bytes and cost 13 MiB."""
FRAME_ROWS = 8_192
"""Lines of a zstd frame, and rows that pass through the sinks at a time: some 1.5 MB with the users' own JSON."""
PART_ROWS = 4_194_304
"""Rows of a part: some 100 MB of Parquet, in the range that Snowflake and Redshift ask for."""


@dataclass(frozen=True, slots=True)
class SinkOptions:
    """How parts are cut and written: the same users and the same options give the same files."""

    part_rows: int = PART_ROWS
    group_rows: int = GROUP_ROWS
    frame_rows: int = FRAME_ROWS
    parquet_profile: ParquetProfile = "plain"
    ndjson_compression: Compression = "zstd"

    def __post_init__(self) -> None:
        whole = min(self.frame_rows, self.group_rows, self.part_rows) > 0
        if not whole or self.group_rows % self.frame_rows or self.part_rows % self.group_rows:
            raise ValueError("part_rows must be a multiple of group_rows, and that of frame_rows")


class OpenPart(Protocol):
    """A part that is being written into a file."""

    def write(self, frame: Any) -> None:
        """Some more rows: a table in contiguous memory, of ``frame_rows`` rows unless it is the last one."""
        ...

    def close(self) -> None:
        """Write what a whole part ends with; the file stays open."""
        ...


class Sink:
    """The parts of one format in one staged folder, one open at a time."""

    def __init__(self, form: Format, staged: Path, final_folder: str, options: SinkOptions) -> None:
        """``staged`` is there and empty; ``final_folder`` is what the manifest will call it."""
        self._format = form
        self._staged = staged
        self._final_folder = final_folder
        self._options = options
        self._open_part: Callable[[HashingFile], OpenPart] = _opener(form, options)
        self._file: HashingFile | None = None
        self._part: OpenPart | None = None
        self._rows = 0
        self._min_id: str | None = None
        self._max_id: str | None = None
        self._finished: list[FileFacts] = []

    def write(self, frame: Any) -> None:
        """Some more rows, as ``cut`` gives them."""
        part = self._part or self._begin()
        part.write(frame)
        ids = frame.column("id")
        self._min_id = ids[0].as_py() if self._rows == 0 else self._min_id
        self._max_id = ids[-1].as_py()
        self._rows += frame.num_rows
        if self._rows >= self._options.part_rows:
            self._end()

    def finish(self) -> tuple[FileFacts, ...]:
        """End the last part; without any user there is one part without rows, so that readers find the columns."""
        if not self._finished and self._part is None:
            self._begin()
        if self._part is not None:
            self._end()
        files.write_file(self._staged / SUCCESS_NAME, b"")
        return tuple(self._finished)

    def abandon(self) -> None:
        """Drop the part that is open; never raises."""
        if self._file is not None:
            self._file.abandon()

    def _begin(self) -> OpenPart:
        name = part_name(self._format, len(self._finished), self._options.ndjson_compression)
        self._file = HashingFile(self._staged / name)
        self._part = self._open_part(self._file)
        self._rows, self._min_id, self._max_id = 0, None, None
        return self._part

    def _end(self) -> None:
        assert self._part is not None
        assert self._file is not None
        self._part.close()
        self._file.close()
        file, self._part, self._file = self._file, None, None
        self._finished.append(
            FileFacts(
                f"{self._final_folder}/{file.path.name}",
                self._format,
                self._rows,
                file.bytes,
                file.sha256,
                self._min_id,
                self._max_id,
            )
        )


class FrameSink(Protocol):
    """What else sees every frame on its way to the parts."""

    def write(self, frame: Any) -> None:
        """Some more rows."""
        ...

    def abandon(self) -> None:
        """Drop what was begun; never raises."""
        ...


def write_parts(
    tables: Iterable[Any], sinks: Sequence[Sink], options: SinkOptions, beside: Sequence[FrameSink] = ()
) -> tuple[FileFacts, ...]:
    """Write sorted tables through every sink. On any error what was begun is dropped, and the error goes on."""
    everyone: list[FrameSink] = [*sinks, *beside]
    with dropped_on_failure(everyone):
        for frame in cut(tables, options.frame_rows):
            for sink in everyone:
                sink.write(frame)
        return tuple(facts for sink in sinks for facts in sink.finish())


def cut(tables: Iterable[Any], rows: int) -> Iterator[Any]:
    """Tables of exactly ``rows`` rows, the last one shorter, each in contiguous memory."""
    waiting: list[Any] = []
    count = 0
    for table in tables:
        waiting.append(table)
        count += table.num_rows
        while count >= rows:
            whole = pa.concat_tables(waiting)
            yield whole.slice(0, rows).combine_chunks()
            count -= rows
            waiting = [whole.slice(rows)] if count else []
    if count:
        yield pa.concat_tables(waiting).combine_chunks()


def _opener(form: Format, options: SinkOptions) -> Callable[[HashingFile], OpenPart]:
    if form == "parquet":
        return lambda file: ParquetPart(file, options.parquet_profile, options.group_rows)
    return lambda file: NdjsonPart(file, options.ndjson_compression)
