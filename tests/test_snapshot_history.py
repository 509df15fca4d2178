"""What a destination holds beyond its snapshots: strays among the partitions are named, unfinished runs are let be."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncer.model import Check
from syncer.snapshot import layout
from syncer.snapshot.history import check_account, check_destination, list_all_accounts
from syncer.snapshot.local_store import LocalStore
from syncer.snapshot.publish import publication, publish
from tests.snapshot_data import ACCOUNT, SNAPSHOT, chunked, make_users, spool, stage_snapshot

STRAY, OTHER = "20261124T020000Z", "AC" + "9" * 32
WELL = Check("partitions", True, "each belongs to a snapshot")
PARQUET = f"parquet/account_sid={ACCOUNT}"


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    store = LocalStore(tmp_path)
    publish(store, stage_snapshot(store, spool([chunked(make_users(20), 10)])))
    return store


def test_a_clean_destination_passes(store: LocalStore) -> None:
    history = Check("history", True, f"since {SNAPSHOT}; 1 kept, 0 pruned")
    assert check_account(store, ACCOUNT) == [history, WELL]
    assert check_destination(store).ok
    assert list_all_accounts(store) == [ACCOUNT]


@pytest.mark.parametrize(
    ("path", "named"),
    [
        (f"{layout.data_folder('parquet', ACCOUNT, STRAY)}/part-00000.parquet", None),
        (f"{PARQUET}/snapshot_date=2026-11-22/snapshot_id={SNAPSHOT}/part-00000.parquet", None),
        (f"{PARQUET}/snapshot_date=2026-11-23/x.parquet", f"{PARQUET}/snapshot_date=2026-11-23/x.parquet"),
        (f"{PARQUET}/x.parquet", f"{PARQUET}/x.parquet"),
        (f"{PARQUET}/other/part/x.parquet", f"{PARQUET}/other/part"),
    ],
)
def test_what_readers_of_partitions_would_take_in_is_named(store: LocalStore, path: str, named: str | None) -> None:
    store.put_new(path, b"PAR1")
    stray = named or path.rpartition("/")[0]
    assert check_account(store, ACCOUNT)[1] == Check("partitions", False, f"{stray} belongs to no snapshot")


def test_a_link_among_the_dates_is_named_and_not_followed(store: LocalStore) -> None:
    (store.root / f"{PARQUET}/snapshot_date=2026-11-24").symlink_to(store.root / f"{PARQUET}/snapshot_date=2026-11-23")
    assert check_account(store, ACCOUNT)[1].detail == f"{PARQUET}/snapshot_date=2026-11-24 belongs to no snapshot"


def test_of_many_strays_the_first_are_named(store: LocalStore) -> None:
    for number in range(9):
        store.put_new(f"{PARQUET}/{number}", b"")
    assert check_account(store, ACCOUNT)[1].detail.endswith(f"{PARQUET}/4 belongs to no snapshot; 4 more")


def test_strangers_beside_the_accounts_and_accounts_without_snapshots_are_found(store: LocalStore) -> None:
    store.put_new("parquet/x.parquet", b"PAR1")
    store.put_new(f"changes/account_sid={OTHER}/snapshot_date=2026-11-23/x", b"PAR1")
    assert check_destination(store) == Check("folders", False, "parquet/x.parquet is foreign")
    assert list_all_accounts(store) == [ACCOUNT, OTHER]
    assert check_account(store, OTHER) == [
        Check("history", False, "there is no snapshot"),
        Check("partitions", False, f"changes/account_sid={OTHER}/snapshot_date=2026-11-23/x belongs to no snapshot"),
    ]


def test_a_history_of_which_all_snapshots_were_taken_away_is_missed(store: LocalStore) -> None:
    store.remove(layout.snapshot_folder(ACCOUNT, SNAPSHOT))
    path = layout.latest_path(ACCOUNT)
    assert check_account(store, ACCOUNT)[0] == Check("history", False, f"{path} is there, and no snapshot is")


def test_what_a_killed_publication_left_is_no_stray_until_it_is_collected(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    manifest = stage_snapshot(store, spool([chunked(make_users(20), 10)]))
    for step in publication(store, manifest):
        history, partitions = check_account(store, ACCOUNT)
        assert partitions.ok, step.name
        assert history.ok == (step.name not in ("check what is staged", "place parquet")), step.name
        step.run()
    assert check_account(store, ACCOUNT)[1] == WELL


def test_the_partition_of_a_pruned_snapshot_is_its_own_or_a_stray(store: LocalStore) -> None:
    store.place_file(layout.manifest_path(ACCOUNT, SNAPSHOT), layout.pruned_path(ACCOUNT, SNAPSHOT))
    folders = [layout.data_folder(kind, ACCOUNT, SNAPSHOT) for kind in ("parquet", "ndjson")]
    left = [f"{folder} is left of a pruned snapshot: `syncer prune` removes it" for folder in folders]
    assert check_account(store, ACCOUNT)[1] == Check("partitions", True, "; ".join([WELL.detail, *left]))
    part = f"{folders[0]}/part-00000.parquet"
    data = store.read(part)
    store.remove(part)
    assert check_account(store, ACCOUNT)[1].ok  # a store that removes one file after the other
    stray = Check("partitions", False, f"{folders[0]} belongs to no snapshot")
    store.put_new(part, data[:-1] + b"!")
    assert check_account(store, ACCOUNT)[1] == stray
    store.remove(part)
    (store.root / part).symlink_to(store.root / "elsewhere")
    assert check_account(store, ACCOUNT)[1] == stray
    store.remove(part)
    store.put_new(f"{folders[0]}/part-00009.parquet", data)
    assert check_account(store, ACCOUNT)[1] == stray
    store.put_replace(layout.pruned_path(ACCOUNT, SNAPSHOT), b"{}")
    assert not check_account(store, ACCOUNT)[1].ok
