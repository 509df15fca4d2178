"""What every store must do, whatever it is made of: one suite, run against each of them."""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from obstore.store import MemoryStore

from syncer.errors import DataRefused, LockHeld, SnapshotMismatch, StorageFailed
from syncer.snapshot import bucket, files, layout, local_store
from syncer.snapshot.catalog import list_accounts, list_snapshot_ids, load_latest, load_snapshot
from syncer.snapshot.history import check_account
from syncer.snapshot.local_store import LocalStore
from syncer.snapshot.object_address import Patience, connect, parse_address
from syncer.snapshot.object_store import ObjectStore
from syncer.snapshot.pointer import move_pointer, read_pointer
from syncer.snapshot.prune import plan_account, removal
from syncer.snapshot.publish import publication, publish
from syncer.snapshot.reading import read_users
from syncer.snapshot.retention import Policy
from syncer.snapshot.staging import reserve_snapshot_id
from syncer.snapshot.store import FileMissing, Store
from syncer.snapshot.verify import verify_snapshot
from tests import clouds
from tests.snapshot_data import ACCOUNT, SNAPSHOT, STARTED, chunked, make_users, spool, stage_snapshot

Writers = Callable[[str], Store]
"""Writers to one destination by name; each has a state folder of its own where the store needs one."""
KINDS = ("disk", "memory", "s3", "azure")


@pytest.fixture(scope="module")
def s3() -> Iterator[clouds.Cloud]:
    with clouds.s3() as cloud:
        yield cloud


@pytest.fixture(scope="module")
def azure() -> Iterator[clouds.Cloud]:
    if clouds.find_azurite() is None:
        pytest.skip("Azurite is not there: npm install azurite, and name its azurite-blob in $AZURITE_BLOB")
    with clouds.azure() as cloud:
        yield cloud


