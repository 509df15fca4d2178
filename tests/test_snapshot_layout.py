"""Paths below a destination: fixed names, and nothing that leaves their folder."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from syncer.errors import UsageError
from syncer.snapshot import layout

SID = "AC" + "0" * 32
ID = "20261123T020000Z"


def test_a_snapshot_is_named_by_its_start_in_utc() -> None:
    started = datetime(2026, 11, 23, 3, 30, tzinfo=timezone(timedelta(hours=1, minutes=30)))
    assert layout.snapshot_id(started) == ID
    assert layout.snapshot_date(ID) == "2026-11-23"


def test_the_next_id_is_a_second_later_also_over_a_day() -> None:
    assert layout.next_snapshot_id("20261231T235959Z") == "20270101T000000Z"
    assert layout.snapshot_id(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)) == "20260102T030405Z"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ID, True),
        ("20261323T020000Z", False),
        ("20261123T020000", False),
        ("latest", False),
        ("", False),
        (f"{ID}/..", False),
        ("２０２６1123T020000Z", False),
    ],
)
def test_only_a_time_that_exists_is_an_id(text: str, expected: bool) -> None:
    assert layout.is_snapshot_id(text) is expected


def test_every_file_has_its_place() -> None:
    assert {
        "manifest": layout.manifest_path(SID, ID),
        "pages": layout.page_index_path(SID, ID),
        "rejects": layout.rejects_path(SID, ID),
        "latest": layout.latest_path(SID),
        "parquet": layout.partition_folder("parquet", SID, ID),
        "ndjson": layout.partition_folder("ndjson", SID, ID),
        "staging": layout.staging_folder(SID, ID),
    } == {
        "manifest": f"snapshots/account_sid={SID}/{ID}/manifest.json",
        "pages": f"snapshots/account_sid={SID}/{ID}/pages.parquet",
        "rejects": f"snapshots/account_sid={SID}/{ID}/rejects.ndjson",
        "latest": f"snapshots/account_sid={SID}/latest.json",
        "parquet": f"parquet/account_sid={SID}/snapshot_date=2026-11-23/snapshot_id={ID}",
        "ndjson": f"ndjson/account_sid={SID}/snapshot_date=2026-11-23/snapshot_id={ID}",
        "staging": f".staging/account_sid={SID}/{ID}",
    }


def test_parts_are_numbered_and_say_how_they_are_compressed() -> None:
    assert [
        layout.part_name("parquet", 0, "gzip"),
        layout.part_name("ndjson", 1, "zstd"),
        layout.part_name("ndjson", 12345, "gzip"),
        layout.part_name("ndjson", 2, "none"),
    ] == ["part-00000.parquet", "part-00001.ndjson.zst", "part-12345.ndjson.gz", "part-00002.ndjson"]


@pytest.mark.parametrize("sid", ["", "../x", "a/b", "a\0", ".x", "A" * 65, "ÄC"])
def test_a_sid_that_could_leave_its_folder_is_refused(sid: str) -> None:
    with pytest.raises(UsageError):
        layout.account_folder(sid)
    assert layout.account_of(f"account_sid={sid}") is None


def test_an_id_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="is not the id of a snapshot"):
        layout.snapshot_folder(SID, "../x")


def test_an_account_is_read_from_its_folder_and_a_foreign_folder_is_none() -> None:
    assert [layout.account_of(f"account_sid={SID}"), layout.account_of(SID)] == [SID, None]
