"""Does a manifest stand where it was put? The links to its neighbours, the pointer, and the signature.

Each manifest names the sha256 of the one before, the pointer that of the newest: a changed manifest is found by the
next one or by the pointer, and a pruned one keeps its place in the chain as ``pruned.json``.
"""

from __future__ import annotations

import hashlib

from syncer.errors import SnapshotMismatch
from syncer.model import Check
from syncer.snapshot import layout, signing
from syncer.snapshot.catalog import is_known, list_known_ids
from syncer.snapshot.manifest import Manifest, Previous
from syncer.snapshot.manifest_json import parse
from syncer.snapshot.pointer import build_pointer, read_pointer
from syncer.snapshot.sshsig import SignatureFault, TrustedKeys, fingerprint
from syncer.snapshot.store import FileMissing, Store


def check_place(store: Store, account_sid: str, snapshot_id: str, trusted: TrustedKeys | None) -> list[Check]:
    """The links forward and the signature of a manifest, pruned or not. With ``trusted`` one of them must have signed.

    Raises FileMissing when there is none.
    """
    path, data = read_manifest(store, account_sid, snapshot_id)
    later = [i for i in store.names(layout.account_folder(account_sid)) if layout.is_snapshot_id(i) and i > snapshot_id]
    # Asked for one by one, the nearest first: of a year of snapshots in a bucket nearly none is looked at.
    following = next((i for i in later if is_known(store, account_sid, i)), None)
    links = [_check_next(store, account_sid, snapshot_id, following, data)] if following else []
    is_pruned = path == layout.pruned_path(account_sid, snapshot_id)
    if not is_pruned and not any(store.exists(layout.manifest_path(account_sid, i)) for i in later):
        links.append(_check_pointer(store, account_sid, snapshot_id, data))
    return [*links, _check_signature(store, account_sid, snapshot_id, data, trusted)]


def check_previous(store: Store, manifest: Manifest) -> Check:
    """The link back: what was there when this manifest was written is there still, pruned, or gone."""
    if manifest.previous is None:
        return Check("previous", True, "this is the first snapshot of its chain")
    before = manifest.previous.snapshot_id
    if before >= manifest.snapshot_id:
        return Check("previous", False, f"it says that it follows {before}, which is not older")
    try:
        path, data = read_manifest(store, manifest.account_sid, before)
    except FileMissing:
        if successor := _successor(store, manifest.account_sid, before, manifest.previous.sha256):
            return Check("previous", True, f"{before} was replaced by {successor}, because users were erased from it")
        return Check("previous", True, f"{before} is not there any more, and prune did not remove it")
    except SnapshotMismatch as mismatch:
        return Check("previous", False, mismatch.message)
    if hashlib.sha256(data).hexdigest() != manifest.previous.sha256:
        return Check("previous", False, f"{path} has changed since")
    is_pruned = path == layout.pruned_path(manifest.account_sid, before)
    return Check("previous", True, f"{path} is the one that was there then{', now pruned' if is_pruned else ''}")


def _successor(store: Store, account_sid: str, snapshot_id: str, sha256: str) -> str | None:
    """The snapshot that replaces one from which users were erased."""
    for later in list_known_ids(store, account_sid):
        if later > snapshot_id:
            try:
                erased = parse(read_manifest(store, account_sid, later)[1]).erased
            except (SnapshotMismatch, FileMissing):
                continue  # its own verification says so
            if erased and erased.replaced(snapshot_id, sha256):
                return later
    return None


def read_manifest(store: Store, account_sid: str, snapshot_id: str) -> tuple[str, bytes]:
    """A manifest's path and bytes; those of ``pruned.json`` once it is pruned. Raises FileMissing."""
    path = layout.manifest_path(account_sid, snapshot_id)
    try:
        return path, store.read(path)
    except FileMissing:
        path = layout.pruned_path(account_sid, snapshot_id)
        return path, store.read(path)


