"""``latest.json``: it names the newest snapshot, whatever lay there before."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from syncer.snapshot.catalog import load_latest
from syncer.snapshot.local_store import LocalStore
from syncer.snapshot.manifest import Manifest
from syncer.snapshot.pointer import read_pointer
from syncer.snapshot.publish import publish
from tests.publish_crash import OLD
from tests.snapshot_data import ACCOUNT, SNAPSHOT, chunked, make_users, spool, stage_snapshot

LATEST = f"snapshots/account_sid={ACCOUNT}/latest.json"
NEW_MANIFEST = f"snapshots/account_sid={ACCOUNT}/{SNAPSHOT}/manifest.json"


def staged(store: LocalStore, snapshot_id: str = SNAPSHOT) -> Manifest:
    return stage_snapshot(store, spool([chunked(make_users(50), 20)]), snapshot_id=snapshot_id)


def test_the_pointer_never_goes_back_in_time(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    publish(store, staged(store))
    publish(store, staged(store, OLD))
    assert read_pointer(store, ACCOUNT) == SNAPSHOT
    latest = load_latest(store, ACCOUNT)
    assert latest is not None
    assert latest.manifest.snapshot_id == SNAPSHOT


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"snapshot_id":"later"}', b'{"snapshot_id":7}'])
def test_a_pointer_that_cannot_be_read_is_replaced(tmp_path: Path, content: bytes) -> None:
    store = LocalStore(tmp_path)
    store.put_new(LATEST, content)
    assert read_pointer(store, ACCOUNT) is None
    publish(store, staged(store))
    assert read_pointer(store, ACCOUNT) == SNAPSHOT


def test_the_pointer_is_plain_json(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    publish(store, staged(store))
    assert orjson.loads(store.read(LATEST))["manifest"] == NEW_MANIFEST
