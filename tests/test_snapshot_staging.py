"""Choosing an id and putting a snapshot together out of sight."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from syncer.errors import StorageFailed
from syncer.snapshot import layout
from syncer.snapshot.local_store import LocalStore
from syncer.snapshot.manifest import RejectsFacts
from syncer.snapshot.staging import Staging, reserve_snapshot_id
from tests.snapshot_data import ACCOUNT, SNAPSHOT, tree

START = datetime(2026, 11, 23, 2, 0, 0, tzinfo=UTC)


def test_an_id_is_moved_on_by_a_second_while_anything_of_it_is_there(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.put_new(layout.manifest_path(ACCOUNT, SNAPSHOT), b"{}")
    store.put_new(layout.partition_folder("parquet", ACCOUNT, "20261123T020001Z") + "/part", b"")
    store.put_new(layout.partition_folder("ndjson", ACCOUNT, "20261123T020002Z") + "/part", b"")
    store.claim_staging(layout.staging_folder(ACCOUNT, "20261123T020003Z"))
    found = [reserve_snapshot_id(store, ACCOUNT, START) for _ in range(2)]
    assert found == ["20261123T020004Z", "20261123T020005Z"]
    assert reserve_snapshot_id(store, "AC1", START) == SNAPSHOT


def test_beginning_again_drops_what_was_staged_before(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    staging = Staging(store, ACCOUNT, SNAPSHOT)
    store.put_new(f"{staging.parts('parquet')}/part-00000.parquet", b"half")
    staging.begin()
    assert tree(tmp_path) == {}
    assert store.exists(staging.folder)


def test_rejects_are_kept_a_line_each_and_no_file_when_there_are_none(tmp_path: Path) -> None:
    staging = Staging(LocalStore(tmp_path), ACCOUNT, SNAPSHOT)
    staging.begin()
    assert staging.write_rejects(iter([])) == RejectsFacts()
    facts = staging.write_rejects([b"{}\n", b"{}\n"])
    assert (facts.count, facts.path, facts.bytes) == (2, layout.rejects_path(ACCOUNT, SNAPSHOT), 6)
    assert tree(tmp_path) == {staging.rejects: b"{}\n{}\n"}


@pytest.mark.parametrize("lines", [0, 1])
def test_a_failure_while_writing_rejects_leaves_no_file(tmp_path: Path, lines: int) -> None:
    def broken() -> Iterator[bytes]:
        yield from [b"{}\n"] * lines
        raise StorageFailed("the spool is damaged")

    staging = Staging(LocalStore(tmp_path), ACCOUNT, SNAPSHOT)
    staging.begin()
    with pytest.raises(StorageFailed, match="the spool"):
        staging.write_rejects(broken())
    assert tree(tmp_path) == {}
