"""Making a staged snapshot visible: every step in the order that leaves readers with the old state or the new one.

What is staged is checked, then renamed into place; the manifest is the commit; the pointer comes after it. Each step
may be run again: after a kill between any two, publishing once more finishes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from syncer.errors import DataRefused, SnapshotMismatch, StorageFailed
from syncer.snapshot import layout
from syncer.snapshot.catalog import list_snapshot_ids
from syncer.snapshot.layout import Format
from syncer.snapshot.manifest import Manifest
from syncer.snapshot.manifest_json import build, parse
from syncer.snapshot.pointer import move_pointer
from syncer.snapshot.staged_check import check_staged
from syncer.snapshot.staging import Staging
from syncer.snapshot.store import Store


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a publication."""

    name: str
    run: Callable[[], None]


class Signer(Protocol):
    """Makes the signature that belongs to a manifest."""

    @property
    def fingerprint(self) -> str:
        """Of the key: what the manifest names as ``signed_by``."""
        ...

    def sign(self, message: bytes) -> bytes:
        """The content of a signature file."""
        ...


def publish(store: Store, manifest: Manifest, signer: Signer | None = None) -> str:
    """Publish what is staged for this manifest; the manifest's path below the destination.

    Raises StorageFailed, and DataRefused when staged files are not what the manifest says or another run has this id.
    """
    for step in publication(store, manifest, signer):
        step.run()
    return layout.manifest_path(manifest.account_sid, manifest.snapshot_id)


def publication(
    store: Store, manifest: Manifest, signer: Signer | None = None, *, after_previous: bool = False
) -> list[Step]:
    """What there is to do, in order; less when the manifest is there already.

    ``after_previous``: of two writers to one destination, the second is refused with DataRefused: nothing may have been
    published since the snapshot that this one was compared with.

    The signature is placed before the manifest: a snapshot is never seen without it, and only bytes that were made here
    are ever signed, none that were found at the destination.
    """
    staging = Staging(store, manifest.account_sid, manifest.snapshot_id)
    last = [
        Step("move the pointer", lambda: move_pointer(store, manifest)),
        Step("clean up", lambda: clean_up(store, manifest.account_sid, manifest.snapshot_id)),
    ]
    if store.exists(layout.manifest_path(manifest.account_sid, manifest.snapshot_id)):
        return [Step("recognise the manifest", lambda: _expect_ours(store, manifest)), *last]
    return [
        *(
            [Step("see that no other run was faster", partial(_expect_successor, store, manifest))]
            if after_previous
            else []
        ),
        Step("check what is staged", lambda: check_staged(staging, manifest)),
        *(Step(f"place {form}", partial(_place_parts, staging, form)) for form in manifest.formats),
        *_changes_steps(staging, manifest),
        Step("place the page index", lambda: _place_file(store, staging.pages, manifest.page_index.path)),
        *([Step("place the hash tree", lambda: _place_tree(staging, manifest))] if manifest.tree else []),
        Step("place the rejects", lambda: _place_rejects(staging, manifest)),
        *([Step("place the signature", lambda: _place_signature(store, manifest, signer))] if signer else []),
        Step("commit", lambda: _commit(staging, manifest, after_previous)),
        *last,
    ]


def clean_up(store: Store, account_sid: str, up_to: str) -> None:
    """Remove what is staged for this id and older ones of the account, and what killed writes left beside manifests."""
    for name in store.names(layout.staging_account_folder(account_sid)):
        if name <= up_to:
            store.remove(f"{layout.staging_account_folder(account_sid)}/{name}")
    store.sweep(layout.account_folder(account_sid))
    store.sweep(layout.snapshot_folder(account_sid, up_to))


def _place_parts(staging: Staging, form: Format) -> None:
    final = layout.partition_folder(form, staging.account_sid, staging.snapshot_id)
    _place_partition(staging, staging.parts(form), final, form)


def _changes_steps(staging: Staging, manifest: Manifest) -> list[Step]:
    final = layout.changes_folder(staging.account_sid, staging.snapshot_id)
    if manifest.changes:
        return [Step("place the changes", lambda: _place_partition(staging, staging.changes, final, "changes"))]
    if staging.store.exists(final):  # of a killed try that was to write them
        aside = f"{staging.folder}/replaced-changes"
        return [Step("take back the changes", lambda: staging.store.set_aside(final, aside))]
    return []


