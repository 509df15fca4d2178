"""Sorted, unique users out of spooled pages, in memory that does not grow with their number.

Pages come in order of their smallest id. Where they do not overlap they pass as they are; where the list is not in
order of ids at all, SQLite sorts on disk. Of two rows with one id the newest stays, and each such meeting is counted
for the crawl to judge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from syncer.model import RepeatedUsers
from syncer.snapshot.disk_sort import DiskSort
from syncer.snapshot.pending import Origin, Pending, with_origin, without_origin
from syncer.snapshot.repeats import RepeatCounter

PENDING_ROWS_MAX = 131_072
"""Rows in wait for their order; beyond it SQLite sorts on disk, in 130 MiB however many there are."""

COUNTED_ROWS = 16_384
"""Rows that are passed on at a time."""


class StoredPage(Origin, Protocol):
    """A page in the spool that holds users."""

    @property
    def min_id(self) -> str: ...


P = TypeVar("P", bound=StoredPage)


@dataclass(frozen=True, slots=True)
class MergeFacts:
    """What the merge saw; complete once its tables have been used up."""

    users: int
    deleted_users: int
    overlap_users: int
    """Rows left out because a page of another stretch holds the same id."""
    moved_users: int
    """Rows left out that differ from the row beside them in age."""
    repeats: tuple[RepeatedUsers, ...]
    min_id: str | None
    max_id: str | None
    newest_at: float
    """The newest time of any user, in seconds since 1970; 0 without users."""


class Merge(Generic[P]):
    """One pass over the pages of a run. ``tables`` is iterated once; then ``facts`` is complete."""

    def __init__(
        self,
        pages: Iterable[P],
        load: Callable[[P], Any],
        *,
        work_dir: Path,
        pending_rows_max: int = PENDING_ROWS_MAX,
    ) -> None:
        """``pages`` in order of ``min_id``, those without users left out; ``load`` gives a page's columns."""
        self._pages = pages
        self._load = load
        self._work_dir = work_dir
        self._pending_rows_max = pending_rows_max
        self._repeats = RepeatCounter()
        self._users = 0
        self._deleted = 0
        self._min_id: str | None = None
        self._max_id: str | None = None
        self._newest_us = 0

    @property
    def facts(self) -> MergeFacts:
        """What was seen so far."""
        return MergeFacts(
            self._users,
            self._deleted,
            self._repeats.overlap_users,
            self._repeats.moved_users,
            self._repeats.pairs(),
            self._min_id,
            self._max_id,
            self._newest_us / 1e6,
        )

    def tables(self) -> Iterator[Any]:
        """Tables of users, strictly ascending by id in byte order, across tables too."""
        waiting: list[Any] = []
        for table in self._merged():
            if table.num_rows:
                self._follow(table.column("id"))
                waiting.append(table)
            if sum(waited.num_rows for waited in waiting) >= COUNTED_ROWS:
                yield self._counted(waiting)
                waiting = []
        if waiting:
            yield self._counted(waiting)

    def _follow(self, ids: Any) -> None:
        first = ids[0].as_py()
        assert self._max_id is None or self._max_id < first  # the next line of every reader relies on it
        self._min_id = first if self._min_id is None else self._min_id
        self._max_id = ids[-1].as_py()

    def _counted(self, tables: list[Any]) -> Any:
        """Several pages at a time: each look at a column has a price of its own."""
        table = pa.concat_tables(tables)
        self._users += table.num_rows
        self._deleted += table.num_rows - table.column("deleted_at").null_count
        for name in ("created_at", "updated_at", "deleted_at"):
            newest = pc.max(table.column(name)).cast(pa.int64()).as_py()
            self._newest_us = max(self._newest_us, newest or 0)
        return table

    def _merged(self) -> Iterator[Any]:
        pending = Pending(self._pending_rows_max)
        before = ""
        stream = iter(self._pages)
        for page in stream:
            if page.min_id < before:
                raise AssertionError("pages do not come in order of their smallest id")
            before = page.min_id
            if pending.rows and pending.max_id < page.min_id:
                yield from self._flush(pending)
            pending.add(page, self._load(page))
            if pending.is_worth_resolving():
                yield self._unique(pending.take_below(page.min_id))
                if pending.rows > self._pending_rows_max:
                    yield from self._on_disk(pending, stream)
        yield from self._flush(pending)

    def _flush(self, pending: Pending) -> Iterator[Any]:
        alone = pending.alone()
        if alone is not None:
            yield alone
        elif pending.rows:
            yield self._unique(pending.take_all())
        pending.clear()

    def _unique(self, table: Any) -> Any:
        """Drop the later ones of rows with one id, out of a table in merge order, and the columns of the merge."""
        ids = table.column("id")
        plain = without_origin(table)
        if table.num_rows < 2:
            return plain
        repeated = pc.equal(ids.slice(1), ids.slice(0, table.num_rows - 1))
        if not pc.any(repeated).as_py():
            return plain
        self._repeats.count(table, repeated)
        keep = pa.chunked_array([pa.array([True]), *pc.invert(repeated).chunks])
        return plain.filter(keep)

    def _on_disk(self, pending: Pending, rest: Iterator[P]) -> Iterator[Any]:
        first = pending.take_all()
        with DiskSort(self._work_dir, first.schema) as disk:
            disk.add(first)
            for page in rest:
                disk.add(with_origin(page, self._load(page)))
            carried: Any = None
            for table in disk.sorted_tables():
                whole = table if carried is None else pa.concat_tables([carried, table])
                last = whole.column("id")[-1]
                final = pc.sum(pc.less(whole.column("id"), last)).as_py()
                yield self._unique(whole.slice(0, final))
                carried = whole.slice(final)
            yield self._unique(carried)
        pending.clear()
