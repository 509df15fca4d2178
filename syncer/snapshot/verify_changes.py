"""The partition of changes: its files, their rows, and whether they are the changes between the two snapshots."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from syncer.errors import SnapshotMismatch
from syncer.model import Check
from syncer.snapshot import layout
from syncer.snapshot.catalog import Published, load_snapshot
from syncer.snapshot.change_files import read_changes
from syncer.snapshot.diff import Diff
from syncer.snapshot.manifest import ChangesFacts, FileFacts, Manifest
from syncer.snapshot.part_readers import Ids
from syncer.snapshot.reading import read_users
from syncer.snapshot.store import FileMissing, Store
from syncer.snapshot.verify_files import verdict
from syncer.snapshot.verify_part import check_part
from syncer.snapshot.windows import pairs

_NOW = ("created", "updated", "deleted", "returned", "unchanged")
"""Words for users that are in the new snapshot."""
_GONE: Any = pa.array(["vanished", "purged"])
ERASED_CHECK = "erased"
"""Of an export that knew of erased users: those are no change, though they may be gone."""


@dataclass(slots=True)
class _Reading:
    """All parts, read one after the other."""

    largest_id: str | None = None
    counts: Counter[str] = field(default_factory=Counter)


def check_changes(store: Store, manifest: Manifest) -> list[Check]:
    """Figures, parts, and the whole against both snapshots, where the previous one is still there."""
    facts = manifest.changes
    if facts is None:
        return []
    reading = _Reading()
    parts = [_read_part(store, part, reading) for part in facts.files]
    is_whole = all(check.ok for check in parts)
    figures = _check_figures(manifest, facts, reading.counts if is_whole else None)
    between = [_compare(store, manifest, facts)] if is_whole and figures.ok else []
    return [figures, *parts, *between]


def _check_figures(manifest: Manifest, facts: ChangesFacts, found: dict[str, int] | None) -> Check:
    problems = []
    if manifest.previous is None or manifest.previous.snapshot_id != facts.previous:
        problems.append("they are not those since the previous snapshot")
    folder = layout.changes_folder(manifest.account_sid, manifest.snapshot_id)
    names = [f"{folder}/{layout.part_name('parquet', number, 'none')}" for number in range(len(facts.files))]
    if [part.path for part in facts.files] != names:
        problems.append("their parts are not in the snapshot's folder, or not called as parts are")
    told = {word: count for word, count in facts.counts.items() if count and word != "unchanged"}
    if found not in (None, told):
        problems.append(f"their rows say {_words(found or {})}, and the manifest {_words(told)}")
    if sum(facts.counts.get(word, 0) for word in _NOW) != manifest.users:
        problems.append("their counts do not add up to the snapshot's users")
    return verdict("changes", problems, f"{sum(told.values())} since {facts.previous}")


def _words(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {word}" for word, count in sorted(counts.items())) or "nothing"


def _read_part(store: Store, facts: FileFacts, reading: _Reading) -> Check:
    ids = Ids(after=reading.largest_id)

    def read(file: BinaryIO) -> None:
        for batch in read_changes(file):
            ids.add(batch.column("id"), 0)
            found = pc.value_counts(batch.column("change")).to_pylist()
            reading.counts.update({pair["values"]: pair["counts"] for pair in found})

    check = check_part(store, facts, ids, read, "changes")
    reading.largest_id = ids.largest
    return check


def _compare(store: Store, manifest: Manifest, facts: ChangesFacts) -> Check:
    """The difference, told again. A previous snapshot that cannot be read is for its own verification to name."""
    name = "changes_between"
    try:
        previous = load_snapshot(store, manifest.account_sid, facts.previous)
        if manifest.previous is None or previous.sha256 != manifest.previous.sha256:
            return Check(name, True, f"not compared: {facts.previous} has changed since")
        erased = any(check.name == ERASED_CHECK for check in manifest.checks)
        ok = _same_rows(_stored(store, facts), _told_again(store, previous, manifest), erased=erased)
    except FileMissing:
        return Check(name, True, f"not compared: {facts.previous} is not there any more")
    except SnapshotMismatch as mismatch:
        return Check(name, True, f"not compared: {mismatch.message}")
    return Check(name, ok, f"they {'are' if ok else 'are not'} those between {facts.previous} and this snapshot")


def _told_again(store: Store, previous: Published, manifest: Manifest) -> Iterator[Any]:
    return Diff().tables(read_users(store, previous.manifest), read_users(store, manifest))


def _stored(store: Store, facts: ChangesFacts) -> Iterator[Any]:
    for part in facts.files:
        with store.open(part.path) as file:
            yield from (pa.Table.from_batches([batch]) for batch in read_changes(file))


def _same_rows(stored: Iterable[Any], told: Iterable[Any], *, erased: bool) -> bool:
    """Whether both hold the same changes, in order of ids; ``erased``: users who are gone may have been left out."""
    for mine, again in pairs(stored, told):
        if erased and again is not None:
            listed = mine.column("id") if mine is not None else pa.array([], pa.string())
            is_told = pc.is_in(again.column("id"), value_set=listed)
            again = again.filter(pc.or_(is_told, pc.invert(pc.is_in(again.column("change"), value_set=_GONE))))
        if (mine is not None or again is None or again.num_rows) and (mine is None or not mine.equals(again)):
            return False
    return True