def _check_next(store: Store, account_sid: str, snapshot_id: str, later: str, data: bytes) -> Check:
    """The snapshot after this one follows it; else one of the two has no place in the history."""
    try:
        next_one = parse(read_manifest(store, account_sid, later)[1])
    except (SnapshotMismatch, FileMissing):
        return Check("next", False, f"cannot be told: the manifest of {later} is damaged")
    if (next_one.account_sid, next_one.snapshot_id) != (account_sid, later):
        return Check("next", False, f"cannot be told: the manifest of {later} is that of another snapshot")
    sha256 = hashlib.sha256(data).hexdigest()
    if next_one.erased and next_one.erased.replaced(snapshot_id, sha256):
        return Check("next", True, f"{later} replaces this snapshot, because users were erased from it")
    if next_one.previous is None:
        return Check("next", False, f"{later} says that no snapshot was there before it")
    before = next_one.previous.snapshot_id
    if before == snapshot_id:
        ok = next_one.previous.sha256 == sha256
        return Check("next", ok, f"{later} names {'this manifest' if ok else 'another manifest than this one'}")
    if snapshot_id < before < later:
        return Check("next", True, f"{later} follows {before}, which is not there any more")
    if _replaced(data, next_one.previous):
        return Check("next", True, f"{later} follows {before}, which this snapshot replaced")
    return Check("next", False, f"{later} follows {before}, and passes this snapshot over")


def _replaced(data: bytes, before: Previous) -> bool:
    try:
        erased = parse(data).erased
    except SnapshotMismatch:
        return False
    return erased is not None and erased.replaced(before.snapshot_id, before.sha256)


def _check_pointer(store: Store, account_sid: str, snapshot_id: str, data: bytes) -> Check:
    """It names the newest snapshot, but while a publication that was killed leaves its staging folder there."""
    path = layout.latest_path(account_sid)
    lags = store.is_claimed(layout.staging_folder(account_sid, snapshot_id))
    why = "the run that published this snapshot was ended before it; the next export puts that right"
    try:
        pointer = store.read(path)
    except FileMissing:
        return Check("pointer", lags, f"{path} is not there" + (f": {why}" if lags else ""))
    except SnapshotMismatch as mismatch:
        return Check("pointer", False, mismatch.message)
    if pointer == build_pointer(account_sid, snapshot_id, hashlib.sha256(data).hexdigest()):
        return Check("pointer", True, f"{path} names this manifest")
    named = read_pointer(store, account_sid)
    if named and named < snapshot_id and named in list_known_ids(store, account_sid):
        _, older = read_manifest(store, account_sid, named)
        if pointer == build_pointer(account_sid, named, hashlib.sha256(older).hexdigest()):
            return Check("pointer", lags, f"{path} names {named}, which is older" + (f": {why}" if lags else ""))
    what = f"names {named}" if named and named != snapshot_id else "is damaged, or names another manifest than this one"
    return Check("pointer", False, f"{path} {what}")


def _check_signature(
    store: Store, account_sid: str, snapshot_id: str, data: bytes, trusted: TrustedKeys | None
) -> Check:
    path = layout.signature_path(account_sid, snapshot_id)
    try:
        signed_by = parse(data).signed_by
    except SnapshotMismatch:
        return Check("signature", False, "cannot be told: the manifest is damaged")
    try:
        signature = store.read(path)
    except FileMissing:
        if signed_by:
            return Check("signature", False, f"{path} is not there, and the manifest says that {signed_by} signed it")
        return Check("signature", trusted is None, "this snapshot is not signed")
    except SnapshotMismatch as mismatch:
        return Check("signature", False, mismatch.message)
    if not signing.has_library():
        return Check(
            "signature", True, f"{path} is there; to check it, install syncer[sign] or use ssh-keygen -Y verify"
        )
    try:
        return _judge(path, signed_by, signing.check_signature(signature, data), trusted)
    except SignatureFault as fault:
        return Check("signature", False, f"{path} {fault}")


def _judge(path: str, signed_by: str | None, key: bytes, trusted: TrustedKeys | None) -> Check:
    """Of a sound signature: whose it is."""
    made_by = fingerprint(key)
    if signed_by not in (None, made_by):
        return Check("signature", False, f"{path} is by {made_by}, and the manifest says {signed_by}")
    if trusted is None:
        return Check("signature", True, f"by {made_by}; give --trusted-keys to say whose it must be")
    name = trusted.name_of(key)
    return Check("signature", name is not None, f"by {made_by}, {name or 'which is not among the trusted keys'}")
