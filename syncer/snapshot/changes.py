"""The partition of changes that an export writes beside its parts: what a warehouse merges instead of loading anew.

Sees every row on its way to the parts, and compares it with the previous snapshot at once: nothing is read twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from syncer.snapshot import files
from syncer.snapshot.change_files import ChangeFile
from syncer.snapshot.columns import USER_SCHEMA
from syncer.snapshot.diff import Diff
from syncer.snapshot.erased_ids import IsErased
from syncer.snapshot.layout import SUCCESS_NAME
from syncer.snapshot.manifest import ChangesFacts, FileFacts
from syncer.snapshot.windows import Pair, Windows

PART_ROWS = 4_194_304


class ChangesSink:
    """Takes the new snapshot's rows in order; ``finish`` says what was written."""

    def __init__(
        self,
        previous: Iterable[Any],
        previous_id: str,
        staged: Path,
        final_folder: str,
        part_rows: int = PART_ROWS,
        is_erased: IsErased | None = None,
    ) -> None:
        """``previous``: all columns of the previous snapshot's users; ``staged`` is there and empty.

        ``is_erased``: users of the previous snapshot who are no change, though they are gone.
        """
        self._windows = Windows(previous)
        self._previous_id = previous_id
        self._diff = Diff(is_erased=is_erased)
        self._staged = staged
        self._final_folder = final_folder
        self._part_rows = part_rows
        self._open: ChangeFile | None = None
        self._finished: list[FileFacts] = []

    def write(self, frame: Any) -> None:
        """Some more rows."""
        for batch in frame.select(USER_SCHEMA.names).to_batches():
            for pair in self._windows.push(batch):
                self._compare(pair)

    def finish(self) -> ChangesFacts:
        """The users behind the last row, the last part, and ``_SUCCESS``. Without any change there is an empty part."""
        for pair in self._windows.finish():
            self._compare(pair)
        if not self._finished and self._open is None:
            self._begin()
        if self._open is not None:
            self._end(self._open)
        files.write_file(self._staged / SUCCESS_NAME, b"")
        return ChangesFacts(self._previous_id, tuple(self._finished), self._diff.by_change())

    def abandon(self) -> None:
        """Drop the part that is open; never raises."""
        if self._open is not None:
            self._open.abandon()

    def _compare(self, pair: Pair) -> None:
        table = self._diff.compare(pair)
        if table is None:
            return
        part = self._open or self._begin()
        part.write(table)
        if part.rows >= self._part_rows:
            self._end(part)

    def _begin(self) -> ChangeFile:
        self._open = ChangeFile(self._staged / f"part-{len(self._finished):05d}.parquet", "parquet")
        return self._open

    def _end(self, part: ChangeFile) -> None:
        part.close()
        self._open = None
        path = f"{self._final_folder}/{part.file.path.name}"
        self._finished.append(
            FileFacts(path, "parquet", part.rows, part.file.bytes, part.file.sha256, part.min_id, part.max_id)
        )
