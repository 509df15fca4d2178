"""``latest.json``: a short way to the newest manifest. Where it cannot be read, the manifests say the same."""

from __future__ import annotations

import hashlib

import orjson

from syncer.errors import StorageFailed
from syncer.snapshot import layout
from syncer.snapshot.manifest import Manifest
from syncer.snapshot.manifest_json import dump_json
from syncer.snapshot.store import FileMissing, Store

_TRIES = 2
"""Once more than none: two changes between our reading and writing are no coincidence."""


def move_pointer(store: Store, manifest: Manifest) -> None:
    """Let ``latest.json`` name this snapshot, unless it names a newer one: it never goes back in time."""
    path = layout.latest_path(manifest.account_sid)
    target = layout.manifest_path(manifest.account_sid, manifest.snapshot_id)
    sha256 = hashlib.sha256(store.read(target)).hexdigest()
    pointer = build_pointer(manifest.account_sid, manifest.snapshot_id, sha256)
    for _ in range(_TRIES):
        there = store.read_version(path)
        if there and (_named_by(there[0]) or "") > manifest.snapshot_id:
            return
        if store.put_version(path, pointer, there[1] if there else None):
            return
    raise StorageFailed(
        f"{path} was changed by others while it was to name {manifest.snapshot_id}",
        hint="the snapshot is published; run again to move the pointer",
    )


def build_pointer(account_sid: str, snapshot_id: str, sha256: str) -> bytes:
    """The content of ``latest.json``: the same snapshot gives the same bytes. ``sha256`` is the manifest's, in hex."""
    target = layout.manifest_path(account_sid, snapshot_id)
    return dump_json({"version": 1, "snapshot_id": snapshot_id, "manifest": target, "sha256": sha256})


def read_pointer(store: Store, account_sid: str) -> str | None:
    """The snapshot that ``latest.json`` names; None when it is not there or cannot be read: manifests say the same."""
    try:
        return _named_by(store.read(layout.latest_path(account_sid)))
    except FileMissing:
        return None


def _named_by(content: bytes) -> str | None:
    try:
        pointer = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    named = pointer.get("snapshot_id") if isinstance(pointer, dict) else None
    return named if isinstance(named, str) and layout.is_snapshot_id(named) else None
