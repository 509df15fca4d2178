"""Publishing: readers see the old state or the new one, whatever dies and wherever."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from syncer.errors import DataRefused, StorageFailed
from syncer.snapshot import files, layout
from syncer.snapshot.local_store import LocalStore
from syncer.snapshot.manifest import Manifest, RejectsFacts
from syncer.snapshot.manifest_json import build, parse
from syncer.snapshot.pointer import read_pointer
from syncer.snapshot.publish import publication, publish
from syncer.snapshot.verify import verify_snapshot
from tests.failing_os import FailingOs, ShortOs
from tests.publish_crash import OLD, begin, stage, wrongs
from tests.snapshot_data import ACCOUNT, SNAPSHOT, chunked, make_users, spool, stage_snapshot, tree

LATEST = f"snapshots/account_sid={ACCOUNT}/latest.json"
NEW_MANIFEST = f"snapshots/account_sid={ACCOUNT}/{SNAPSHOT}/manifest.json"

DISK_ERRORS = (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT)
"""One after the other, a call each: what they have in common is tested where they are told apart."""


def staged(store: LocalStore, snapshot_id: str = SNAPSHOT, count: int = 50) -> Manifest:
    return stage_snapshot(store, spool([chunked(make_users(count), 20)]), snapshot_id=snapshot_id)


def test_a_published_snapshot_lies_where_the_contract_says(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    pages = spool([[*chunked(make_users(100), 20), [{"id": 5}, make_users(101)[-1]]]])
    manifest = stage_snapshot(store, pages, rejects=[b'{"reason":"x","user":1}\n'])
    assert publish(store, manifest) == NEW_MANIFEST
    place = f"account_sid={ACCOUNT}/snapshot_date=2026-11-23/snapshot_id={SNAPSHOT}"
    assert list(tree(tmp_path)) == [
        f"ndjson/{place}/_SUCCESS",
        f"ndjson/{place}/part-00000.ndjson.zst",
        f"ndjson/{place}/part-00001.ndjson.zst",
        f"parquet/{place}/_SUCCESS",
        f"parquet/{place}/part-00000.parquet",
        f"parquet/{place}/part-00001.parquet",
        NEW_MANIFEST,
        f"snapshots/account_sid={ACCOUNT}/{SNAPSHOT}/pages.parquet",
        f"snapshots/account_sid={ACCOUNT}/{SNAPSHOT}/rejects.ndjson",
        f"snapshots/account_sid={ACCOUNT}/{SNAPSHOT}/tree.parquet",
        LATEST,
    ]
    assert manifest.rejects == RejectsFacts(
        1, f"snapshots/account_sid={ACCOUNT}/{SNAPSHOT}/rejects.ndjson", 24, manifest.rejects.sha256
    )
    data = (tmp_path / NEW_MANIFEST).read_bytes()
    assert data == build(manifest)
    assert json.loads((tmp_path / LATEST).read_bytes()) == {
        "version": 1,
        "snapshot_id": SNAPSHOT,
        "manifest": NEW_MANIFEST,
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    assert all(check.ok for check in verify_snapshot(store, ACCOUNT, manifest))


def test_publishing_again_changes_nothing(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    manifest = staged(store)
    publish(store, manifest)
    before = tree(tmp_path)
    assert [step.name for step in publication(store, manifest)] == [
        "recognise the manifest", "move the pointer", "clean up",
    ]  # fmt: skip
    publish(store, replace(manifest, finished_at="2026-11-23T09:00:00Z"))
    assert tree(tmp_path) == before


def test_steps_come_in_the_order_of_the_promise(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    assert [step.name for step in publication(store, staged(store))] == [
        "check what is staged", "place parquet", "place ndjson", "place the page index", "place the hash tree",
        "place the rejects", "commit", "move the pointer", "clean up",
    ]  # fmt: skip


def test_a_manifest_of_another_run_is_never_replaced(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    publish(store, staged(store, count=30))
    before = tree(tmp_path)
    with pytest.raises(DataRefused, match=f"another run published the snapshot {SNAPSHOT}"):
        publish(store, staged(store, count=40))
    after = {path: data for path, data in tree(tmp_path).items() if not path.startswith(".staging/")}
    assert after == before


def test_a_manifest_that_appears_while_publishing_wins(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    manifest = staged(store)
    for step in publication(store, manifest):
        if step.name == "commit":
            store.put_new(NEW_MANIFEST, b"{}")
            with pytest.raises(DataRefused, match="is there already and cannot be read"):
                step.run()
            break
        step.run()
    assert (tmp_path / NEW_MANIFEST).read_bytes() == b"{}"
    assert read_pointer(store, ACCOUNT) is None


def test_older_leftovers_of_the_account_are_cleaned_up_and_others_stay(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.claim_staging(layout.staging_folder(ACCOUNT, OLD))
    store.claim_staging(layout.staging_folder(ACCOUNT, "20261124T020000Z"))
    store.claim_staging(layout.staging_folder("AC1", OLD))
    leftover = tmp_path / f"snapshots/account_sid={ACCOUNT}/.latest.json.0{files.TEMPORARY_SUFFIX}"
    files.make_folder(leftover.parent)
    leftover.write_bytes(b"half")
    publish(store, staged(store))
    assert store.names(f".staging/account_sid={ACCOUNT}") == ["20261124T020000Z"]
    assert store.names(".staging/account_sid=AC1") == [OLD]
    assert not leftover.exists()


def test_a_kill_at_any_instant_leaves_the_old_or_the_new_snapshot(tmp_path: Path) -> None:
    script = [sys.executable, "-m", "tests.publish_crash", str(tmp_path)]
    ran = subprocess.run(script, capture_output=True, text=True, timeout=300, cwd=Path(__file__).parent.parent)
    assert ran.returncode == 0, ran.stderr
    seen = json.loads(ran.stdout)
    assert seen["problems"] == []
    assert seen["steps"] >= 60
    assert 0 < seen["published"] < seen["steps"]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An old snapshot published and a new one staged, with what it has to become."""
    work = tmp_path_factory.mktemp("publish")
    begin(work / "template", work / "draft.json")
    shutil.copytree(work / "template", work / "complete")
    publish(LocalStore(work / "complete"), _draft(work))
    return work


