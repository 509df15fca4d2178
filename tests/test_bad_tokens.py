"""Tokens that the service no longer takes, answered in every way that it may choose: real processes."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from tests.processes import SID, data_files, emulator, export, export_flags, start_syncer, syncer

KEY = {"TWILIO_API_KEY": "SK" + "0" * 32, "TWILIO_API_SECRET": "another-secret"}
"""Tokens are bound to credentials here: those given to the auth token are refused to the key."""
USERS, KILLED_AFTER_PAGES = 2000, 10
ANSWERS = ["400", "404", "410", "422", "500", "first-page"]


def flags(answer: str, *more: str) -> tuple[str, ...]:
    return ("--users", str(USERS), "--account", SID, "--token-bound-to-credential", "--bad-token", answer, *more)


@pytest.mark.parametrize("answer", ANSWERS)
def test_last_nights_entries_cost_only_speed_however_they_are_refused(answer: str, tmp_path: Path) -> None:
    with emulator(*flags(answer)) as running:
        export(running.url, tmp_path, "--page-size", "50", "--format", "parquet")
        before = data_files(tmp_path)
        printed = export(running.url, tmp_path, "--page-size", "50", "--format", "parquet", **KEY)["snapshots"][0]
    manifest = json.loads((tmp_path / "exports" / printed["manifest"]).read_bytes())
    assert (printed["users"], manifest["verdict"]) == (USERS, "complete")
    assert manifest["crawl"]["entries_used"] == 0
    assert data_files(tmp_path) == before


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_run_whose_tokens_are_refused_begins_again_and_loses_nobody(answer: str, tmp_path: Path) -> None:
    with emulator(*flags(answer, "--latency", "30")) as running:
        process = start_syncer(*export_flags(running.url, tmp_path, "--page-size", "50"))
        while len(running.lists()) < KILLED_AFTER_PAGES:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        again = syncer(*export_flags(running.url, tmp_path, "--page-size", "50", "--json"), timeout=90, **KEY)
        if answer == "500":  # cannot be told from an outage: progress is kept
            assert (again.returncode, json.loads(again.stdout)["failed"][0]["exit_code"]) == (4, 4)
            assert "--fresh begins anew" in again.stderr
            again = syncer(*export_flags(running.url, tmp_path, "--fresh", "--json"), **KEY)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["snapshots"][0]["users"] == USERS
    assert syncer("verify", "--destination", str(tmp_path / "exports")).returncode == 0
