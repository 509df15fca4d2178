"""The partition of changes: written beside the parts, published with them, verified, and found by readers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from syncer.errors import DataRefused
from syncer.model import Check
from syncer.snapshot import layout
from syncer.snapshot.catalog import load_snapshot
from syncer.snapshot.changes import ChangesSink
from syncer.snapshot.local_store import LocalStore
from syncer.snapshot.manifest import Manifest, Previous
from syncer.snapshot.manifest_json import build, parse
from syncer.snapshot.merge import Merge
from syncer.snapshot.publish import publication, publish
from syncer.snapshot.reading import read_users
from syncer.snapshot.sinks import write_parts
from syncer.snapshot.staging import Staging
from syncer.snapshot.verify import verify_snapshot
from syncer.snapshot.verify_changes import ERASED_CHECK, _same_rows
from tests.snapshot_data import ACCOUNT, SMALL, SNAPSHOT, User, chunked, make_users, merge, spool, stage_snapshot

LATER = "20261124T020000Z"


def publish_first(store: LocalStore, users: list[User]) -> Manifest:
    manifest = stage_snapshot(store, spool([chunked(users, 20)]))
    publish(store, manifest)
    return manifest


def stage_second(
    store: LocalStore, users: list[User], first: Manifest, is_erased: Callable[[str], bool] | None = None
) -> Manifest:
    """As an export with ``--changes`` does: the sink sees the rows that go into the parts."""
    pages = spool([chunked(users, 20)])
    manifest = stage_snapshot(store, pages, snapshot_id=LATER, previous=Previous(first.snapshot_id, "0" * 64))
    staging = Staging(store, ACCOUNT, LATER)
    sink = staging.changes_sink(first, is_erased)
    _feed(sink, merge(pages, store.staging_path(staging.folder) / "again"))
    return replace(manifest, changes=sink.finish())


def _feed(sink: ChangesSink, merged: Merge[Any]) -> None:
    write_parts(merged.tables(), [], SMALL, [sink])


def changed(users: list[User]) -> list[User]:
    later = [dict(user) for user in users[10:]]
    later[0]["updatedAt"] = "2031-01-01T00:00:00Z"
    later[1]["deletedAt"] = "2031-01-01T00:00:00Z" if later[1]["deletedAt"] is None else None
    return [*later, *make_users(len(users) + 5)[len(users) :]]


@pytest.fixture
def users() -> list[User]:
    return make_users(100)


def test_the_changes_are_published_with_their_snapshot_and_a_reader_finds_them(
    tmp_path: Path, users: list[User]
) -> None:
    store = LocalStore(tmp_path)
    first = publish_first(store, users)
    manifest = stage_second(store, changed(users), first)
    publish(store, manifest)
    folder = tmp_path / layout.changes_folder(ACCOUNT, LATER)
    assert sorted(p.name for p in folder.iterdir()) == ["_SUCCESS", "part-00000.parquet"]
    query = "SELECT change, count(*) FROM read_parquet(?, hive_partitioning=true) GROUP BY ALL ORDER BY ALL"
    counted = duckdb.connect().execute(query, [str(tmp_path / "changes" / "**" / "*.parquet")]).fetchall()
    assert manifest.changes is not None
    assert dict(counted) == {k: n for k, n in manifest.changes.counts.items() if n and k != "unchanged"}
    assert manifest.changes.counts["created"] == 5
    assert manifest.changes.counts["vanished"] + manifest.changes.counts["purged"] == 10
    assert parse(build(manifest)) == manifest


def failed(store: LocalStore, manifest: Manifest) -> dict[str, str]:
    checks = verify_snapshot(store, ACCOUNT, manifest)
    return {c.name: c.detail for c in checks if not c.ok and c.name != "previous"}


def test_verify_reads_the_changes_and_names_what_is_wrong(tmp_path: Path, users: list[User]) -> None:
    store = LocalStore(tmp_path)
    first = publish_first(store, users)
    manifest = stage_second(store, changed(users), first)
    publish(store, manifest)
    assert failed(store, manifest) == {}
    facts = manifest.changes
    assert facts is not None
    other = replace(facts, previous=LATER)
    assert failed(store, replace(manifest, changes=other)) == {
        "changes": "they are not those since the previous snapshot"
    }
    counted = replace(facts, counts={**facts.counts, "created": 9})
    assert failed(store, replace(manifest, changes=counted)) == {
        "changes": "their rows say 5 created, 1 deleted, 1 purged, 1 updated, 9 vanished, and the manifest 9 created,"
        " 1 deleted, 1 purged, 1 updated, 9 vanished; their counts do not add up to the snapshot's users"
    }
    elsewhere = replace(facts, files=(replace(facts.files[0], path="x/part"),))
    assert failed(store, replace(manifest, changes=elsewhere)) == {
        "changes": "their parts are not in the snapshot's folder, or not called as parts are",
        "folders": f"{facts.files[0].path} is foreign",
        "x/part": "the part is not there",
    }
    part = tmp_path / facts.files[0].path
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)
    assert failed(store, manifest) == {facts.files[0].path: "the part has another sha256"}


def test_changes_from_which_erased_users_were_left_out_are_sound_where_the_manifest_says_so(
    tmp_path: Path, users: list[User]
) -> None:
    store = LocalStore(tmp_path)
    first = publish_first(store, users)
    erased = {str(users[2]["id"]), str(users[9]["id"])}
    manifest = stage_second(store, changed(users), first, erased.__contains__)
    before = Previous(first.snapshot_id, load_snapshot(store, ACCOUNT, first.snapshot_id).sha256)
    manifest = replace(manifest, previous=before)
    publish(store, manifest)
    says = f"they are not those between {first.snapshot_id} and this snapshot"
    assert failed(store, manifest) == {"changes_between": says}
    knowing = replace(manifest, checks=(*manifest.checks, Check(ERASED_CHECK, True, "2 left out")))
    assert failed(store, knowing) == {}
    part = tmp_path / knowing.changes.files[0].path  # type: ignore[union-attr]
    table = pq.read_table(part, partitioning=None)
    for other in (
        table.slice(1),
        table.set_column(1, table.schema.field(1), pa.array([f"{i}x" for i in table["id"].to_pylist()])),
    ):
        assert not _same_rows([other], [table.filter(pc.equal(table["change"], "created"))], erased=True)
    assert _same_rows([], [table.filter(pc.equal(table["change"], "vanished"))], erased=True)
    assert not _same_rows([], [table.slice(0, 0), table], erased=True)


def test_without_any_change_there_is_a_part_without_rows(tmp_path: Path, users: list[User]) -> None:
    store = LocalStore(tmp_path)
    first = publish_first(store, users)
    manifest = stage_second(store, users, first)
    assert manifest.changes is not None
    assert [facts.rows for facts in manifest.changes.files] == [0]
    assert manifest.changes.counts["unchanged"] == 100
    publish(store, manifest)
    assert pq.ParquetFile(tmp_path / manifest.changes.files[0].path).metadata.num_rows == 0


def test_parts_have_a_bounded_size(tmp_path: Path, users: list[User]) -> None:
    store = LocalStore(tmp_path)
    first = publish_first(store, users)
    staged = tmp_path / "staged"
    staged.mkdir()
    sink = ChangesSink(read_users(store, first), first.snapshot_id, staged, "changes/x", part_rows=16)
    facts = sink.finish()
    assert sum(part.rows for part in facts.files) == 100
    assert [part.path for part in facts.files][:2] == ["changes/x/part-00000.parquet", "changes/x/part-00001.parquet"]
    assert len(facts.files) > 1
    assert all(a.max_id < b.min_id for a, b in zip(facts.files, facts.files[1:], strict=False))  # type: ignore[operator]


def test_an_unreadable_previous_snapshot_refuses_the_changes(tmp_path: Path, users: list[User]) -> None:
    store = LocalStore(tmp_path)
    first = publish_first(store, users)
    (tmp_path / first.files[0].path).unlink()
    with pytest.raises(DataRefused, match=r"the changes since the previous snapshot cannot be told: parquet/.* is not"):
        stage_second(store, users, first)


def test_publishing_killed_between_any_two_steps_is_finished_by_a_second_run(tmp_path: Path, users: list[User]) -> None:
    names = []
    for kill in range(20):
        store = LocalStore(tmp_path / str(kill))
        first = publish_first(store, users)
        manifest = stage_second(store, changed(users), first)
        steps = publication(store, manifest)
        names = [step.name for step in steps]
        for step in steps[:kill]:
            step.run()
        publish(store, manifest)
        assert failed(store, manifest) == {}
        if kill > len(steps):
            break
    assert names.index("place the changes") < names.index("commit")


def test_changes_of_a_killed_try_are_taken_back_when_none_are_wanted_any_more(
    tmp_path: Path, users: list[User]
) -> None:
    store = LocalStore(tmp_path)
    first = publish_first(store, users)
    for step in publication(store, stage_second(store, changed(users), first)):
        if step.name == "commit":
            break
        step.run()
    assert store.exists(layout.changes_folder(ACCOUNT, LATER))
    publish(store, stage_snapshot(store, spool([chunked(users, 20)]), snapshot_id=LATER))
    assert not store.exists(layout.changes_folder(ACCOUNT, LATER))
    assert first.snapshot_id == SNAPSHOT
