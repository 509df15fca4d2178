"""Which snapshots a destination holds. A snapshot is its manifest: data files are never found by listing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from syncer.errors import SnapshotMismatch, UsageError
from syncer.snapshot import layout
from syncer.snapshot.manifest import Manifest
from syncer.snapshot.manifest_json import parse
from syncer.snapshot.store import FileMissing, Store


@dataclass(frozen=True, slots=True)
class Published:
    """A snapshot as it lies there; ``path`` and ``sha256`` are its manifest's."""

    manifest: Manifest
    path: str
    sha256: str


def list_accounts(store: Store) -> list[str]:
    """Accounts with a folder for manifests."""
    names = map(layout.account_of, store.names(layout.SNAPSHOTS))
    return [sid for sid in names if sid is not None]


def list_snapshot_ids(store: Store, account_sid: str) -> list[str]:
    """Ids of an account's snapshots, oldest first."""
    names = store.names(layout.account_folder(account_sid))
    ids = filter(layout.is_snapshot_id, names)
    return [i for i in ids if store.exists(layout.manifest_path(account_sid, i))]


def list_known_ids(store: Store, account_sid: str) -> list[str]:
    """Ids of an account's snapshots with those that were pruned, oldest first: the chain."""
    names = filter(layout.is_snapshot_id, store.names(layout.account_folder(account_sid)))
    return [i for i in names if is_known(store, account_sid, i)]


def is_known(store: Store, account_sid: str, snapshot_id: str) -> bool:
    """Whether there is such a snapshot, or was until it was pruned."""
    places = (layout.manifest_path, layout.pruned_path)
    return any(store.exists(place(account_sid, snapshot_id)) for place in places)


def list_manifests(store: Store, account_sid: str) -> Iterator[Published]:
    """An account's snapshots, oldest first. Raises SnapshotMismatch at one whose manifest cannot be read."""
    return (load_snapshot(store, account_sid, i) for i in list_snapshot_ids(store, account_sid))


def load_latest(store: Store, account_sid: str) -> Published | None:
    """The newest snapshot; None when there is none.

    By its manifest, not by ``latest.json``: the pointer lags behind when a run was killed between the two.
    """
    ids = list_snapshot_ids(store, account_sid)
    return load_snapshot(store, account_sid, ids[-1]) if ids else None


def load_snapshot(store: Store, account_sid: str, snapshot_id: str) -> Published:
    """One snapshot. Raises FileMissing, and SnapshotMismatch for a damaged manifest or one in the wrong place."""
    path = layout.manifest_path(account_sid, snapshot_id)
    try:
        data = store.read(path)
    except FileMissing:
        if store.exists(path):
            raise SnapshotMismatch(f"{path} is not a file", hint="restore it from a copy") from None
        raise
    try:
        manifest = parse(data)
    except SnapshotMismatch as mismatch:
        raise SnapshotMismatch(f"{path}: {mismatch.message}", hint="restore it from a copy") from None
    if (manifest.account_sid, manifest.snapshot_id) != (account_sid, snapshot_id):
        raise SnapshotMismatch(f"{path} is the manifest of another snapshot", hint="restore it from a copy")
    return Published(manifest, path, hashlib.sha256(data).hexdigest())


def find_snapshot(store: Store, account_sid: str, name: str) -> Published:
    """A snapshot by its id, ``latest`` or ``previous``. Raises UsageError when there is none of that name."""
    return load_snapshot(store, account_sid, find_snapshot_id(store, account_sid, name))


def find_snapshot_id(store: Store, account_sid: str, name: str) -> str:
    """The id of a snapshot by any of its names; its manifest is there, and may be damaged. Raises UsageError."""
    ids = list_snapshot_ids(store, account_sid)
    steps_back = {"latest": 1, "previous": 2}.get(name)
    if steps_back and len(ids) >= steps_back:
        return ids[-steps_back]
    if name in ids:
        return name
    raise UsageError(
        f"account {account_sid} has no snapshot {name!a} at this destination",
        hint="`syncer snapshots` lists those it has",
    )
