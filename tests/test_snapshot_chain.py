"""Where a manifest stands: its neighbours, the pointer and the signature, whatever was tampered with."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from syncer.model import Check
from syncer.snapshot import layout
from syncer.snapshot.chain import check_place, check_previous
from syncer.snapshot.local_store import LocalStore
from syncer.snapshot.manifest import Manifest, Previous
from syncer.snapshot.manifest_json import build, parse
from syncer.snapshot.pointer import build_pointer
from syncer.snapshot.publish import publication, publish
from syncer.snapshot.signing import KeySigner
from syncer.snapshot.sshsig import TrustedKeys
from syncer.snapshot.store import FileMissing
from tests.snapshot_data import ACCOUNT, chunked, make_users, spool, stage_snapshot

FIRST, SECOND = "20261122T020000Z", "20261123T020000Z"
SIGNER, OTHER = (KeySigner(Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32)) for n in (1, 2))
TRUSTED, FOREIGN = TrustedKeys({SIGNER.public: "ops"}), TrustedKeys({OTHER.public: "eve"})
SIGNATURE = layout.signature_path(ACCOUNT, SECOND)


def put(store: LocalStore, snapshot_id: str, previous: Previous | None, signer: KeySigner | None) -> Previous:
    manifest = stage_snapshot(
        store,
        spool([chunked(make_users(20), 10)]),
        snapshot_id=snapshot_id,
        previous=previous,
        signed_by=signer.fingerprint if signer else None,
    )
    data = store.read(publish(store, manifest, signer))
    return Previous(snapshot_id, hashlib.sha256(data).hexdigest())


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """Two snapshots in a chain, the second one signed."""
    store = LocalStore(tmp_path)
    put(store, SECOND, put(store, FIRST, None, None), SIGNER)
    return store


def manifest_at(store: LocalStore, snapshot_id: str) -> Manifest:
    return parse(store.read(layout.manifest_path(ACCOUNT, snapshot_id)))


def rewrite(store: LocalStore, snapshot_id: str, **changes: object) -> None:
    manifest = replace(manifest_at(store, snapshot_id), **changes)  # type: ignore[arg-type]
    store.put_replace(layout.manifest_path(ACCOUNT, snapshot_id), build(manifest))


def place(store: LocalStore, snapshot_id: str, trusted: TrustedKeys | None = None) -> dict[str, bool]:
    return {check.name: check.ok for check in check_place(store, ACCOUNT, snapshot_id, trusted)}


def test_a_sound_chain_passes(store: LocalStore) -> None:
    assert place(store, FIRST) == {"next": True, "signature": True}
    assert place(store, SECOND) == place(store, SECOND, TRUSTED) == {"pointer": True, "signature": True}
    assert check_previous(store, manifest_at(store, FIRST)).detail == "this is the first snapshot of its chain"
    assert check_previous(store, manifest_at(store, SECOND)).ok


def test_whose_signature_it_must_be_is_asked_for_and_answered(store: LocalStore) -> None:
    assert place(store, FIRST, TRUSTED)["signature"] is False
    (_, foreign) = check_place(store, ACCOUNT, SECOND, FOREIGN)
    assert foreign == Check("signature", False, f"by {SIGNER.fingerprint}, which is not among the trusted keys")
    (_, ours) = check_place(store, ACCOUNT, SECOND, TRUSTED)
    assert ours.detail == f"by {SIGNER.fingerprint}, ops"


def test_a_row_and_all_its_checksums_changed_together_are_found(store: LocalStore) -> None:
    rewrite(store, FIRST, users=21)
    assert place(store, FIRST)["next"] is False
    assert not check_previous(store, manifest_at(store, SECOND)).ok
    rewrite(store, SECOND, users=21)
    assert place(store, SECOND) == {"pointer": False, "signature": False}
    sha256 = hashlib.sha256(store.read(layout.manifest_path(ACCOUNT, SECOND))).hexdigest()
    store.put_replace(layout.latest_path(ACCOUNT), build_pointer(ACCOUNT, SECOND, sha256))
    assert place(store, SECOND) == {"pointer": True, "signature": False}


def test_a_signature_that_was_taken_away_or_exchanged_is_missed(store: LocalStore) -> None:
    data = store.read(layout.manifest_path(ACCOUNT, SECOND))
    store.put_replace(SIGNATURE, OTHER.sign(data))
    (_, check) = check_place(store, ACCOUNT, SECOND, FOREIGN)
    assert check == Check(
        "signature", False, f"{SIGNATURE} is by {OTHER.fingerprint}, and the manifest says {SIGNER.fingerprint}"
    )
    store.remove(SIGNATURE)
    (_, check) = check_place(store, ACCOUNT, SECOND, None)
    assert check.detail == f"{SIGNATURE} is not there, and the manifest says that {SIGNER.fingerprint} signed it"
    assert not check.ok


def test_a_manifest_signed_later_by_hand_counts(store: LocalStore) -> None:
    data = store.read(layout.manifest_path(ACCOUNT, FIRST))
    store.put_new(layout.signature_path(ACCOUNT, FIRST), SIGNER.sign(data))
    assert place(store, FIRST, TRUSTED) == {"next": True, "signature": True}


def test_without_the_library_a_signature_is_said_to_be_unchecked(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.ed25519", None)
    (_, check) = check_place(store, ACCOUNT, SECOND, None)
    assert check.detail == f"{SIGNATURE} is there; to check it, install syncer[sign] or use ssh-keygen -Y verify"


def test_damaged_manifests_can_tell_nothing(store: LocalStore) -> None:
    store.put_replace(layout.manifest_path(ACCOUNT, SECOND), b"{}")
    assert place(store, FIRST) == {"next": False, "signature": True}
    assert place(store, SECOND) == {"pointer": False, "signature": False}
    with pytest.raises(FileMissing):
        check_place(store, ACCOUNT, "20200101T000000Z", None)


def test_a_pointer_may_lag_behind_but_not_lie(store: LocalStore) -> None:
    latest = layout.latest_path(ACCOUNT)
    first_sha256 = hashlib.sha256(store.read(layout.manifest_path(ACCOUNT, FIRST))).hexdigest()
    store.put_replace(latest, build_pointer(ACCOUNT, FIRST, first_sha256))
    (pointer, _) = check_place(store, ACCOUNT, SECOND, None)
    assert pointer == Check("pointer", False, f"{latest} names {FIRST}, which is older")
    store.claim_staging(layout.staging_folder(ACCOUNT, SECOND))
    why = "the run that published this snapshot was ended before it; the next export puts that right"
    (pointer, _) = check_place(store, ACCOUNT, SECOND, None)
    assert pointer == Check("pointer", True, f"{latest} names {FIRST}, which is older: {why}")
    for lie in (
        build_pointer(ACCOUNT, FIRST, "0" * 64),
        build_pointer(ACCOUNT, "20260101T000000Z", first_sha256),
        b"{}",
    ):
        store.put_replace(latest, lie)
        assert place(store, SECOND)["pointer"] is False
    store.remove(latest)
    assert check_place(store, ACCOUNT, SECOND, None)[0] == Check("pointer", True, f"{latest} is not there: {why}")
    store.remove(layout.staging_folder(ACCOUNT, SECOND))
    assert check_place(store, ACCOUNT, SECOND, None)[0] == Check("pointer", False, f"{latest} is not there")


def test_a_snapshot_that_is_first_and_is_not_has_cut_off_those_before(store: LocalStore) -> None:
    rewrite(store, SECOND, previous=None)
    (link, _) = check_place(store, ACCOUNT, FIRST, None)
    assert link == Check("next", False, f"{SECOND} says that no snapshot was there before it")


def test_a_snapshot_that_was_slipped_in_between_two_is_found(store: LocalStore) -> None:
    slipped, before = "20261122T120000Z", manifest_at(store, SECOND).previous
    manifest = stage_snapshot(store, spool([chunked(make_users(20), 10)]), snapshot_id=slipped, previous=before)
    publish(store, manifest)
    assert check_previous(store, manifest).ok
    (link, _) = check_place(store, ACCOUNT, slipped, None)
    assert link == Check("next", False, f"{SECOND} follows {FIRST}, and passes this snapshot over")
    store.put_replace(layout.manifest_path(ACCOUNT, slipped), b"{}")
    assert check_place(store, ACCOUNT, slipped, None)[0] == link
    rewrite(store, SECOND, previous=replace(before, snapshot_id="20261122T130000Z"))
    (link, _) = check_place(store, ACCOUNT, FIRST, None)
    assert link.ok is False, link
    store.remove(layout.snapshot_folder(ACCOUNT, slipped))
    (link, _) = check_place(store, ACCOUNT, FIRST, None)
    assert link == Check("next", True, f"{SECOND} follows 20261122T130000Z, which is not there any more")


def test_a_snapshot_that_follows_none_older_is_found(store: LocalStore) -> None:
    for later in (SECOND, "20261124T020000Z"):
        manifest = replace(manifest_at(store, SECOND), previous=Previous(later, "0" * 64))
        expected = Check("previous", False, f"it says that it follows {later}, which is not older")
        assert check_previous(store, manifest) == expected


def test_only_the_newest_snapshot_is_looked_for_in_the_pointer(store: LocalStore) -> None:
    store.place_file(layout.manifest_path(ACCOUNT, SECOND), layout.pruned_path(ACCOUNT, SECOND))
    sha256 = hashlib.sha256(store.read(layout.manifest_path(ACCOUNT, FIRST))).hexdigest()
    store.put_replace(layout.latest_path(ACCOUNT), build_pointer(ACCOUNT, FIRST, sha256))
    assert place(store, FIRST) == {"next": True, "pointer": True, "signature": True}
    assert place(store, SECOND) == {"signature": True}
    store.put_replace(layout.latest_path(ACCOUNT), build_pointer(ACCOUNT, "20261125T020000Z", sha256))
    pointer = check_place(store, ACCOUNT, FIRST, None)[1]
    assert pointer == Check("pointer", False, f"{layout.latest_path(ACCOUNT)} names 20261125T020000Z")


def test_what_was_removed_by_hand_is_said_to_be_missing(store: LocalStore) -> None:
    store.remove(layout.snapshot_folder(ACCOUNT, FIRST))
    check = check_previous(store, manifest_at(store, SECOND))
    assert check == Check("previous", True, f"{FIRST} is not there any more, and prune did not remove it")


def test_a_killed_publication_never_shows_a_manifest_before_its_signature(tmp_path: Path) -> None:
    store, pages = LocalStore(tmp_path), spool([chunked(make_users(20), 10)])
    signed = stage_snapshot(store, pages, signed_by=SIGNER.fingerprint)
    steps = publication(store, signed, SIGNER)
    names = [step.name for step in steps]
    assert names.index("place the signature") + 1 == names.index("commit")
    for step in steps[: names.index("commit")]:
        step.run()
    again = stage_snapshot(store, pages, finished_at="2026-11-23T05:00:00Z")
    publish(store, again)  # this run has no key: what the killed one signed is not what is published
    assert place(store, SECOND) == {"pointer": True, "signature": True}
    assert not store.exists(SIGNATURE)
