"""Parts registered as a Delta table, read back by delta's own reader."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest
from deltalake import DeltaTable, write_deltalake

from syncer.commands.main import main
from tests.loaded_data import FIRST, SECOND, THIRD, publish_users, users_table


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exports")
    publish_users(folder, 300, FIRST)
    publish_users(folder, 500, SECOND, changed_each=10, formats=("parquet", "ndjson"))
    publish_users(folder, 4, THIRD, formats=("ndjson",))
    return folder


def load(exports: Path, table: Path, snapshot: str, *flags: str) -> int:
    return main(["load", f"delta:{table}", snapshot, "--destination", str(exports), *flags])


def rows(table: Path, version: int | None = None) -> object:
    return DeltaTable(str(table), version=version).to_pyarrow_table().sort_by("id").to_pylist()


def test_a_table_is_the_newest_snapshot_and_its_versions_are_those_before(exports: Path, tmp_path: Path) -> None:
    table = tmp_path / "users"
    assert [load(exports, table, snapshot) for snapshot in (FIRST, SECOND, SECOND)] == [0, 0, 0]
    assert rows(table) == users_table(range(500), 10).to_pylist()
    assert rows(table, 0) == users_table(range(300)).to_pylist()
    delta = DeltaTable(str(table))
    assert delta.version() == 1
    assert [commit.get("syncer.snapshot_id") for commit in delta.history()] == [SECOND, FIRST]
    fields = [(f.name, f.nullable) for f in delta.schema().fields]
    assert fields == [
        ("id", False),
        ("created_at", False),
        ("updated_at", False),
        ("deleted_at", True),
        ("extra", True),
    ]


def test_the_parts_are_linked_and_outlive_what_delta_removes(exports: Path, tmp_path: Path) -> None:
    table = tmp_path / "users"
    load(exports, table, FIRST)
    part = next((exports / "parquet").rglob(f"snapshot_id={FIRST}/*.parquet"))
    assert [path.samefile(part) for path in table.glob("*.parquet")] == [True]
    load(exports, table, SECOND)
    DeltaTable(str(table)).vacuum(0, enforce_retention_duration=False, dry_run=False)
    assert [path.name[:16] for path in table.glob("*.parquet")] == [SECOND]
    assert part.exists()


def test_parts_on_another_disk_are_copied_and_what_a_killed_copy_left_goes_after_a_day(
    exports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other_disk(*paths: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    table = tmp_path / "users"
    load(exports, table, FIRST)
    for name, age_seconds in (("old", 90_000), ("new", 60)):
        leftover = table / f".{name}.syncer-tmp"
        leftover.write_bytes(b"half")
        os.utime(leftover, (time.time() - age_seconds,) * 2)
    monkeypatch.setattr("syncer.load.into_delta.os.link", other_disk)
    assert load(exports, table, SECOND) == 0
    assert rows(table) == users_table(range(500), 10).to_pylist()
    part = next((exports / "parquet").rglob(f"snapshot_id={SECOND}/*.parquet"))
    assert [path.samefile(part) for path in table.glob(f"{SECOND}*")] == [False]
    assert [path.name for path in table.glob(".*.syncer-tmp")] == [".new.syncer-tmp"]


def test_links_of_a_load_that_was_killed_before_its_commit_are_taken_up(exports: Path, tmp_path: Path) -> None:
    table, other = tmp_path / "users", tmp_path / "other"
    load(exports, table, FIRST)
    load(exports, other, SECOND)
    for path in other.glob("*.parquet"):
        os.link(path, table / path.name)
    assert load(exports, table, SECOND) == 0
    assert rows(table) == users_table(range(500), 10).to_pylist()


def test_an_older_snapshot_needs_to_be_wanted(
    exports: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "users"
    load(exports, table, SECOND)
    assert load(exports, table, FIRST) == 5
    assert f"{table} holds {SECOND}, which is newer than {FIRST}; give --allow-older" in capsys.readouterr().err
    assert load(exports, table, FIRST, "--allow-older") == 0
    assert rows(table) == users_table(range(300)).to_pylist()


def test_a_history_has_a_partition_for_each_snapshot(exports: Path, tmp_path: Path) -> None:
    table = tmp_path / "users"
    assert [load(exports, table, s, "--mode", "append-history") for s in (SECOND, FIRST, SECOND)] == [0, 0, 0]
    counts = DeltaTable(str(table)).to_pyarrow_table().group_by("snapshot_id").aggregate([("id", "count")]).sort_by(
        "snapshot_id"
    )  # fmt: skip
    assert counts.to_pylist() == [
        {"snapshot_id": FIRST, "id_count": 300},
        {"snapshot_id": SECOND, "id_count": 500},
    ]


@pytest.mark.parametrize(
    ("snapshot", "flags", "told"),
    [
        (FIRST, ["--mode", "scd2"], "a Delta table takes snapshots as they are; use --mode replace or append-history"),
        (THIRD, [], "the snapshot has no Parquet parts to register; export with --format parquet"),
    ],
)
def test_what_a_delta_table_cannot_take_is_wrong_usage(
    snapshot: str, flags: list[str], told: str, exports: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert load(exports, tmp_path / "users", snapshot, *flags) == 2
    assert capsys.readouterr().err == f"syncer: error: {told}\n"
    assert not (tmp_path / "users").exists()


def test_a_table_of_somebody_else_is_left_alone(
    exports: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "users"
    write_deltalake(str(table), users_table(range(3)))
    assert load(exports, table, FIRST) == 2
    assert "holds what `syncer load` did not put there; give another folder" in capsys.readouterr().err
    assert DeltaTable(str(table)).version() == 0


def test_a_commit_between_reading_and_writing_is_noticed(
    exports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from syncer.load import into_delta

    table = tmp_path / "users"
    load(exports, table, FIRST)
    place = into_delta._place

    def slow_place(*what: object) -> str:
        monkeypatch.setattr(into_delta, "_place", place)
        load(exports, table, SECOND)
        return place(*what)  # type: ignore[arg-type]

    monkeypatch.setattr(into_delta, "_place", slow_place)
    assert load(exports, table, SECOND) == 7
    assert f"{table} was changed by somebody else meanwhile; run again" in capsys.readouterr().err
    assert rows(table) == users_table(range(500), 10).to_pylist()


def test_a_table_that_another_load_has_made_meanwhile_is_noticed(
    exports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "users"
    load(exports, table, FIRST)
    monkeypatch.setattr(DeltaTable, "is_deltatable", lambda *_: False)
    assert load(exports, table, SECOND) == 7
    assert f"{table} was changed by somebody else meanwhile; run again" in capsys.readouterr().err
    assert rows(table) == users_table(range(300)).to_pylist()
