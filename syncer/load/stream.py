"""The users of a snapshot as the stream that Arrow libraries read. Keeps what such a library would hide.

A library that meets an exception while it reads says only that reading failed; the true cause is raised again here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

SCHEMA: Any = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("created_at", pa.timestamp("us", "UTC"), nullable=False),
        pa.field("updated_at", pa.timestamp("us", "UTC"), nullable=False),
        pa.field("deleted_at", pa.timestamp("us", "UTC")),
        pa.field("extra", pa.string()),
    ]
)


class Stream:
    """One pass over record batches."""

    def __init__(self, batches: Iterator[Any]) -> None:
        self._batches = batches
        self._failure: BaseException | None = None
        self.rows = 0
        """Read so far."""
        self.reader: Any = pa.RecordBatchReader.from_batches(SCHEMA, self._watched())

    def raise_failure(self) -> None:
        """Raise what reading failed with, if it did."""
        if self._failure is not None:
            raise self._failure

    def _watched(self) -> Iterator[Any]:
        try:
            for batch in self._batches:
                self.rows += batch.num_rows
                yield batch
        except BaseException as failure:
            self._failure = failure
            raise
