"""Two sorted streams side by side: every pair covers a range of ids wholly, however the streams were cut."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest

from syncer.snapshot.windows import pairs


def batches(ids: list[str], chance: random.Random) -> list[pa.RecordBatch]:
    cut = []
    rest = list(ids)
    while rest:
        count = chance.randrange(1, 6)
        cut.append(pa.RecordBatch.from_pydict({"id": rest[:count]}))
        rest = rest[count:]
        if chance.random() < 0.1:
            cut.append(pa.RecordBatch.from_pydict({"id": pa.array([], pa.string())}))
    return cut


def ids_of(piece: pa.RecordBatch | None) -> list[str]:
    return piece.column("id").to_pylist() if piece is not None else []


@pytest.mark.parametrize("seed", range(60))
def test_each_pair_covers_one_range_of_both_streams_wholly(seed: int) -> None:
    chance = random.Random(seed)
    old = [f"u{n:03d}" for n in range(40) if chance.random() < chance.choice([0.2, 0.9, 1.0])]
    new = [f"u{n:03d}" for n in range(40) if chance.random() < chance.choice([0.2, 0.9, 1.0])]
    found = list(pairs(batches(old, chance), batches(new, chance)))
    assert [i for piece, _ in found for i in ids_of(piece)] == old
    assert [i for _, piece in found for i in ids_of(piece)] == new
    largest = ""
    for pair in found:
        ids = [*ids_of(pair[0]), *ids_of(pair[1])]
        assert ids
        assert min(ids) > largest
        largest = max(ids)


def test_equal_streams_cut_alike_meet_piece_by_piece() -> None:
    batch = pa.RecordBatch.from_pydict({"id": ["a", "b", "c"]})
    assert [(ids_of(old), ids_of(new)) for old, new in pairs([batch], [batch])] == [(["a", "b", "c"], ["a", "b", "c"])]
