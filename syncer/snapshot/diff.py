"""What changed between two snapshots: a merge of two sorted streams in constant memory. Pure: no I/O but the streams'.

The words, for a user by id: ``created`` is in the new snapshot only. In both: ``deleted`` has a tombstone in the new
one only; ``returned`` had it in the old one only; ``updated`` differs in anything else. In the old one only: ``purged``
had its tombstone there; ``vanished`` had none, which is only said between complete snapshots, else it is ``missing``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from syncer.snapshot.columns import USER_SCHEMA
from syncer.snapshot.erased_ids import IsErased
from syncer.snapshot.windows import Pair, pairs

Change = Literal["created", "updated", "deleted", "returned", "vanished", "purged", "missing"]
_VALUES = tuple(USER_SCHEMA.names[1:])
CHANGE_SCHEMA: Any = pa.schema(
    [
        pa.field("change", pa.string(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        *(pa.field(f"{side}_{name}", USER_SCHEMA.field(name).type) for side in ("old", "new") for name in _VALUES),
    ]
)
"""A change is a row: the word, the id, and every column of both versions; nulls where there is no such version."""


@dataclass(slots=True)
class ChangeCounts:
    """How many users of each kind."""

    created: int = 0
    updated: int = 0
    deleted: int = 0
    returned: int = 0
    vanished: int = 0
    purged: int = 0
    missing: int = 0
    unchanged: int = 0

    @property
    def changes(self) -> int:
        """Rows of the whole difference."""
        return self.created + self.updated + self.deleted + self.returned + self.gone

    @property
    def gone(self) -> int:
        """Users of the old snapshot that have no row in the new one."""
        return self.vanished + self.purged + self.missing


class Diff:
    """Compares pairs of pieces, and counts."""

    def __init__(self, *, complete: bool = True, is_erased: IsErased | None = None) -> None:
        """``complete``: whether both snapshots are; a user missing from an incomplete one may well exist.

        ``is_erased``: erased users that only the old snapshot holds are passed over, neither named nor counted.
        """
        self.counts = ChangeCounts()
        self.complete = complete
        self._is_erased = is_erased
        self._gone: Change = "vanished" if complete else "missing"

    def by_change(self) -> dict[str, int]:
        """How many users of each kind; ``missing`` stands in for ``vanished`` where one snapshot is not complete."""
        counts = asdict(self.counts)
        del counts["missing" if self.complete else "vanished"]
        return counts

    def tables(self, old: Iterable[Any], new: Iterable[Any]) -> Iterator[Any]:
        """Tables of ``CHANGE_SCHEMA`` in order of ids, none of them empty; ``counts`` is complete after the last."""
        for pair in pairs(old, new):
            if (table := self.compare(pair)) is not None:
                yield table

    def compare(self, pair: Pair) -> Any | None:
        """The changes within one range of ids, in order of ids; None when there are none."""
        old, new = pair
        found: list[Any] = []
        if old is not None and new is not None:
            old_only, old_both, new_both, new_only = split(old, new)
            found += self._both(old_both, new_both)
        else:
            old_only, new_only = old, new
        if new_only is not None and new_only.num_rows:
            self.counts.created += new_only.num_rows
            found.append(_rows(pa.repeat("created", new_only.num_rows), None, new_only))
        old_only = self._without_erased(old_only)
        if old_only is not None and old_only.num_rows:
            found.append(self._old_only(old_only))
        if not found:
            return None
        return found[0] if len(found) == 1 else pa.concat_tables(found).sort_by("id")

    def _without_erased(self, old: Any | None) -> Any | None:
        if self._is_erased is None or old is None:
            return old
        return old.filter(pa.array([not self._is_erased(i) for i in old.column("id").to_pylist()], pa.bool_()))

    def _old_only(self, old: Any) -> Any:
        words = pc.if_else(old.column("deleted_at").is_valid(), "purged", self._gone)
        self._count(words)
        return _rows(words, old, None)

    def _both(self, old: Any, new: Any) -> list[Any]:
        differing = [name for name in _VALUES if not old.column(name).equals(new.column(name))]
        if not differing:
            self.counts.unchanged += old.num_rows
            return []
        changed = _differs(old.column(differing[0]), new.column(differing[0]))
        for name in differing[1:]:
            changed = pc.or_(changed, _differs(old.column(name), new.column(name)))
        old, new, rows = old.filter(changed), new.filter(changed), old.num_rows
        self.counts.unchanged += rows - old.num_rows
        was, now = old.column("deleted_at").is_valid(), new.column("deleted_at").is_valid()
        without = pc.if_else(pc.and_(was, pc.invert(now)), "returned", "updated")
        words = pc.if_else(pc.and_(now, pc.invert(was)), "deleted", without)
        self._count(words)
        return [_rows(words, old, new)]

    def _count(self, words: Any) -> None:
        for found in pc.value_counts(words):
            word, count = found["values"].as_py(), found["counts"].as_py()
            setattr(self.counts, word, getattr(self.counts, word) + count)


def split(old: Any, new: Any) -> tuple[Any | None, Any, Any, Any | None]:
    """Old users without a new row, the two rows of users that have both, and new users without an old row."""
    old_ids, new_ids = old.column("id"), new.column("id")
    if old_ids.equals(new_ids):  # nearly everywhere in a list to which users are only added
        return None, old, new, None
    at = pc.index_in(old_ids, value_set=new_ids)
    both = at.is_valid()
    new_both = new.take(at.drop_null())
    new_only = None
    if new_both.num_rows < new.num_rows:
        new_only = new.filter(pc.invert(pc.is_in(new_ids, value_set=old_ids)))
    return old.filter(pc.invert(both)), old.filter(both), new_both, new_only


def _differs(these: Any, those: Any) -> Any:
    """Where two columns differ; null is equal to null."""
    values = pc.fill_null(pc.not_equal(these, those), False)
    return pc.or_(values, pc.xor(these.is_null(), those.is_null()))


def _rows(words: Any, old: Any | None, new: Any | None) -> Any:
    columns = [words, (old if old is not None else new).column("id")]  # type: ignore[union-attr]  # one is there
    for side in (old, new):
        for name in _VALUES:
            kind = USER_SCHEMA.field(name).type
            columns.append(side.column(name) if side is not None else pa.nulls(len(words), kind))
    return pa.Table.from_arrays(columns, schema=CHANGE_SCHEMA)
