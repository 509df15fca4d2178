"""Two streams of users in order of ids, brought side by side piece by piece. Pure: no I/O but what the streams do.

Each pair of pieces covers one range of ids wholly, so what is in one piece and not in the other is in one snapshot and
not in the other. Memory: a piece of each.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Any

Pair = tuple[Any | None, Any | None]
"""Record batches with a column ``id``: of the old and of the new snapshot; never both None."""


class Windows:
    """Takes the new users batch by batch, as they come, and fetches the old ones as far as they are needed."""

    def __init__(self, old: Iterable[Any]) -> None:
        """``old``: record batches with ids strictly ascending."""
        self._old = iter(old)
        self._held: Any | None = None

    def push(self, new: Any) -> Iterator[Pair]:
        """Everything up to the last id of a batch of new users, which continue those before."""
        if not new.num_rows:
            return
        ids = new.column("id")
        bound = ids[-1].as_py()
        at = 0
        while (piece := self._take(bound)) is not None:
            end = _count_up_to(ids, piece.column("id")[-1].as_py(), at)
            yield piece, new.slice(at, end - at) if end > at else None
            at = end
        if at < new.num_rows:
            yield None, new.slice(at)

    def finish(self) -> Iterator[Pair]:
        """The old users behind the last new one."""
        while (piece := self._take(None)) is not None:
            yield piece, None

    def _take(self, bound: str | None) -> Any | None:
        """The next old users with ids up to ``bound``, or any if that is None; None when there are none."""
        held = self._held if self._held is not None else next(self._old, None)
        while held is not None and not held.num_rows:
            held = next(self._old, None)
        self._held = held
        if held is None:
            return None
        ids = held.column("id")
        end = len(ids) if bound is None else _count_up_to(ids, bound, 0)
        if end == 0:
            return None
        self._held = held.slice(end) if end < len(ids) else None
        return held.slice(0, end)


def pairs(old: Iterable[Any], new: Iterable[Any]) -> Iterator[Pair]:
    """Both streams side by side, from first to last."""
    windows = Windows(old)
    for batch in new:
        yield from windows.push(batch)
    yield from windows.finish()


def _count_up_to(ids: Any, bound: str, start: int) -> int:
    """How many ids, from the first on, are not beyond ``bound``; those before ``start`` are known not to be."""
    if ids[-1].as_py() <= bound:
        return len(ids)
    return bisect_right(range(len(ids)), bound, lo=start, key=lambda row: ids[row].as_py())
