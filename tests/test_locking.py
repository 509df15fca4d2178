"""One run for each account and state folder. `make crash` starts 200 pairs; here are a few."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.locking import try_pairs
from tests.processes import SID, emulator, export, export_flags, start_syncer, syncer


@pytest.mark.slow
def test_of_two_starts_at_once_one_runs_and_the_other_is_refused_without_a_request(tmp_path: Path) -> None:
    assert try_pairs(4, tmp_path, refused_seconds_max=10)["problems"] == []


def test_a_lock_file_left_by_a_killed_run_stops_nobody(tmp_path: Path) -> None:
    with emulator("--users", "200", "--latency", "200") as running:
        process = start_syncer(*export_flags(running.url, tmp_path, "--page-size", "50"))
        lock = tmp_path / "state" / SID / "lock"
        while not (lock.exists() and lock.read_bytes()):
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert json.loads(lock.read_bytes())["pid"] == process.pid
        lock.write_text(json.dumps({"pid": os.getpid(), "host": "x", "since": "y"}))  # a pid in use again
        assert export(running.url, tmp_path, "--page-size", "50")["snapshots"][0]["users"] == 200


def test_accounts_and_state_folders_do_not_lock_each_other(tmp_path: Path) -> None:
    with emulator("--users", "300", "--latency", "100") as running:
        first = start_syncer(*export_flags(running.url, tmp_path / "one", "--page-size", "50"))
        other = syncer(*export_flags(running.url, tmp_path / "two"))
        again = syncer(*export_flags(running.url, tmp_path / "one"), TWILIO_ACCOUNT_SID="AC" + "f" * 32)
        _, errors = first.communicate(timeout=30)
    assert (first.returncode, other.returncode, again.returncode) == (0, 0, 0), errors + other.stderr + again.stderr
