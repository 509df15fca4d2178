"""Counts users that were met on two pages, by pair of pages. Judges nothing: that takes the walk's facts."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from syncer.errors import CoverageNotProven
from syncer.model import RepeatedUsers

PAIRS_MAX = 200_000
"""Honest overlaps make a few pairs of pages for each border; beyond this the list does not keep its places."""

_Pair = tuple[int, int, int, int]


class RepeatCounter:
    """Pairs of pages and what they share."""

    def __init__(self) -> None:
        self.overlap_users = 0
        self.moved_users = 0
        self._pairs: dict[_Pair, list[int]] = {}
        self._examples: dict[_Pair, str] = {}

    def count(self, table: Any, repeated: Any) -> None:
        """Count the rows of a table in merge order whose next row has the same id: ``repeated`` says so, from row 0."""
        first = table.slice(0, table.num_rows - 1).filter(repeated)
        second = table.slice(1).filter(repeated)
        identical = _are_identical(first, second).to_pylist()
        places = [t.column(name).to_pylist() for t in (first, second) for name in ("stretch", "sequence")]
        rows = zip(first.column("id").to_pylist(), identical, *places, strict=True)
        for user, same, stretch, sequence, other_stretch, other_sequence in rows:
            self._add(user, same, (stretch, sequence), (other_stretch, other_sequence))
        self.moved_users += pc.sum(pc.not_equal(first.column("updated_at"), second.column("updated_at"))).as_py()

    def pairs(self) -> tuple[RepeatedUsers, ...]:
        """In order of the pages."""
        return tuple(
            RepeatedUsers(*pair, identical=counts[0], updated=counts[1], example_id=self._examples[pair])
            for pair, counts in sorted(self._pairs.items())
        )

    def _add(self, user: str, same: bool, one: tuple[int, int], other: tuple[int, int]) -> None:
        pair = (*min(one, other), *max(one, other))
        self.overlap_users += one[0] != other[0]
        counts = self._pairs.get(pair)
        if counts is None:
            if len(self._pairs) >= PAIRS_MAX:
                raise CoverageNotProven(
                    f"users were met again on more than {PAIRS_MAX} pairs of pages: the list does not keep its places",
                    hint="nothing was published; run again with --sequential, or report it to the API's support",
                )
            counts = self._pairs[pair] = [0, 0]
            self._examples[pair] = user
        counts[0 if same else 1] += 1


def _are_identical(first: Any, second: Any) -> Any:
    same: Any = pa.scalar(True)
    for name in ("created_at", "updated_at", "deleted_at", "extra"):
        a, b = first.column(name), second.column(name)
        both_null = pc.and_(pc.is_null(a), pc.is_null(b))
        same = pc.and_(same, pc.or_(both_null, pc.fill_null(pc.equal(a, b), False)))
    return same
