"""Runs that are killed or asked to stop at any instant: readers see the old state or the new one, and the next run ends
the work. `make crash` takes every step; here is an even choice of them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.processes import data_files, emulator, environment, export, export_flags, start_syncer, syncer

SAMPLE = 8


def run_steps(work: Path, *steps: int, campaign: str = "tests.crash_export") -> dict[str, Any]:
    work.mkdir()
    command = [sys.executable, "-m", campaign, str(work), *map(str, steps)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, env=environment())
    assert done.stdout, done.stderr
    return dict(json.loads(done.stdout))


def staged(folder: Path) -> int:
    """Bytes of the parts that are being written."""
    return sum(path.stat().st_size + 1 for path in (folder / "exports" / ".staging").rglob("part-*"))


@pytest.mark.slow
def test_readers_see_old_or_new_and_the_next_run_gives_the_same_bytes_whichever_step_a_kill_comes_before(
    tmp_path: Path,
) -> None:
    total = run_steps(tmp_path / "count", 1)["steps"]
    assert total >= 60
    steps = [total * n // SAMPLE for n in range(1, SAMPLE)] + [total - 1, total - 3, total + 100]
    found = run_steps(tmp_path / "sample", *steps)
    assert found["problems"] == []
    assert found["killed"] >= SAMPLE - 2  # walkers interleave in another way each time: the last steps may not come
    assert 1 <= found["published"] < len(steps)


@pytest.mark.slow
def test_whichever_step_of_an_erasure_a_kill_comes_before_readers_see_old_or_new_and_the_next_run_leaves_no_trace(
    tmp_path: Path,
) -> None:
    total = run_steps(tmp_path / "count", 1, campaign="tests.crash_erase")["steps"]
    assert total >= 300
    steps = [total * n // SAMPLE for n in range(1, SAMPLE)] + [total, total + 1]
    found = run_steps(tmp_path / "sample", *steps, campaign="tests.crash_erase")
    assert found == {"steps": total, "killed": SAMPLE, "problems": []}


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_run_in_five_seconds_also_while_it_writes(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    both = ("--format", "parquet", "--format", "ndjson", "--page-size", "1000", "--concurrency", "4")
    interrupted = []
    with emulator("--users", "100000", "--page-cache", "200") as running:
        export(running.url, tmp_path / "calm", *both)
        asked = len(running.lists())
        for written_bytes, pause_seconds in ((0, 0.0), (1, 0.0), (1_000_000, 0.0), (1, 0.3)):
            process = start_syncer(*export_flags(running.url, tmp_path / "run", *both))
            while process.poll() is None and (
                len(running.lists()) < asked + 10 if written_bytes == 0 else staged(tmp_path / "run") < written_bytes
            ):
                time.sleep(0.01)
            time.sleep(pause_seconds)
            process.send_signal(number)
            sent = time.monotonic()
            _, errors = process.communicate(timeout=20)
            assert time.monotonic() - sent < 5
            assert process.returncode in (code, 0), errors
            assert "Traceback" not in errors
            interrupted.append(process.returncode == code)
            if process.returncode == 0:
                break
        export(running.url, tmp_path / "run", *both)
        assert syncer("verify", "--destination", str(tmp_path / "run" / "exports")).returncode == 0
        assert data_files(tmp_path / "run") == data_files(tmp_path / "calm")
    assert interrupted[:2] == [True, True]  # in the walk, and when the first part was begun


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_a_run_that_waits_at_a_closed_door(number: signal.Signals, code: int, tmp_path: Path) -> None:
    with emulator("--users", "500", "--fault", "429:60=1") as running:
        process = start_syncer(*export_flags(running.url, tmp_path, "--page-size", "50"))
        deadline = time.monotonic() + 20
        while not running.lists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.2)
        process.send_signal(number)
        sent = time.monotonic()
        _, errors = process.communicate(timeout=20)
        assert time.monotonic() - sent < 5
        assert process.returncode == code, errors
        assert "Traceback" not in errors
        assert len(running.lists()) == 1


def test_a_door_that_stays_closed_beyond_the_deadline_ends_the_run_at_once(tmp_path: Path) -> None:
    with emulator("--users", "500", "--fault", "429:60=1") as running:
        started = time.monotonic()
        done = syncer(*export_flags(running.url, tmp_path, "--deadline", "30s"))
        assert time.monotonic() - started < 5
        assert done.returncode == 4
        assert "deadline" in done.stderr
        assert "429" in done.stderr
        assert len(running.lists()) == 1
