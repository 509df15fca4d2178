"""What erasing users would change, before it changes anything: everything that an account keeps is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from syncer.errors import DataRefused, SnapshotMismatch
from syncer.snapshot import layout
from syncer.snapshot.catalog import Published, list_known_ids, list_manifests, list_snapshot_ids
from syncer.snapshot.erased_ids import IsErased, ids_in
from syncer.snapshot.left_out import erased_of, named_by_pages
from syncer.snapshot.manifest import Manifest
from syncer.snapshot.pages import read_page_index
from syncer.snapshot.part_readers import whole_batches
from syncer.snapshot.prune import data_paths, found_ids
from syncer.snapshot.reading import read_users
from syncer.snapshot.store import Store


@dataclass(frozen=True, slots=True)
class Rewriting:
    """A snapshot that holds users who are to go."""

    old: Published
    held: frozenset[str]
    new_id: str


@dataclass(frozen=True, slots=True)
class ErasePlan:
    """What is to be done for one account; oldest first."""

    account_sid: str
    rewrite: tuple[Rewriting, ...]
    remove: tuple[str, ...]
    """Snapshots that were replaced already, and of which something is still there."""
    forget: tuple[str, ...]
    """Pruned snapshots whose manifest names such a user."""
    leftovers: tuple[str, ...] = ()
    """Ids of which killed runs left something that no manifest names: what it holds nobody can tell."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.rewrite or self.remove or self.forget or self.leftovers)


def plan_erase(store: Store, account_sid: str, is_erased: IsErased) -> ErasePlan:
    """Read everything that an account keeps, and say what would change. Raises SnapshotMismatch for a damaged snapshot.

    The caller holds the account's lock.
    """
    published = list(list_manifests(store, account_sid))
    replaced = {p.manifest.erased.snapshot_id for p in published if p.manifest.erased}
    living = [p for p in published if p.manifest.snapshot_id not in replaced]
    found = {p.manifest.snapshot_id: find_held(store, p.manifest, is_erased) for p in living}
    new_ids = _new_ids(
        rewritten=[i for i in found if found[i]],
        staying=[i for i in found if not found[i]],
        taken={*list_known_ids(store, account_sid), *replaced},
    )
    rewrite = [
        Rewriting(old, found[old.manifest.snapshot_id], new_ids[old.manifest.snapshot_id])
        for old in published
        if old.manifest.snapshot_id in new_ids
    ]
    remove = [i for i in sorted(replaced) if any(store.exists(path) for path in _everything(account_sid, i))]
    return ErasePlan(
        account_sid,
        tuple(rewrite),
        tuple(remove),
        tuple(_pruned_with(store, account_sid, is_erased)),
        tuple(_leftovers(store, account_sid, replaced)),
    )


def find_held(store: Store, manifest: Manifest, is_erased: IsErased) -> frozenset[str]:
    """The users to erase that anything of a snapshot names."""
    return erased_of(_named(store, manifest), is_erased)


def _named(store: Store, manifest: Manifest) -> Iterator[str]:
    """Every id in a snapshot's files and its manifest, some more than once."""
    for batch in read_users(store, manifest, ("id",)):
        yield from batch.column("id").to_pylist()
    yield from named_by_pages(read_page_index(store, manifest.page_index.path))
    for facts in manifest.changes.files if manifest.changes else ():
        yield from _changed_ids(store, facts.path)
    yield from manifest.added
    texts = [store.read(manifest.rejects.path)] if manifest.rejects.path else []
    for text in [*texts, *(check.detail.encode() for check in manifest.checks)]:
        yield from ids_in(text)


def _changed_ids(store: Store, path: str) -> Iterator[str]:
    try:
        with store.open(path) as file:
            for batch in whole_batches(pq.ParquetFile(file).iter_batches(columns=["id"])):
                yield from batch.column(0).to_pylist()
    except (pa.ArrowException, OSError):
        raise SnapshotMismatch(f"{path} cannot be read: it is damaged", hint="restore it from a copy") from None


def _new_ids(rewritten: list[str], staying: list[str], taken: set[str]) -> dict[str, str]:
    """An id for each, in the order of the old ones, and not past one that stays: the order is what "latest" means."""
    chosen: dict[str, str] = {}
    new_id = ""
    for old in rewritten:
        new_id = layout.next_snapshot_id(max(old, new_id))
        while new_id in taken:
            new_id = layout.next_snapshot_id(new_id)
        if passed := [i for i in staying if old < i < new_id]:
            raise DataRefused(
                f"the snapshot {old} cannot be replaced: no id is free before {passed[0]}",
                hint="prune one of the two first",
            )
        chosen[old] = new_id
    return chosen


def _everything(account_sid: str, snapshot: str) -> list[str]:
    folders = [layout.data_folder(kind, account_sid, snapshot) for kind in layout.DATA_FOLDERS]
    return [*folders, layout.snapshot_folder(account_sid, snapshot), layout.staging_folder(account_sid, snapshot)]


def _leftovers(store: Store, account_sid: str, replaced: set[str]) -> Iterator[str]:
    """Of killed runs, older or younger: what is staged, partitions without a manifest, data beside a pruned one."""
    published = set(list_snapshot_ids(store, account_sid))
    for snapshot in sorted({*found_ids(store, account_sid)} - replaced):
        staged = [layout.staging_folder(account_sid, snapshot)]
        paths = staged if snapshot in published else data_paths(account_sid, snapshot)
        if any(map(store.exists, paths)):
            yield snapshot


def _pruned_with(store: Store, account_sid: str, is_erased: IsErased) -> Iterator[str]:
    for snapshot in list_known_ids(store, account_sid):
        path = layout.pruned_path(account_sid, snapshot)
        if store.exists(path) and erased_of(ids_in(store.read(path)), is_erased):
            yield snapshot
