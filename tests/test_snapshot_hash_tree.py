"""The hash tree against its description in docs/formats.md, written down once more in plain Python."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import pyarrow as pa
import pytest

from syncer.snapshot.columns import USER_SCHEMA
from syncer.snapshot.hash_tree import (
    LEAF_ROWS,
    RowHasher,
    audit_path,
    hash_leaves,
    join,
    root_of_path,
)

Row = tuple[str, int, int, int | None, str | None]


def plain_leaf(rows: list[Row]) -> bytes:
    """A leaf as an auditor without Arrow computes it."""

    def texts(values: list[str]) -> bytes:
        data = [value.encode() for value in values]
        return b"".join(len(d).to_bytes(4, "little") for d in data) + b"".join(data)

    def times(values: list[int]) -> bytes:
        return b"".join(v.to_bytes(8, "little", signed=True) for v in values)

    ids, created, updated, deleted, extra = (list(column) for column in zip(*rows, strict=True))
    block = len(rows).to_bytes(4, "little") + texts(ids) + times(created) + times(updated)
    block += bytes(d is not None for d in deleted) + times([d for d in deleted if d is not None])
    block += bytes(e is not None for e in extra) + texts([e for e in extra if e is not None])
    return hashlib.sha256(b"\0" + block).digest()


def plain_root(leaves: list[bytes]) -> bytes:
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256(b"").digest()
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return hashlib.sha256(b"\1" + plain_root(leaves[:half]) + plain_root(leaves[half:])).digest()


def make_rows(count: int, *, deleted: float = 0.3, extra: float = 0.3) -> list[Row]:
    chance = random.Random(count)
    return [
        (
            f"user_{number:06d}" + "é" * chance.randrange(3),
            chance.randrange(-(10**15), 10**16),
            chance.randrange(10**16),
            chance.randrange(10**16) if chance.random() < deleted else None,
            '{"a":"ü"}' * chance.randrange(3) if chance.random() < extra else None,
        )
        for number in range(count)
    ]


def table_of(rows: list[Row]) -> Any:
    columns = list(zip(*rows, strict=True)) or [()] * 5
    arrays = [pa.array(c, pa.int64()).cast(f.type) if pa.types.is_timestamp(f.type) else pa.array(c, f.type)
              for c, f in zip(columns, USER_SCHEMA, strict=True)]  # fmt: skip
    return pa.Table.from_arrays(arrays, schema=USER_SCHEMA)


@pytest.mark.parametrize("count", [0, 1, 2, 255, 256, 257, 512, 1281])
@pytest.mark.parametrize(("deleted", "extra"), [(0.3, 0.3), (0.0, 0.0), (1.0, 1.0)])
def test_the_tree_is_what_the_description_says(count: int, deleted: float, extra: float) -> None:
    rows = make_rows(count, deleted=deleted, extra=extra)
    hasher = RowHasher()
    leaves = hasher.add(table_of(rows)) + hasher.finish()
    blocks = [rows[at : at + LEAF_ROWS] for at in range(0, count, LEAF_ROWS)]
    assert [(leaf.first_id, leaf.digest) for leaf in leaves] == [(block[0][0], plain_leaf(block)) for block in blocks]
    assert (hasher.rows, hasher.head.leaves) == (count, len(blocks))
    assert hasher.head.root == plain_root([plain_leaf(block) for block in blocks])


@pytest.mark.parametrize("seed", range(8))
def test_how_rows_arrive_makes_no_difference(seed: int) -> None:
    chance = random.Random(seed)
    table = table_of(make_rows(700))
    pieces, at = [], 0
    while at < 700:
        step = chance.randrange(1, 300)
        piece = table.slice(at, step)
        pieces.append(piece if chance.random() < 0.5 else piece.combine_chunks())
        at += step
    whole, cut = RowHasher(16), RowHasher(16)
    expected = whole.add(table) + whole.finish()
    assert [leaf for piece in pieces for leaf in cut.add(piece)] + cut.finish() == expected
    assert cut.head.root == whole.head.root


def test_a_null_is_not_an_empty_text_and_not_the_time_zero() -> None:
    null: list[Row] = [("a", 1, 2, None, None)]
    digests = [
        next(hash_leaves(table_of(rows))).digest for rows in (null, [("a", 1, 2, 0, None)], [("a", 1, 2, None, "")])
    ]
    assert len(set(digests)) == 3


def test_what_lies_under_a_null_makes_no_difference() -> None:
    rows: list[Row] = [("a", 1, 2, None, None), ("b", 1, 2, 5, "x")]
    table = table_of(rows)
    junk_time = pa.Array.from_buffers(pa.int64(), 2, [pa.py_buffer(b"\x02"), pa.array([9, 5]).buffers()[1]])
    offsets = pa.array([0, 3, 4], pa.int32()).buffers()[1]
    junk_text = pa.Array.from_buffers(pa.string(), 2, [pa.py_buffer(b"\x02"), offsets, pa.py_buffer(b"abcx")])
    junk = table.set_column(3, USER_SCHEMA.field(3), junk_time.cast(USER_SCHEMA.field(3).type))
    junk = junk.set_column(4, USER_SCHEMA.field(4), junk_text)
    assert list(hash_leaves(junk)) == list(hash_leaves(table))


@pytest.mark.parametrize("count", range(1, 20))
def test_every_leaf_has_a_path_to_the_root_and_no_other_leaf_fits_it(count: int) -> None:
    leaves = [hashlib.sha256(bytes([number])).digest() for number in range(count)]
    for index, leaf in enumerate(leaves):
        path = audit_path(leaves, index)
        assert root_of_path(leaf, index, count, path) == plain_root(leaves)
        assert root_of_path(b"x" * 32, index, count, path) != plain_root(leaves)
        for other in range(-1, count + 1):
            if other != index:
                assert root_of_path(leaf, other, count, path) != plain_root(leaves)
        assert root_of_path(leaf, index, count, [*path, leaf]) is None
        assert not path or root_of_path(leaf, index, count, path[:-1]) is None


def test_a_node_cannot_pass_for_a_leaf() -> None:
    left, right = b"l" * 32, b"r" * 32
    assert join(left, right) == hashlib.sha256(b"\1" + left + right).digest()
