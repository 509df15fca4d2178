"""What is staged is read again before anybody sees it: damage, or a manifest that says something else, stops it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from syncer.errors import DataRefused, StorageFailed
from syncer.snapshot import layout
from syncer.snapshot.local_store import LocalStore
from syncer.snapshot.manifest import Manifest
from syncer.snapshot.publish import publish
from tests.snapshot_data import ACCOUNT, SNAPSHOT, chunked, make_users, spool, stage_snapshot, tree


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("damage", [_flip, _cut, Path.unlink])
@pytest.mark.parametrize(
    "name", ["parquet/part-00000.parquet", "ndjson/part-00001.ndjson.zst", "pages.parquet", "rejects.ndjson"]
)
def test_a_staged_file_that_is_not_what_was_written_stops_it(
    tmp_path: Path, damage: Callable[[Path], None], name: str
) -> None:
    store = LocalStore(tmp_path)
    manifest = stage_snapshot(store, spool([chunked(make_users(100), 20)]), rejects=[b"{}\n"])
    damage(tmp_path / layout.staging_folder(ACCOUNT, SNAPSHOT) / name)
    with pytest.raises((DataRefused, StorageFailed)):
        publish(store, manifest)
    assert {path.partition("/")[0] for path in tree(tmp_path)} == {".staging"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: replace(m, users=49), "the staged parquet parts hold 50 users instead of 49"),
        (lambda m: replace(m, deleted_users=9), "the staged parts hold 4 deleted users instead of 9"),
        (lambda m: replace(m, files=(replace(m.files[0], rows=51), *m.files[1:])), "has 50 rows instead of 51"),
        (lambda m: replace(m, files=(*m.files[:-1], replace(m.files[-1], rows=51))), "has 50 rows instead of 51"),
        (lambda m: replace(m, files=(replace(m.files[0], max_id="x"), *m.files[1:])), "other smallest and largest ids"),
        (lambda m: replace(m, files=(m.files[0], *m.files)), "is not in strictly ascending order of ids"),
    ],
)
def test_a_manifest_that_says_more_than_the_parts_hold_is_not_published(
    tmp_path: Path, change: Callable[[Manifest], Manifest], message: str
) -> None:
    store = LocalStore(tmp_path)
    with pytest.raises(DataRefused) as caught:
        publish(store, change(stage_snapshot(store, spool([chunked(make_users(50), 20)]))))
    assert message in caught.value.message
    assert {path.partition("/")[0] for path in tree(tmp_path)} == {".staging"}
