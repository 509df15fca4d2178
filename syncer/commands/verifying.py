"""All checks that `syncer verify` makes: of one snapshot, of an account's history, of a destination."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from syncer.errors import SnapshotMismatch, StorageFailed
from syncer.model import Check, counted

if TYPE_CHECKING:
    from syncer.snapshot.catalog import Published
    from syncer.snapshot.manifest import Manifest
    from syncer.snapshot.sshsig import TrustedKeys
    from syncer.snapshot.store import Store


@dataclass(frozen=True, slots=True)
class Report:
    """What became of one snapshot's checks; ``manifest`` is None when it cannot be read."""

    account_sid: str
    snapshot_id: str
    manifest: Manifest | None
    pruned: bool
    checks: list[Check]

    @property
    def subject(self) -> str:
        """What an error is about."""
        return f"snapshot {self.snapshot_id} of {self.account_sid} does not match its manifest"

    @property
    def failed(self) -> list[Check]:
        """The checks that did not pass."""
        return [check for check in self.checks if not check.ok]


@dataclass(frozen=True, slots=True)
class Whole:
    """What became of the checks of an account's history, or of the destination when there is no ``account_sid``."""

    account_sid: str | None
    checks: list[Check]

    @property
    def subject(self) -> str:
        """What an error is about."""
        return f"the history of {self.account_sid} is not whole" if self.account_sid else "the destination is not clean"

    @property
    def failed(self) -> list[Check]:
        """The checks that did not pass."""
        return [check for check in self.checks if not check.ok]


def check_snapshot(store: Store, published: Published, trusted: TrustedKeys | None = None) -> Report:
    """All checks of one snapshot: its files, its place in the chain, its signature, and the proof of coverage."""
    from syncer.snapshot.chain import check_place
    from syncer.snapshot.verify import verify_snapshot

    manifest = published.manifest
    checks = [
        *verify_snapshot(store, manifest.account_sid, manifest),
        *check_place(store, manifest.account_sid, manifest.snapshot_id, trusted),
        _coverage(store, published),
    ]
    return Report(manifest.account_sid, manifest.snapshot_id, manifest, False, checks)


def check_one(store: Store, sid: str, snapshot: str, trusted: TrustedKeys | None) -> Report:
    """The same by its id; a manifest that cannot be read is a failed check."""
    from syncer.snapshot.catalog import load_snapshot

    try:
        return check_snapshot(store, load_snapshot(store, sid, snapshot), trusted)
    except SnapshotMismatch as mismatch:
        return _unreadable(sid, snapshot, mismatch)


def check_history(store: Store, sid: str, trusted: TrustedKeys | None) -> Iterator[Report]:
    """Every snapshot of an account, oldest first; of a pruned one its manifest, its links and its signature."""
    from syncer.snapshot.catalog import list_known_ids, list_snapshot_ids

    whole = list_snapshot_ids(store, sid)
    for snapshot in list_known_ids(store, sid):
        yield (check_one if snapshot in whole else _check_pruned)(store, sid, snapshot, trusted)


def _check_pruned(store: Store, sid: str, snapshot: str, trusted: TrustedKeys | None) -> Report:
    from syncer.snapshot.chain import check_place, check_previous, read_manifest
    from syncer.snapshot.manifest_json import parse

    try:
        path, data = read_manifest(store, sid, snapshot)
        manifest = parse(data)
    except SnapshotMismatch as mismatch:
        return _unreadable(sid, snapshot, mismatch, pruned=True)
    ours = (manifest.account_sid, manifest.snapshot_id) == (sid, snapshot)
    place = Check("manifest", ours, f"{path} is {'what is left of it' if ours else 'of another snapshot'}")
    checks = [place, check_previous(store, manifest), *check_place(store, sid, snapshot, trusted)]
    return Report(sid, snapshot, manifest, True, checks)


def _unreadable(sid: str, snapshot: str, mismatch: SnapshotMismatch, *, pruned: bool = False) -> Report:
    return Report(sid, snapshot, None, pruned, [Check("manifest", False, mismatch.message)])


def check_whole(store: Store, sids: list[str], *, everything: bool) -> list[Whole]:
    """What no single snapshot can tell: of each account, and with ``everything`` of the destination."""
    from syncer.snapshot.history import check_account, check_destination, list_all_accounts

    whole = [Whole(sid, check_account(store, sid)) for sid in (list_all_accounts(store) if everything else sids)]
    return [*whole, Whole(None, [check_destination(store)])] if everything else whole


def _coverage(store: Store, published: Published) -> Check:
    """The proof, made again from the page index alone."""
    from syncer.crawl.proof import prove_coverage
    from syncer.snapshot.pages import read_page_index
    from syncer.snapshot.store import FileMissing

    manifest = published.manifest
    try:
        coverage = prove_coverage(read_page_index(store, manifest.page_index.path))
    except FileMissing:
        return Check("coverage", False, f"{manifest.page_index.path} is not there")
    except (SnapshotMismatch, StorageFailed) as error:
        return Check("coverage", False, error.message)
    if coverage.verdict != manifest.verdict:
        reason = f": {coverage.reasons[0]}" if coverage.reasons else ""
        return Check("coverage", False, f"the pages prove {coverage.verdict}, not {manifest.verdict}{reason}")
    stretches = counted(len(coverage.path), "stretch", "stretches")
    return Check("coverage", True, f"{counted(coverage.pages, 'page')} in {stretches} prove {coverage.verdict}")
