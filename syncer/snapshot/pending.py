"""Rows that wait for their order: pages whose ids overlap, until no page to come can hold a smaller id.

Pure but for memory: bounded by the caller, who moves to disk what grows too large.
"""

from __future__ import annotations

from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

RESOLVE_ROWS = 16_384
"""Overlapping rows that gather before an attempt to pass some on."""

_ORDER = [("id", "ascending"), ("updated_at", "descending"), ("asked", "descending")]
_ORIGIN = ("stretch", "sequence", "asked")


class Origin(Protocol):
    """Which page a row was on, and how late it was asked."""

    @property
    def stretch(self) -> int: ...
    @property
    def sequence(self) -> int: ...
    @property
    def asked(self) -> int: ...
    @property
    def max_id(self) -> str: ...


class Pending:
    """Pages and rows in wait. The order of rows with one id: newest first, then the one asked for last."""

    def __init__(self, rows_max: int) -> None:
        self.rows = 0
        self.max_id = ""
        self._rows_max = rows_max
        self._pages: list[tuple[Origin, Any]] = []
        self._left: Any = None

    def add(self, page: Origin, batch: Any) -> None:
        """One more page."""
        self._pages.append((page, batch))
        self.rows += batch.num_rows
        self.max_id = max(self.max_id, page.max_id)

    def is_worth_resolving(self) -> bool:
        """Whether enough has come since the last attempt: sorting again and again would cost the square of the rows."""
        left = self._left.num_rows if self._left is not None else 0
        return self.rows > min(max(RESOLVE_ROWS, 2 * left), self._rows_max)

    def alone(self) -> Any | None:
        """The table of a single page in order of ids, either way and without repeats; None when that is not so."""
        if len(self._pages) != 1 or self._left is not None:
            return None
        table = pa.Table.from_batches([self._pages[0][1]])
        ids = self._pages[0][1].column(0)
        if len(ids) < 2:
            return table
        if _all_less(ids.slice(0, len(ids) - 1), ids.slice(1)):
            return table
        if _all_less(ids.slice(1), ids.slice(0, len(ids) - 1)):
            return table.take(pa.array(range(len(ids) - 1, -1, -1), pa.int64()))
        return None

    def take_all(self) -> Any:
        """Every row in merge order, with its origin."""
        table = self._sorted()
        self.clear()
        return table

    def take_below(self, min_id: str) -> Any:
        """The rows with smaller ids, in merge order, with their origin; the rest stays."""
        table = self._sorted()
        final = pc.sum(pc.less(table.column("id"), min_id)).as_py() or 0
        self._pages.clear()
        # Copied, so that the rows passed on do not stay in memory with it.
        self._left = table.slice(final).take(pa.array(range(table.num_rows - final), pa.int64()))
        self.rows = self._left.num_rows
        return table.slice(0, final)

    def clear(self) -> None:
        """Forget every row."""
        self._pages.clear()
        self._left = None
        self.rows = 0
        self.max_id = ""

    def _sorted(self) -> Any:
        tables = [with_origin(page, batch) for page, batch in self._pages]
        if self._left is not None:
            tables.insert(0, self._left)
        return pa.concat_tables(tables).sort_by(_ORDER)


def with_origin(page: Origin, batch: Any) -> Any:
    """A page's columns as a table that remembers the page."""
    table = pa.Table.from_batches([batch])
    for name in _ORIGIN:
        table = table.append_column(
            pa.field(name, pa.int64()), pa.repeat(pa.scalar(getattr(page, name), pa.int64()), batch.num_rows)
        )
    return table


def without_origin(table: Any) -> Any:
    """The users' own columns."""
    return table.drop_columns(list(_ORIGIN))


def _all_less(these: Any, those: Any) -> bool:
    return bool(pc.all(pc.less(these, those)).as_py())
