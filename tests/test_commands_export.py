from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from syncer.commands.export import exit_code_of, render_json
from syncer.commands.main import main
from syncer.lock import hold_lock
from syncer.summary import Failure
from tests.processes import SECRET, SID, emulator
from tests.test_summary import Result

FAILED = Failure(SID, 4, "it gave up")
CONFIG = """
[[accounts]]
sid = "{first}"
auth_token = {{ env = "FIRST" }}
[[accounts]]
sid = "{second}"
auth_token = {{ env = "SECOND" }}
"""
OTHER = "AC" + "f" * 32


def test_the_report_has_the_fixed_keys_and_no_others() -> None:
    result = replace(Result(), seconds=12.34567)
    assert json.loads(render_json([result], [FAILED])) == {
        "version": 1,
        "snapshots": [
            {
                "account_sid": result.account_sid,
                "snapshot_id": "20261123T020000Z",
                "verdict": "complete",
                "users": 100_000,
                "pages": 100,
                "requests": 103,
                "retries": 3,
                "seconds": 12.346,
                "manifest": "snapshots/x/manifest.json",
            }
        ],
        "failed": [{"account_sid": SID, "exit_code": 4, "error": "it gave up"}],
    }


@pytest.mark.parametrize(
    ("results", "failures", "code"),
    [
        ([Result()], [], 0),
        ([Result()], [FAILED], 9),
        ([], [FAILED], 4),
        ([], [replace(FAILED, exit_code=6), FAILED], 6),
    ],
)
def test_partly_done_has_a_code_of_its_own(results: list[Result], failures: list[Failure], code: int) -> None:
    assert exit_code_of(results, failures) == code


@pytest.fixture
def two_accounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.toml").write_text(CONFIG.format(first=SID, second=OTHER) + "\n", encoding="utf-8")
    monkeypatch.setenv("FIRST", SECRET)
    monkeypatch.setenv("SECOND", "another-secret")


def test_one_account_that_fails_does_not_hold_back_the_other(
    two_accounts: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    accepted = tmp_path / "accepted"
    accepted.write_text(f"{SID}:{SECRET}\n")
    with emulator("--users", "120", "--credentials-file", str(accepted)) as running:
        code = main(["export", "--base-url", running.url, "--state-dir", "state", "--rate", "1000", "--json"])
    out, errors = capsys.readouterr()
    report = json.loads(out)
    assert code == 9
    assert [(s["account_sid"], s["users"]) for s in report["snapshots"]] == [(SID, 120)]
    assert [(f["account_sid"], f["exit_code"]) for f in report["failed"]] == [(OTHER, 3)]
    assert f"syncer: error: account {OTHER}: " in errors
    assert "another-secret" not in out + errors


def test_account_chooses_one_of_those_that_are_configured(
    two_accounts: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with emulator("--users", "120", "--account", SID) as running:
        flags = ["--base-url", running.url, "--state-dir", "state", "--rate", "1000", "--account"]
        assert main(["export", *flags, OTHER]) == 0
        out, errors = capsys.readouterr()
        assert out == ""
        assert f"of {OTHER}: complete\n" in errors
        assert SID not in errors
    assert main(["export", *flags, "AC../x"]) == 2
    assert capsys.readouterr().err == (
        f"syncer: error: --account = 'AC../x': no such account is configured; there is {SID}, {OTHER}\n"
    )


def test_the_only_account_fails_with_its_own_code_and_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", SID)
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", SECRET)
    with emulator("--forbidden") as running:
        code = main(["export", "--base-url", running.url, "--state-dir", "state", "--json", "--progress", "never"])
    out, errors = capsys.readouterr()
    report = json.loads(out)
    assert code == 3
    assert (report["snapshots"], [f["exit_code"] for f in report["failed"]]) == ([], [3])
    assert errors.count("syncer: error: ") == 1


def test_a_run_that_is_at_work_is_told_in_the_report_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", SID)
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", SECRET)
    with hold_lock(tmp_path / "state" / SID / "lock", SID, datetime(2026, 11, 23, 2, tzinfo=UTC)):
        assert main(["export", "--base-url", "http://127.0.0.1:9", "--state-dir", "state", "--json"]) == 7
    out, errors = capsys.readouterr()
    [failed] = json.loads(out)["failed"]
    assert (failed["account_sid"], failed["exit_code"]) == (SID, 7)
    assert f"process {os.getpid()} on " in failed["error"]
    assert "since 2026-11-23T02:00:00+00:00" in failed["error"]
    assert errors == f"syncer: error: {failed['error']}\n"


def test_every_line_of_a_json_log_is_json_and_a_quiet_log_has_no_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", SID)
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", SECRET)
    with emulator("--users", "120") as running:
        flags = ["export", "--base-url", running.url, "--state-dir", "state", "--rate", "1000"]
        assert main([*flags, "--log-format", "json"]) == 0
        out, errors = capsys.readouterr()
        told = [json.loads(line)["message"] for line in errors.splitlines()]
        assert out == ""
        assert sum(message.startswith("Snapshot ") for message in told) == 1
        assert main([*flags, "--progress", "never", "--log-level", "warning"]) == 0
        assert capsys.readouterr() == ("", "")