@pytest.fixture(params=KINDS)
def writers(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Writers:
    """A fresh destination."""
    if request.param == "disk":
        return lambda name: LocalStore(tmp_path / "root")
    if request.param == "memory":
        memory = MemoryStore()
        return lambda name: ObjectStore(memory, "memory://", tmp_path / name)
    cloud: clouds.Cloud = request.getfixturevalue(request.param)
    address = parse_address(f"{cloud.uri}/{uuid4().hex} é+%2F=1")
    for key, value in cloud.env.items():
        monkeypatch.setenv(key, value)
    return lambda name: ObjectStore(connect(address, Patience()), str(address), tmp_path / name)


@pytest.fixture
def one(writers: Writers) -> Store:
    return writers("one")


def put_staged(target: Store, path: str, data: bytes) -> None:
    files.write_file(target.staging_path(path), data)


def test_what_is_put_is_read(one: Store) -> None:
    one.put_replace("a/b", b"1")
    one.put_replace("a/b", b"22")
    assert (one.put_new("a/b", b"3"), one.put_new("a/c d=%é", b"")) == (False, True)
    assert (one.read("a/b"), one.size("a/b"), one.size("a/c d=%é")) == (b"22", 2, 0)
    assert (one.names("a"), one.names("b"), one.exists("a/b"), one.exists("a")) == (["b", "c d=%é"], [], True, True)


def test_a_file_is_read_from_anywhere(one: Store) -> None:
    one.put_new("f", bytes(range(10)))
    with one.open("f") as file:
        assert (file.read(1), file.read(2), file.tell()) == (b"\0", b"\1\2", 3)
        assert (file.seek(-2, io.SEEK_END), file.read(), file.read()) == (8, b"\x08\x09", b"")
        assert (file.seek(0), file.seek(4, io.SEEK_CUR), file.read(1)) == (0, 4, b"\4")
    assert file.closed


def test_what_is_not_small_is_not_read_at_once(one: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (local_store, bucket):
        monkeypatch.setattr(module, "SMALL_BYTES_MAX", 4)
    one.put_new("a", b"1234")
    one.put_new("b", b"12345")
    assert one.read("a") == b"1234"
    with pytest.raises(SnapshotMismatch, match="syncer did not write it"):
        one.read("b")


def test_a_claim_is_seen_by_all_writers_until_it_is_removed(writers: Writers) -> None:
    one, other = writers("one"), writers("other")
    assert (one.is_claimed(".staging/a"), one.claim_staging(".staging/a")) == (False, True)
    assert (one.is_claimed(".staging/a"), other.is_claimed(".staging/a"), one.strangers("a")) == (True, True, [])
    one.remove(".staging/a")
    assert (one.is_claimed(".staging/a"), other.is_claimed(".staging/a")) == (False, False)


def test_what_is_not_there_is_said_so(one: Store) -> None:
    assert (one.names("a"), one.size("a"), one.exists("a"), one.read_version("a")) == ([], None, False, None)
    for path in ("a", "a/b"):
        with pytest.raises(FileMissing, match="is not there"):
            one.read(path)
        with pytest.raises(FileMissing, match="is not there"):
            one.open(path)
    one.remove("a")
    one.sweep("a")


def test_a_folder_is_not_a_file_and_a_file_no_folder(one: Store) -> None:
    one.put_new("a/b", b"1")
    for path in ("a", "a/b/c"):
        with pytest.raises(FileMissing):
            one.open(path)
    assert (one.size("a"), one.names("a/b"), one.exists("a/"[:1]), one.exists("a/bb")) == (None, [], True, False)


def test_names_are_those_of_files_and_folders_right_below(one: Store) -> None:
    for path in ("a/x/1", "a/x/2", "a/y", "ab/z"):
        one.put_new(path, b"1")
    assert (one.names("a"), one.names("ab")) == (["x", "y"], ["z"])


def test_only_the_version_that_was_read_is_replaced(one: Store) -> None:
    assert (one.put_version("a/p", b"1", None), one.put_version("a/p", b"2", None)) == (True, False)
    found = one.read_version("a/p")
    assert found is not None
    assert (found[0], one.put_version("a/p", b"2", found[1]), one.put_version("a/p", b"3", found[1])) == (
        b"1",
        True,
        False,
    )
    assert one.read("a/p") == b"2"
    one.remove("a/p")
    assert not one.put_version("a/p", b"4", found[1])
    assert one.read_version("a/p") is None


def test_one_writer_at_a_time_has_the_turn(writers: Writers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_store, "TURN_WAIT_SECONDS", 0.3)
    monkeypatch.setattr("syncer.snapshot.bucket_writer.TURN_WAIT_SECONDS", 0.3)
    one, other = writers("one"), writers("other")
    with one.turn(".staging/a/turn"):
        with pytest.raises(LockHeld, match="another run"):
            with other.turn(".staging/a/turn"):
                pass
        with other.turn(".staging/b/turn"):
            pass
    with other.turn(".staging/a/turn"):
        pass


def test_a_staged_folder_is_placed_set_aside_and_removed(one: Store) -> None:
    assert (one.claim_staging(".staging/x"), one.claim_staging(".staging/x")) == (True, False)
    put_staged(one, ".staging/x/_DONE", b"")
    put_staged(one, ".staging/x/part", b"1")
    assert one.exists(".staging/x/part")
    one.place_folder(".staging/x", "data/p=1/x")
    assert (one.names("data/p=1/x"), one.read("data/p=1/x/part")) == (["_DONE", "part"], b"1")
    assert (one.exists(".staging/x"), one.claim_staging(".staging/x")) == (False, True)
    one.set_aside("data/p=1/x", ".staging/aside")
    assert (one.exists("data/p=1/x"), one.exists("data")) == (False, one.exists("data"))
    one.remove(".staging")
    assert not one.exists(".staging")


def test_a_staging_folder_is_one_writers_only(writers: Writers) -> None:
    one, other = writers("one"), writers("other")
    assert (one.claim_staging(".staging/x"), other.claim_staging(".staging/x")) == (True, False)
    one.remove(".staging/x")
    assert other.claim_staging(".staging/y")


def test_a_staging_folder_that_is_emptied_is_never_free_for_another(writers: Writers) -> None:
    one, other = writers("one"), writers("other")
    one.claim_staging(".staging/x")
    put_staged(one, ".staging/x/half", b"1")
    one.claim_staging(".staging/x/parts")
    assert (one.empty_staging(".staging/x"), one.names(".staging/x"), one.exists(".staging/x")) == (True, [], True)
    assert (one.claim_staging(".staging/x/parts"), other.claim_staging(".staging/x")) == (True, False)
    assert one.empty_staging(".staging/new")
    assert (one.exists(".staging/new"), other.claim_staging(".staging/new")) == (True, False)


def test_a_staged_file_replaces_what_is_there(one: Store) -> None:
    one.put_new("a/f", b"old")
    one.claim_staging(".staging/x")
    put_staged(one, ".staging/x/f", b"new")
    one.place_file(".staging/x/f", "a/f")
    assert (one.read("a/f"), one.exists(".staging/x/f")) == (b"new", False)


def test_a_file_in_sight_is_renamed_and_replaces_what_is_there(one: Store) -> None:
    one.put_new("a/f d=1", b"new")
    one.put_new("a/g", b"old")
    one.place_file("a/f d=1", "a/g")
    assert (one.read("a/g"), one.names("a")) == (b"new", ["g"])


def test_a_large_file_arrives_whole(one: Store) -> None:
    data = random.Random(1).randbytes(20_000_001)
    one.claim_staging(".staging/x")
    put_staged(one, ".staging/x/f", data)
    one.place_file(".staging/x/f", "a/f")
    assert hashlib.sha256(one.read("a/f")).digest() == hashlib.sha256(data).digest()
    with one.open("a/f") as file:
        file.seek(9_999_999)
        assert file.read(5) == data[9_999_999:10_000_004]


def test_a_removed_folder_is_gone_with_all_it_holds(one: Store) -> None:
    for path in ("a/x/1", "a/x/y/2", "a/z"):
        one.put_new(path, b"1")
    one.remove("a/x")
    assert (one.exists("a/x"), one.exists("a/x/y/2"), one.names("a")) == (False, False, ["z"])


@pytest.mark.parametrize("path", ["", "/etc", "../x", "a/../../x", "a//b", "a/.", "a\0b"])
def test_no_path_leaves_the_destination(one: Store, path: str) -> None:
    with pytest.raises(ValueError, match="leaves the destination"):
        one.exists(path)


def test_a_snapshot_is_published_read_and_verified(one: Store) -> None:
    users = make_users(101)
    pages = spool([[*chunked(users[:-1], 20), [{"id": 5}, users[-1]]]])
    manifest = stage_snapshot(one, pages, rejects=[b'{"reason":"x","user":1}\n'])
    publish(one, manifest)
    publish(one, manifest)
    assert [check for check in verify_snapshot(one, ACCOUNT, manifest) if not check.ok] == []
    assert (list_accounts(one), list_snapshot_ids(one, ACCOUNT), read_pointer(one, ACCOUNT)) == (
        [ACCOUNT], [SNAPSHOT], SNAPSHOT,
    )  # fmt: skip
    latest = load_latest(one, ACCOUNT)
    assert latest is not None
    assert latest.manifest == manifest
    ids = [i for batch in read_users(one, manifest, ("id",)) for i in batch.column("id").to_pylist()]
    assert ids == sorted(str(user["id"]) for user in users)
    assert not one.exists(layout.staging_folder(ACCOUNT, SNAPSHOT))
    folder = layout.partition_folder("parquet", ACCOUNT, SNAPSHOT)
    assert one.names(folder) == ["_SUCCESS", "part-00000.parquet", "part-00001.parquet"]


def test_two_writers_take_different_ids_and_one_of_them_commits(writers: Writers) -> None:
    one, other = writers("one"), writers("other")
    started = datetime.fromisoformat(STARTED)
    first, second = (reserve_snapshot_id(target, ACCOUNT, started) for target in (one, other))
    assert (first, second) == (SNAPSHOT, layout.next_snapshot_id(SNAPSHOT))
    slow = stage_snapshot(one, spool([chunked(make_users(40), 20)]), snapshot_id=first)
    fast = stage_snapshot(other, spool([chunked(make_users(50), 20)]), snapshot_id=second)
    steps = publication(one, slow, after_previous=True)
    commit = [step.name for step in steps].index("commit")
    for step in steps[:commit]:
        step.run()
    for step in publication(other, fast, after_previous=True):
        step.run()
    with pytest.raises(DataRefused, match=f"another run published the snapshot {second} of account .* while this one"):
        steps[commit].run()
    assert list_snapshot_ids(one, ACCOUNT) == [second]
    assert not one.exists(layout.partition_folder("parquet", ACCOUNT, first))
    assert all(check.ok for check in verify_snapshot(one, ACCOUNT, fast))


def test_who_loses_to_a_writer_with_the_same_id_takes_nothing_of_it_back(writers: Writers) -> None:
    one, other = writers("one"), writers("other")
    pages = spool([chunked(make_users(40), 20)])
    slow = stage_snapshot(one, pages)
    steps = publication(one, slow, after_previous=True)
    commit = [step.name for step in steps].index("commit")
    for step in steps[:commit]:
        step.run()
    one.remove(layout.staging_folder(ACCOUNT, SNAPSHOT))
    fast = stage_snapshot(other, pages)
    publish(other, fast)
    with pytest.raises(DataRefused, match=f"another run published the snapshot {SNAPSHOT} of account"):
        steps[commit].run()
    assert all(check.ok for check in verify_snapshot(one, ACCOUNT, fast))


@pytest.mark.parametrize("changes", [1, 2])
def test_the_pointer_moves_although_another_changes_it_once(one: Store, changes: int) -> None:
    manifest = stage_snapshot(one, spool([chunked(make_users(40), 20)]))
    publish(one, manifest)
    pointer = layout.latest_path(ACCOUNT)
    left = list(range(changes))

    class Contended:
        """The same store, in which another writer is quicker with the pointer."""

        def __getattr__(self, name: str) -> Any:
            return getattr(one, name)

        def put_version(self, path: str, data: bytes, replaces: str | None) -> bool:
            if left:
                one.put_replace(pointer, b"{%d}" % left.pop())
            return one.put_version(path, data, replaces)

    if changes == 1:
        move_pointer(Contended(), manifest)
        assert read_pointer(one, ACCOUNT) == SNAPSHOT
    else:
        with pytest.raises(StorageFailed, match="was changed by others"):
            move_pointer(Contended(), manifest)


def test_pruning_that_ends_between_any_two_steps_is_finished_by_the_next_run(writers: Writers) -> None:
    one, policy, now = writers("one"), Policy(last=1), datetime(2026, 11, 24, tzinfo=UTC)
    ids = ["20261121T020000Z", "20261122T020000Z", SNAPSHOT]
    for snapshot_id in ids:
        manifest = stage_snapshot(
            one, spool([chunked(make_users(20), 10)]), snapshot_id=snapshot_id, formats=["parquet"]
        )
        publish(one, manifest)
    kept = [facts.path for facts in manifest.files]
    for ended in range(100):
        plan = plan_account(one, ACCOUNT, policy, now, timedelta(days=1))
        steps = removal(one, plan)
        if len(steps) <= 1:
            break
        for step in steps[: ended + 1]:
            step.run()
            whole = list_snapshot_ids(one, ACCOUNT)
            assert (whole[-1], read_pointer(one, ACCOUNT)) == (SNAPSHOT, SNAPSHOT)
            for manifest in (load_snapshot(one, ACCOUNT, snapshot_id).manifest for snapshot_id in whole):
                assert sum(batch.num_rows for batch in read_users(one, manifest)) == 20
    assert [one.size(path) is not None for path in kept] == [True]
    folder = layout.account_folder(ACCOUNT)
    assert [one.names(f"{folder}/{snapshot_id}") for snapshot_id in ids[:2]] == [["pruned.json"], ["pruned.json"]]
    assert one.names(f"parquet/account_sid={ACCOUNT}") == ["snapshot_date=2026-11-23"]
    assert all(check.ok for check in check_account(one, ACCOUNT))
