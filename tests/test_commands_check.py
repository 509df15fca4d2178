from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from syncer.commands import check
from syncer.commands.main import main
from syncer.lock import hold_lock
from tests.processes import SECRET, SID, emulator, export

NOBODY_LISTENS = "http://127.0.0.1:9/v1"


@pytest.fixture(autouse=True)
def _configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", SID)
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", SECRET)
    monkeypatch.setenv("SYNCER_STATE_DIR", "state")
    monkeypatch.setenv("SYNCER_FREE_SPACE_MIN", "1MB")


def findings(capsys: pytest.CaptureFixture[str], *flags: str) -> tuple[int, dict[str, tuple[int, str]]]:
    """The exit code, and each finding's own code and words by its name."""
    code = main(["check", "--json", *flags])
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] == (code == 0)
    return code, {c["name"].replace(f" {SID}", ""): (c["exit_code"], c["detail"]) for c in report["checks"]}


def test_a_set_up_that_is_able_to_run_is_told_line_by_line_and_nothing_is_left_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with emulator("--users", "120") as running:
        assert main(["check", "--base-url", running.url]) == 0
        assert [entry["page_size"] for entry in running.lists()] == [1]
    out, errors = capsys.readouterr()
    assert [line.partition(":")[0] for line in out.splitlines()] == [
        "ok      settings",
        "ok      secrets",
        "ok      state folder",
        "ok      destination",
        f"ok      lock of {SID}",
        f"ok      API for {SID}",
        f"ok      last snapshot of {SID}",
    ]
    assert errors == ""
    assert os.listdir(tmp_path) == []


def test_the_last_snapshot_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with emulator("--users", "120") as running:
        snapshot_id = export(running.url, tmp_path)["snapshots"][0]["snapshot_id"]
        code, found = findings(capsys, "--base-url", running.url)
    assert (code, found["last snapshot of"]) == (0, (0, f"{snapshot_id}, 120 users"))


def test_wrong_settings_end_the_look(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCER_RATE", "0")
    code, found = findings(capsys)
    assert code == 2
    assert found == {"settings": (2, "SYNCER_RATE = '0': expected a number above 0, at most 10000")}


def test_a_missing_secret_is_code_2(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TWILIO_AUTH_TOKEN")
    code, found = findings(capsys)
    assert (code, found["secrets"][0]) == (2, 2)
    assert "TWILIO_AUTH_TOKEN is not set" in found["secrets"][1]


def test_refused_credentials_are_code_3(capsys: pytest.CaptureFixture[str]) -> None:
    with emulator("--forbidden") as running:
        code, found = findings(capsys, "--base-url", running.url)
    assert (code, found["API for"][0]) == (3, 3)
    assert SECRET not in found["API for"][1]


def test_a_service_that_is_not_there_is_code_4(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "REQUEST_SECONDS_MAX", 0.5)
    code, found = findings(capsys, "--base-url", NOBODY_LISTENS)
    assert (code, found["API for"][0]) == (4, 4)


def test_a_folder_that_cannot_be_written_and_one_that_is_full_are_code_6(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SYNCER_FREE_SPACE_MIN", "900TB")
    with emulator("--users", "1") as running:
        code, found = findings(capsys, "--base-url", running.url, "--destination", "file/exports", "--state-dir", "s")
    assert code == 6
    assert found["destination"][0] == 6
    assert "cannot be written: Not a directory" in found["destination"][1]
    assert found["state folder"][0] == 6
    assert "less than 900 TB; free some space, or set free_space_min" in found["state folder"][1]


def test_a_lock_that_is_held_is_code_7_and_says_by_whom(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    since = datetime(2026, 11, 23, 2, tzinfo=UTC)
    with emulator("--users", "1") as running, hold_lock(tmp_path / "state" / SID / "lock", SID, since):
        code, found = findings(capsys, "--base-url", running.url)
    assert (code, found["lock of"][0]) == (7, 7)
    assert f"process {os.getpid()}" in found["lock of"][1]
    assert "since 2026-11-23T02:00:00+00:00" in found["lock of"][1]


def test_a_destination_that_this_version_cannot_reach_is_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    with emulator("--users", "1") as running:
        code, found = findings(capsys, "--base-url", running.url, "--destination", "ftp://host/folder")
    assert (code, found["destination"][0]) == (2, 2)
