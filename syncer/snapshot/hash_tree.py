"""A hash tree over a snapshot's rows: the same for every format, encoding and cut into parts. Pure: no I/O, no clock.

A leaf is a block of rows in canonical bytes, taken from whole Arrow columns: a loop over rows would cost more than the
export. Leaves are joined as RFC 6962, section 2.1, joins them. docs/formats.md says it all without Arrow.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

ALGORITHM = "sha256-rows-1"
LEAF_ROWS = 256
"""Rows of a leaf: a proof holds one leaf, some 25 KB; half as many would double the tree's share of the export."""
EMPTY_ROOT = hashlib.sha256(b"").digest()

_LEAF = b"\x00"
_NODE = b"\x01"
_PRESENT = b"\x01"


@dataclass(frozen=True, slots=True)
class Leaf:
    """A block of rows: its first user and its hash."""

    first_id: str
    digest: bytes


class TreeHead:
    """The root over leaves that come one by one, in memory that grows with the logarithm of their number."""

    def __init__(self) -> None:
        self.leaves = 0
        self._whole: list[tuple[int, bytes]] = []

    def add(self, digest: bytes) -> None:
        """The next leaf."""
        size = 1
        while self._whole and self._whole[-1][0] == size:
            digest = join(self._whole.pop()[1], digest)
            size *= 2
        self._whole.append((size, digest))
        self.leaves += 1

    @property
    def root(self) -> bytes:
        """Over the leaves so far."""
        if not self._whole:
            return EMPTY_ROOT
        root = self._whole[-1][1]
        for _, left in reversed(self._whole[:-1]):
            root = join(left, root)
        return root


class RowHasher:
    """From tables of sorted users, cut anywhere, to leaves of ``leaf_rows`` rows; the last one may be shorter."""

    def __init__(self, leaf_rows: int = LEAF_ROWS) -> None:
        self.rows = 0
        self.head = TreeHead()
        self._leaf_rows = leaf_rows
        self._waiting: list[Any] = []
        self._waiting_rows = 0

    def add(self, table: Any) -> list[Leaf]:
        """The next rows; the leaves that they fill."""
        self.rows += table.num_rows
        self._waiting.append(table)
        self._waiting_rows += table.num_rows
        whole_rows = self._waiting_rows - self._waiting_rows % self._leaf_rows
        return self._take(whole_rows) if whole_rows else []

    def finish(self) -> list[Leaf]:
        """The last leaf, if there are rows left for one."""
        return self._take(self._waiting_rows) if self._waiting_rows else []

    def _take(self, rows: int) -> list[Leaf]:
        table = pa.concat_tables(self._waiting) if len(self._waiting) > 1 else self._waiting[0]
        self._waiting_rows -= rows
        self._waiting = [table.slice(rows)] if self._waiting_rows else []
        leaves = list(hash_leaves(table.slice(0, rows), self._leaf_rows))
        for leaf in leaves:
            self.head.add(leaf.digest)
        return leaves


def hash_leaves(table: Any, leaf_rows: int = LEAF_ROWS) -> Iterator[Leaf]:
    """The leaves of a table whose first row begins one."""
    columns: list[_Texts | _Times | _Optional] = [
        _Texts(_whole(table, "id")),
        _Times(_whole(table, "created_at")),
        _Times(_whole(table, "updated_at")),
        _Optional(_whole(table, "deleted_at"), _Times),
        _Optional(_whole(table, "extra"), _Texts),
    ]
    ids = table.column("id")
    for first in range(0, table.num_rows, leaf_rows):
        last = min(first + leaf_rows, table.num_rows)
        pieces = [_LEAF, struct.pack("<I", last - first)]
        for column in columns:
            pieces += column.pieces(first, last)
        yield Leaf(ids[first].as_py(), hashlib.sha256(b"".join(pieces)).digest())


def join(left: bytes, right: bytes) -> bytes:
    """The hash of two neighbours."""
    return hashlib.sha256(_NODE + left + right).digest()


def audit_path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The hashes that lead from a leaf to the root, from the bottom up (RFC 6962, section 2.1.1)."""
    if len(leaves) == 1:
        return []
    split = 1 << (len(leaves) - 1).bit_length() - 1
    if index < split:
        return [*audit_path(leaves[:split], index), _root(leaves[split:])]
    return [*audit_path(leaves[split:], index - split), _root(leaves[:split])]


def root_of_path(digest: bytes, index: int, leaves: int, path: Sequence[bytes]) -> bytes | None:
    """The root that a leaf and its path lead to (RFC 9162, section 2.1.3.2); None when the path cannot be one."""
    if not 0 <= index < leaves:
        return None
    node, last = index, leaves - 1
    for sibling in path:
        if last == 0:
            return None
        if node & 1 or node == last:
            digest = join(sibling, digest)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            digest = join(digest, sibling)
        node, last = node >> 1, last >> 1
    return digest if last == 0 else None


def _root(leaves: Sequence[bytes]) -> bytes:
    head = TreeHead()
    for leaf in leaves:
        head.add(leaf)
    return head.root


def _whole(table: Any, name: str) -> Any:
    """A column in one piece of memory."""
    column = table.column(name).combine_chunks()
    return column.chunk(0) if isinstance(column, pa.ChunkedArray) else column


class _Texts:
    """Strings: their lengths in bytes, then their bytes."""

    def __init__(self, column: Any) -> None:
        _, offsets, content = column.buffers()
        self._lengths = _bytes_of(pc.binary_length(column), 4)
        self._content = memoryview(content or b"")
        self._offsets = memoryview(offsets or b"").cast("i")[column.offset :]

    def pieces(self, first: int, last: int) -> list[Any]:
        if first == last:
            return []
        return [self._lengths[first * 4 : last * 4], self._content[self._offsets[first] : self._offsets[last]]]


class _Times:
    """Microseconds since 1970, 8 bytes each."""

    def __init__(self, column: Any) -> None:
        self._values = _bytes_of(column, 8)

    def pieces(self, first: int, last: int) -> list[Any]:
        return [self._values[first * 8 : last * 8]]


class _Optional:
    """A byte a row that says whether there is a value, then the values that are there."""

    def __init__(self, column: Any, values: type[_Texts] | type[_Times]) -> None:
        self._present = bytes(_bytes_of(column.is_valid().cast(pa.uint8()), 1))
        self._values = values(column.drop_null() if column.null_count else column)
        self._taken = 0

    def pieces(self, first: int, last: int) -> list[Any]:
        """Blocks are asked for one after the other."""
        taken, self._taken = self._taken, self._taken + self._present.count(_PRESENT, first, last)
        return [self._present[first:last], *self._values.pieces(taken, self._taken)]


def _bytes_of(column: Any, width: int) -> memoryview:
    values = memoryview(column.buffers()[1] or b"")
    return values[column.offset * width : (column.offset + len(column)) * width]
