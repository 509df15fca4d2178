"""Which users of the previous snapshot have no row any more: read along while the new parts are written.

Only ids and tombstones of the previous snapshot are read. That it cannot be read is a fact here, not a failure:
tonight's export does not depend on yesterday's files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from syncer.errors import SnapshotMismatch, StorageFailed
from syncer.snapshot.erased_ids import IsErased
from syncer.snapshot.manifest import Manifest
from syncer.snapshot.reading import read_users
from syncer.snapshot.store import Store
from syncer.snapshot.windows import Pair, Windows

COLUMNS = ("id", "deleted_at")


@dataclass(frozen=True, slots=True)
class Gone:
    """Users of the previous snapshot that have no row now."""

    vanished: int = 0
    """Those without a tombstone."""
    purged: int = 0
    """Those that had their tombstone."""
    ids: tuple[str, ...] = ()
    """The first of the vanished, in order of ids."""
    unreadable: str = ""
    """Why the previous snapshot could not be read to its end; the counts are meaningless then."""
    erased: int = 0
    """Those that were erased and should not have been in the previous snapshot any more; not counted as gone."""


class GoneUsers:
    """Takes the new snapshot's rows in order; ``finish`` says who is gone."""

    def __init__(self, store: Store, previous: Manifest, ids_max: int, is_erased: IsErased | None = None) -> None:
        """``ids_max``: how many ids of vanished users are kept."""
        self._is_erased = is_erased
        self._erased = 0
        self._windows = Windows(read_users(store, previous, COLUMNS))
        self._ids_max = ids_max
        self._vanished = 0
        self._purged = 0
        self._ids: list[str] = []
        self._unreadable = ""

    def write(self, frame: Any) -> None:
        """Some more rows."""
        for batch in frame.select(["id"]).to_batches():
            self._compare(self._windows.push(batch))

    def finish(self) -> Gone:
        """All that is known."""
        self._compare(self._windows.finish())
        return Gone(self._vanished, self._purged, tuple(self._ids), self._unreadable, self._erased)

    def abandon(self) -> None:
        """Nothing was begun."""

    def _compare(self, found: Iterator[Pair]) -> None:
        if self._unreadable:
            return
        try:
            self._count(found)
        except (SnapshotMismatch, StorageFailed) as error:
            self._unreadable = error.message

    def _count(self, found: Iterable[Pair]) -> None:
        for old, new in found:
            if old is None or (new is not None and old.column("id").equals(new.column("id"))):
                continue
            gone = old if new is None else old.filter(pc.invert(pc.is_in(old.column("id"), value_set=new.column("id"))))
            gone = self._without_erased(gone)
            alive = gone.filter(gone.column("deleted_at").is_null())
            self._vanished += alive.num_rows
            self._purged += gone.num_rows - alive.num_rows
            self._ids += alive.column("id").slice(0, max(self._ids_max - len(self._ids), 0)).to_pylist()

    def _without_erased(self, gone: Any) -> Any:
        """Only users without a row now can have been erased: the new rows hold none."""
        if self._is_erased is None or not gone.num_rows:
            return gone
        stay = [not self._is_erased(user_id) for user_id in gone.column("id").to_pylist()]
        self._erased += len(stay) - sum(stay)
        return gone.filter(pa.array(stay, pa.bool_()))