def _draft(work: Path) -> Manifest:
    return parse((work / "draft.json").read_bytes())


def _failure(work: Callable[[], object]) -> str | None:
    try:
        work()
    except StorageFailed as failure:
        return failure.message
    return None


def test_a_disk_that_fails_anywhere_while_publishing_leaves_the_old_or_the_new_snapshot(
    tmp_path: Path, template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, whole, manifest = tmp_path / "root", tree(template / "complete"), _draft(template)
    for fail_at in range(1, 500):
        shutil.copytree(template / "template", root)
        failing = FailingOs(fail_at, DISK_ERRORS[fail_at % 4])
        with monkeypatch.context() as patch:
            patch.setattr(files, "os", failing)
            failure = _failure(lambda: publish(LocalStore(root), manifest))
        assert failure is None or str(root) in failure
        assert wrongs(root, whole) == []
        publish(LocalStore(root), manifest)
        assert tree(root) == whole
        shutil.rmtree(root)
        if failing.calls < fail_at:
            return
    pytest.fail("it never came through")


def test_a_disk_that_fails_anywhere_while_staging_changes_nothing_for_readers(
    tmp_path: Path, template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, draft = tmp_path / "root", tmp_path / "draft.json"
    shutil.copytree(template / "template", root)
    before = {path: data for path, data in tree(root).items() if not path.startswith(".staging/")}
    for fail_at in range(1, 500):
        failing = FailingOs(fail_at, DISK_ERRORS[fail_at % 4])
        with monkeypatch.context() as patch:
            patch.setattr(files, "os", failing)
            failure = _failure(lambda: stage(root, draft))
        assert failure is None or str(root) in failure
        assert {path: data for path, data in tree(root).items() if not path.startswith(".staging/")} == before
        if failing.calls < fail_at:
            break
    publish(LocalStore(root), _draft(tmp_path))
    assert tree(root) == tree(template / "complete")


def test_a_disk_that_takes_half_of_every_write_changes_nothing(
    tmp_path: Path, template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "os", ShortOs())
    begin(tmp_path / "root", tmp_path / "draft.json")
    publish(LocalStore(tmp_path / "root"), _draft(tmp_path))
    assert tree(tmp_path / "root") == tree(template / "complete")


def test_a_failed_stage_is_never_published_as_if_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LocalStore(tmp_path)
    failing = FailingOs(40, errno.ENOSPC)
    monkeypatch.setattr(files, "os", failing)
    with pytest.raises(StorageFailed, match="the disk is full"):
        staged(store)
    parts = [p for p in tmp_path.rglob("part-*") if p.stat().st_size == 0]
    assert parts == []


def test_a_partition_that_a_killed_try_placed_is_replaced_by_what_was_staged_anew(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    killed = publication(store, staged(store, count=30))
    for step in killed[:3]:
        step.run()
    manifest = staged(store, count=40)
    publish(store, manifest)
    assert [check.name for check in verify_snapshot(store, ACCOUNT, manifest) if not check.ok] == []
    assert store.names(f".staging/account_sid={ACCOUNT}") == []


def test_readers_may_read_what_the_umask_allows(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        store = LocalStore(tmp_path / "root")
        publish(store, staged(store))
    finally:
        os.umask(before)
    modes = {p.is_dir(): p.stat().st_mode & 0o777 for p in (tmp_path / "root").rglob("*")}
    assert modes == {True: 0o755, False: 0o644}


def test_parts_that_were_removed_before_the_commit_are_missed(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    manifest = staged(store)
    for step in publication(store, manifest):
        if step.name == "commit":
            store.remove(layout.partition_folder("ndjson", ACCOUNT, SNAPSHOT))
            with pytest.raises(StorageFailed, match=r"part-00000.ndjson.zst was removed"):
                step.run()
            break
        step.run()
    assert not (tmp_path / NEW_MANIFEST).exists()
