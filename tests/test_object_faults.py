"""Publishing to an object store that fails: whatever request it is, no manifest ever names what is not whole."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from syncer.errors import LockHeld, StorageFailed
from syncer.snapshot import bucket as bucket_room
from syncer.snapshot import bucket_writer, layout
from syncer.snapshot.catalog import list_manifests
from syncer.snapshot.manifest import Manifest
from syncer.snapshot.object_address import Patience, connect, parse_address
from syncer.snapshot.object_store import ObjectStore
from syncer.snapshot.pointer import read_pointer
from syncer.snapshot.publish import clean_up, publish
from tests import clouds
from tests.fault_proxy import Fault, FaultProxy, fault_proxy
from tests.snapshot_data import ACCOUNT, SNAPSHOT, chunked, make_users, spool, stage_snapshot

OLD = "20261122T020000Z"
NO_PATIENCE = Patience(connect_seconds=2, request_seconds=2, retries=0, retry_seconds=1)


@pytest.fixture(scope="module")
def proxy() -> Iterator[FaultProxy]:
    with clouds.s3() as cloud, fault_proxy(cloud.endpoint) as running:
        yield running


def bucket(proxy: FaultProxy, prefix: str, staging: Path, patience: Patience = NO_PATIENCE) -> ObjectStore:
    address = parse_address(f"s3://{clouds.BUCKET}/{prefix}")
    return ObjectStore(connect(address, patience, clouds.s3_env(proxy.endpoint)), str(address), staging)


@pytest.fixture
def prefix(proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> str:
    proxy.reset(lambda number, method, path: "pass")
    for name, value in clouds.s3_env(proxy.endpoint).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(bucket_room, "CHUNK_BYTES", 5 << 20)
    monkeypatch.setattr(bucket_writer, "TURN_WAIT_SECONDS", 0.2)
    return uuid4().hex


def expect_only_whole_snapshots(store: ObjectStore) -> list[str]:
    """What a manifest names is there, byte for byte; and the pointer names a manifest."""
    found = []
    for published in list_manifests(store, ACCOUNT):
        manifest = published.manifest
        for facts in (*manifest.files, manifest.page_index, manifest.tree):
            assert facts is not None
            assert hashlib.sha256(store.read(facts.path)).hexdigest() == facts.sha256
        found.append(manifest.snapshot_id)
    pointer = read_pointer(store, ACCOUNT)
    assert pointer is None or pointer in found
    return found


def staged(store: ObjectStore, snapshot_id: str, count: int) -> Manifest:
    return stage_snapshot(store, spool([chunked(make_users(count), 20)]), snapshot_id=snapshot_id, formats=("parquet",))


FAULTS: tuple[Fault, ...] = (500, 503, 412, 403, 404, "cut", "lost")
SHIFTS = range(len(FAULTS)) if os.environ.get("EVERY_FAULT") else (0,)
"""Each request of a publication meets one of the faults, or with ``EVERY_FAULT=1`` each of them: minutes."""


@pytest.mark.parametrize("shift", SHIFTS)
def test_a_fault_at_any_request_leaves_whole_snapshots_and_the_next_try_finishes(
    proxy: FaultProxy, prefix: str, tmp_path: Path, shift: int
) -> None:
    template = tmp_path / "template"
    draft = staged(bucket(proxy, f"{prefix}/template", template), SNAPSHOT, 50)
    number, failed, reached = 0, 0, True
    while reached:
        number += 1
        shutil.copytree(template, tmp_path / str(number))
        store = bucket(proxy, f"{prefix}/{number}", tmp_path / str(number))
        failed += is_refused(proxy, store, draft, number, FAULTS[(number + shift) % len(FAULTS)])
        reached = len(proxy.seen) >= number
        proxy.reset(lambda n, method, path: "pass")
        expect_only_whole_snapshots(store)
        publish(store, draft)
        assert (expect_only_whole_snapshots(store), read_pointer(store, ACCOUNT)) == ([SNAPSHOT], SNAPSHOT), number
    assert number > 25
    assert failed > number // 2


def is_refused(proxy: FaultProxy, store: ObjectStore, draft: Manifest, number: int, fault: Fault) -> bool:
    """Whether publishing fails, in one sentence without foreign text, when its n-th request does."""
    proxy.reset(lambda n, method, path: fault if n == number else "pass")
    try:
        publish(store, draft)
    except (StorageFailed, LockHeld) as error:
        text = str(error)
    else:
        return False
    assert not any(foreign in text for foreign in ("http", "xml", "Debug", clouds.CANARY))
    return True


def test_one_fault_is_not_even_noticed_with_some_patience(proxy: FaultProxy, prefix: str, tmp_path: Path) -> None:
    store = bucket(proxy, prefix, tmp_path / "s", replace(NO_PATIENCE, retries=3, retry_seconds=20, pause_seconds=0.02))
    draft = staged(store, SNAPSHOT, 50)
    proxy.reset(lambda n, method, path: 503 if n % 2 else "pass")
    publish(store, draft)
    assert expect_only_whole_snapshots(store) == [SNAPSHOT]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (503, "cannot be written: the store answered 503"),
        (403, "cannot be written: access denied"),
        ("cut", "cannot be written: the store cannot be reached"),
        ("hold", "cannot be written: the store did not answer in time"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    proxy: FaultProxy, prefix: str, tmp_path: Path, fault: Fault, reason: str
) -> None:
    store = bucket(proxy, prefix, tmp_path / "s")
    proxy.reset(lambda n, method, path: fault)
    with pytest.raises(StorageFailed) as caught:
        store.put_new("a/b", b"1")
    assert caught.value.message == f"s3://{clouds.BUCKET}/{prefix}/a/b {reason}"
    assert caught.value.__cause__ is None


def test_a_bucket_that_is_not_there_is_named(proxy: FaultProxy, prefix: str) -> None:
    store = ObjectStore(connect(parse_address("s3://nowhere"), NO_PATIENCE), "s3://nowhere")
    for ask in (lambda: store.read("a"), lambda: store.names("a"), lambda: store.put_new("a", b"")):
        with pytest.raises(
            StorageFailed, match=r"^s3://nowhere/a cannot be \w+: the bucket or container does not exist;"
        ):
            ask()


def test_a_claim_that_goes_before_it_is_read_was_lost_and_nothing_has_failed(
    proxy: FaultProxy, prefix: str, tmp_path: Path
) -> None:
    one, other = (bucket(proxy, prefix, tmp_path / name) for name in ("one", "other"))
    one.claim_staging(".staging/x")
    proxy.reset(lambda number, method, path: 404 if method == "GET" else "pass")
    assert not other.claim_staging(".staging/x")
    assert [entry.partition(" ")[0] for entry in proxy.seen] == ["PUT", "GET"]
    proxy.reset(lambda number, method, path: "pass")
    one.remove(".staging/x")
    assert other.claim_staging(".staging/x")


def test_what_another_has_claimed_is_not_cleaned_up(proxy: FaultProxy, prefix: str, tmp_path: Path) -> None:
    one, other, third = (bucket(proxy, prefix, tmp_path / name) for name in ("one", "other", "third"))
    folder = layout.staging_folder(ACCOUNT, SNAPSHOT)
    assert (one.claim_staging(folder), other.claim_staging(folder), other.empty_staging(folder)) == (True, False, False)
    clean_up(other, ACCOUNT, SNAPSHOT)
    assert (third.claim_staging(folder), one.empty_staging(folder)) == (False, True)


def test_an_upload_that_is_stopped_leaves_nothing(proxy: FaultProxy, prefix: str, tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop_late(blocks: object) -> Iterator[bytes]:
        for number, block in enumerate(blocks):  # type: ignore[arg-type,var-annotated]
            if number == 9:
                raise Stopped
            yield block

    address = parse_address(f"s3://{clouds.BUCKET}/{prefix}")
    store = ObjectStore(connect(address, NO_PATIENCE), str(address), tmp_path / "s", stop_late)  # type: ignore[arg-type]
    store.claim_staging(".staging/x")
    store.staging_path(".staging/x/f").write_bytes(bytes(20 << 20))
    with pytest.raises(Stopped):
        store.place_file(".staging/x/f", "a/f")
    assert not store.exists("a")
    assert [entry for entry in proxy.seen if entry.startswith("DELETE") and "uploadId" in entry] != []


def test_an_object_that_reads_back_otherwise_is_refused(
    proxy: FaultProxy, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = bucket(proxy, prefix, tmp_path / "s")
    store.claim_staging(".staging/x")
    store.staging_path(".staging/x/f").write_bytes(b"right")
    monkeypatch.setattr(bucket_room, "hash_file", lambda file: (5, "other"))
    with pytest.raises(StorageFailed, match="a/f does not hold what was uploaded"):
        store.place_file(".staging/x/f", "a/f")


def test_the_turn_of_a_dead_run_is_taken_over(proxy: FaultProxy, prefix: str, tmp_path: Path) -> None:
    first = bucket(proxy, prefix, tmp_path / "one")
    first._writer.take_turn(".staging/a/turn")  # and dies
    with bucket(proxy, prefix, tmp_path / "one").turn(".staging/a/turn"):
        pass
    first._writer.take_turn(".staging/a/turn")
    other = bucket(proxy, prefix, tmp_path / "other")
    with pytest.raises(LockHeld, match=r"another run is publishing to s3://.*: process \d+ on .*, since 20"):
        with other.turn(".staging/a/turn"):
            pass


def test_an_old_turn_is_a_dead_runs(
    proxy: FaultProxy, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket(proxy, prefix, tmp_path / "one")._writer.take_turn(".staging/a/turn")
    monkeypatch.setattr(bucket_writer, "TURN_AGE_MAX", timedelta(seconds=-5))
    other = bucket(proxy, prefix, tmp_path / "other")
    with other.turn(".staging/a/turn"):
        pass
    assert not other.exists(".staging/a/turn")


def test_a_store_that_does_not_keep_conditions_is_found_by_the_check(
    proxy: FaultProxy, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = bucket(proxy, prefix, tmp_path / "s")
    store.check_access()
    monkeypatch.setattr(store._bucket, "put", lambda path, data, mode: True)
    with pytest.raises(StorageFailed, match="replaces objects that should only be created"):
        store.check_access()