def _place_partition(staging: Staging, staged: str, final: str, name: str) -> None:
    if not staging.store.exists(staged):
        return  # placed by a try that was killed, and checked in its place just now
    if staging.store.exists(final):  # by a killed try that was staged anew since; no manifest names it
        staging.store.set_aside(final, f"{staging.folder}/replaced-{name}")
    staging.store.place_folder(staged, final)


def _place_file(store: Store, staged: str, final: str) -> None:
    if store.exists(staged):
        store.place_file(staged, final)


def _place_rejects(staging: Staging, manifest: Manifest) -> None:
    if manifest.rejects.path:
        _place_file(staging.store, staging.rejects, manifest.rejects.path)


def _place_tree(staging: Staging, manifest: Manifest) -> None:
    if manifest.tree:
        _place_file(staging.store, staging.tree, manifest.tree.path)


def _place_signature(store: Store, manifest: Manifest, signer: Signer) -> None:
    """Replaces one that a killed try made for a manifest that never was."""
    path = layout.signature_path(manifest.account_sid, manifest.snapshot_id)
    store.put_replace(path, signer.sign(build(manifest)))


def _commit(staging: Staging, manifest: Manifest, after_previous: bool) -> None:
    store = staging.store
    if manifest.signed_by is None:  # a killed try may have been a signed one
        store.remove(layout.signature_path(manifest.account_sid, manifest.snapshot_id))
    with store.turn(layout.turn_path(manifest.account_sid)):
        if after_previous:
            _expect_successor_or_withdraw(staging, manifest)
        _expect_parts(store, manifest)
        if not store.put_new(layout.manifest_path(manifest.account_sid, manifest.snapshot_id), build(manifest)):
            _expect_ours(store, manifest)


def _expect_parts(store: Store, manifest: Manifest) -> None:
    """What no manifest names yet may have been removed as a leftover, by `syncer erase` on another machine."""
    if missing := next((facts.path for facts in manifest.files if not store.exists(facts.path)), None):
        raise StorageFailed(
            f"{missing} was removed while snapshot {manifest.snapshot_id} was to be published",
            hint="nothing was published; run again: it resumes",
        )


def expect_newest(store: Store, account_sid: str, snapshot_id: str) -> None:
    """Raises DataRefused when another run has published something newer. The one named may have been pruned since."""
    newest = max(list_snapshot_ids(store, account_sid), default="")
    if newest > snapshot_id:
        raise DataRefused(
            f"another run published the snapshot {newest} of account {account_sid} while this one was at work",
            hint="nothing was published; let one run at a time write to a destination, then run again",
        )


def _expect_successor(store: Store, manifest: Manifest) -> None:
    expect_newest(store, manifest.account_sid, manifest.previous.snapshot_id if manifest.previous else "")


def _expect_successor_or_withdraw(staging: Staging, manifest: Manifest) -> None:
    """Readers of the partitions do not look at manifests: what is not committed is taken out of their sight."""
    try:
        _expect_successor(staging.store, manifest)
    except DataRefused:
        if staging.store.exists(layout.manifest_path(staging.account_sid, staging.snapshot_id)):
            raise  # the winner has this very id: what lies there is its
        for kind in layout.DATA_FOLDERS:
            final = layout.data_folder(kind, staging.account_sid, staging.snapshot_id)
            if staging.store.exists(final):
                staging.store.set_aside(final, f"{staging.folder}/refused-{kind}")
        raise


def _expect_ours(store: Store, manifest: Manifest) -> None:
    """The manifest that is there must name the same files; the time of its writing may differ."""
    path = layout.manifest_path(manifest.account_sid, manifest.snapshot_id)
    try:
        there = parse(store.read(path))
    except SnapshotMismatch as mismatch:
        raise DataRefused(f"{path} is there already and cannot be read", hint=str(mismatch)) from None
    if (there.started_at, there.users, there.files) != (manifest.started_at, manifest.users, manifest.files):
        raise DataRefused(
            f"another run published the snapshot {manifest.snapshot_id} of account {manifest.account_sid}",
            hint="nothing was changed; run again with --fresh",
        )
