"""The file ``tree.parquet``: a row for each leaf of the hash tree, written while the parts are. Only here for proofs.

The root in the manifest can be computed from the users alone; this file saves reading them all to prove one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from syncer.errors import SnapshotMismatch
from syncer.snapshot.files import HashingFile, dropped_on_failure
from syncer.snapshot.hash_tree import ALGORITHM, LEAF_ROWS, Leaf, RowHasher, TreeHead
from syncer.snapshot.manifest import TreeFacts

TREE_SCHEMA: Any = pa.schema(
    [pa.field("first_id", pa.string(), nullable=False), pa.field("digest", pa.binary(32), nullable=False)]
)
_LEAVES_AT_ONCE = 1024


class TreeSink:
    """Takes the frames that the parts take."""

    def __init__(self, staged: Path, final: str) -> None:
        """A new file at ``staged``; ``final`` is what the manifest will call it."""
        self._final = final
        self._hasher = RowHasher(LEAF_ROWS)
        self._waiting: list[Leaf] = []
        self._file = HashingFile(staged)
        with dropped_on_failure([self._file]):
            self._writer = pq.ParquetWriter(
                self._file, TREE_SCHEMA, compression="zstd", use_dictionary=False, write_page_checksum=True
            )

    def write(self, frame: Any) -> None:
        """Some more rows."""
        self._waiting += self._hasher.add(frame)
        if len(self._waiting) >= _LEAVES_AT_ONCE:
            self._write_leaves()

    def finish(self) -> TreeFacts:
        """End the file. It is dropped when that fails."""
        try:
            self._waiting += self._hasher.finish()
            self._write_leaves()
            self._writer.close()
            self._file.close()
        except BaseException:
            self._file.abandon()
            raise
        head = self._hasher.head
        return TreeFacts(
            ALGORITHM, LEAF_ROWS, head.leaves, head.root.hex(), self._final, self._file.bytes, self._file.sha256
        )

    def abandon(self) -> None:
        """Drop the file; never raises."""
        self._file.abandon()

    def _write_leaves(self) -> None:
        columns = [
            pa.array([leaf.first_id for leaf in self._waiting], pa.string()),
            pa.array([leaf.digest for leaf in self._waiting], pa.binary(32)),
        ]
        self._waiting.clear()
        if len(columns[0]):
            self._writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=TREE_SCHEMA))


def read_tree(file: BinaryIO, path: str) -> Any:
    """All leaves as a table: some 90 bytes for each. Raises SnapshotMismatch for a damaged file."""
    try:
        parquet = pq.ParquetFile(file, page_checksum_verification=True)
        if not parquet.schema_arrow.equals(TREE_SCHEMA):
            raise SnapshotMismatch(f"{path} does not have the columns of a hash tree")
        table = parquet.read(use_threads=False)
        table.validate(full=True)
        return table
    except (pa.ArrowException, OSError, ValueError):
        raise SnapshotMismatch(f"{path} cannot be read as a hash tree: it is damaged") from None


def root_of_table(table: Any) -> tuple[bytes, int]:
    """The root over all leaves of ``read_tree``, and how many there are."""
    head = TreeHead()
    for batch in table.to_batches():
        for digest in batch.column("digest").to_pylist():
            head.add(digest)
    return head.root, head.leaves
