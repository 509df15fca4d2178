"""Erased users on their way out of a snapshot that is being written: of its rows, its page index and its rejects.

Who is to go is known before the first row passes. Knows no store; erasing and exporting both write through it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from syncer.model import Check, PageRecord
from syncer.snapshot.erased_ids import IsErased, ids_in, ids_in_token
from syncer.snapshot.erased_pages import MARK, ErasedPages

_HIDDEN = "(erased)"
_HIDDEN_LINE = b'{"erased":true}\n'
_BORDERS = ("first_id", "last_id", "min_id", "max_id", "stitch_id")


class LeftOut:
    """``note`` every page, pass the rows through ``kept``, then ``pages``, ``lines`` and ``check`` as they may be kept.

    With nobody ``held`` everything passes as it is.
    """

    def __init__(self, held: frozenset[str], added: frozenset[str] = frozenset()) -> None:
        """``added``: users that stand on no page, because they were fetched one by one."""
        self.held = held
        self.users = 0
        """Rows that passed and were kept, and those of them with a tombstone."""
        self.deleted_users = 0
        self.rows = 0
        """Rows that were left out."""
        self._added = added
        self._pages = ErasedPages(held)
        self._gone = pa.array(sorted(held), pa.string())

    def note(self, records: Iterable[PageRecord]) -> None:
        """Every record of the page index, before the first row."""
        for record in records if self.held else ():
            self._pages.note(record)

    def kept(self, tables: Iterable[Any]) -> Iterator[Any]:
        """The rows that stay, of tables in order of ids."""
        for table in tables:
            kept = self._without(table) if self.held else table
            self.users += kept.num_rows
            self.deleted_users += kept.num_rows - kept.column("deleted_at").null_count
            self.rows += table.num_rows - kept.num_rows
            if kept.num_rows:
                yield kept

    def pages(self, records: Iterable[PageRecord]) -> Iterator[PageRecord]:
        """The page index, after the last row."""
        return map(self._pages.changed, records) if self.held else iter(records)

    def lines(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """Rejects: a line that names such a user says only that; it is still counted."""
        return (_HIDDEN_LINE if self.held and not self.held.isdisjoint(ids_in(line)) else line for line in lines)

    def check(self, check: Check) -> Check:
        """What was tested, without the ids."""
        detail = check.detail
        for user_id in self.held.intersection(ids_in(detail.encode())):
            detail = detail.replace(user_id, _HIDDEN)
        return replace(check, detail=detail)

    def _without(self, table: Any) -> Any:
        ids = table.column("id")
        listed = ids.to_pylist()
        self._pages.see([i for i in listed if i not in self._added] if self._added else listed)
        return table.filter(pc.invert(pc.is_in(ids, value_set=self._gone)))


def named_by_pages(records: Iterable[PageRecord]) -> Iterator[str]:
    """Every user that a page index names: at a border, at a stitch, or in a page token."""
    for record in records:
        yield from (value.partition(MARK)[0] for name in _BORDERS if (value := getattr(record, name)) is not None)
        for token in (record.token, record.next):
            yield from ids_in_token(token) if token else ()


def erased_of(ids: Iterable[str], is_erased: IsErased) -> frozenset[str]:
    """Those of some ids that are to go."""
    return frozenset(filter(is_erased, ids))
