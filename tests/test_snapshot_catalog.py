"""Which snapshots there are: manifests say so, nothing else does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from syncer.errors import SnapshotMismatch, UsageError
from syncer.snapshot import layout
from syncer.snapshot.catalog import (
    find_snapshot,
    list_accounts,
    list_manifests,
    list_snapshot_ids,
    load_latest,
    load_snapshot,
)
from syncer.snapshot.local_store import LocalStore
from syncer.snapshot.manifest_json import build
from syncer.snapshot.publish import publish
from syncer.snapshot.store import FileMissing
from tests.snapshot_data import ACCOUNT, SNAPSHOT, chunked, make_users, spool, stage_snapshot

OLD = "20261122T020000Z"


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    store = LocalStore(tmp_path)
    for snapshot_id in (OLD, SNAPSHOT):
        publish(store, stage_snapshot(store, spool([chunked(make_users(5), 5)]), snapshot_id=snapshot_id))
    return store


def test_snapshots_are_listed_oldest_first(store: LocalStore) -> None:
    assert list_snapshot_ids(store, ACCOUNT) == [OLD, SNAPSHOT]
    assert [found.manifest.snapshot_id for found in list_manifests(store, ACCOUNT)] == [OLD, SNAPSHOT]
    assert list_accounts(store) == [ACCOUNT]


def test_a_folder_without_a_manifest_is_no_snapshot(store: LocalStore) -> None:
    store.put_new(layout.page_index_path(ACCOUNT, "20261124T020000Z"), b"")
    store.put_new(layout.account_folder(ACCOUNT) + "/notes/manifest.json", b"")
    store.put_new(f"{layout.SNAPSHOTS}/notes", b"")
    assert list_snapshot_ids(store, ACCOUNT) == [OLD, SNAPSHOT]
    assert list_accounts(store) == [ACCOUNT]


def test_an_empty_destination_has_none(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "nothing")
    assert (list_accounts(store), list_snapshot_ids(store, ACCOUNT), load_latest(store, ACCOUNT)) == ([], [], None)


@pytest.mark.parametrize("pointer", [None, b"", b'{"snapshot_id":"20261122T020000Z"}'])
def test_the_newest_manifest_counts_also_when_the_pointer_lags(store: LocalStore, pointer: bytes | None) -> None:
    store.remove(layout.latest_path(ACCOUNT))
    if pointer is not None:
        store.put_new(layout.latest_path(ACCOUNT), pointer)
    latest = load_latest(store, ACCOUNT)
    assert latest is not None
    assert (latest.manifest.snapshot_id, latest.path) == (SNAPSHOT, layout.manifest_path(ACCOUNT, SNAPSHOT))


@pytest.mark.parametrize(("name", "found"), [("latest", SNAPSHOT), ("previous", OLD), (OLD, OLD)])
def test_a_snapshot_is_found_by_name(store: LocalStore, name: str, found: str) -> None:
    assert find_snapshot(store, ACCOUNT, name).manifest.snapshot_id == found


@pytest.mark.parametrize(("account", "name"), [(ACCOUNT, "20261125T020000Z"), (ACCOUNT, "newest"), ("AC1", "latest")])
def test_a_name_that_is_none_is_wrong_usage(store: LocalStore, account: str, name: str) -> None:
    with pytest.raises(UsageError, match=f"has no snapshot '{name}'"):
        find_snapshot(store, account, name)


def test_there_is_no_previous_of_a_single_snapshot(store: LocalStore) -> None:
    store.remove(layout.snapshot_folder(ACCOUNT, OLD))
    with pytest.raises(UsageError, match="has no snapshot 'previous'"):
        find_snapshot(store, ACCOUNT, "previous")
    with pytest.raises(FileMissing):
        load_snapshot(store, ACCOUNT, OLD)


def test_a_damaged_or_misplaced_manifest_is_named(store: LocalStore) -> None:
    path = layout.manifest_path(ACCOUNT, SNAPSHOT)
    store.put_replace(path, b"{")
    with pytest.raises(SnapshotMismatch) as caught:
        load_snapshot(store, ACCOUNT, SNAPSHOT)
    assert caught.value.message == f"{path}: the manifest is not JSON"
    other = load_snapshot(store, ACCOUNT, OLD).manifest
    for wrong in (other, replace(other, snapshot_id=SNAPSHOT, account_sid="AC1")):
        store.put_replace(path, build(wrong))
        with pytest.raises(SnapshotMismatch, match="is the manifest of another snapshot"):
            load_snapshot(store, ACCOUNT, SNAPSHOT)
