"""Loads that are killed in the middle: a reader sees the old table or the new one, and the next load finishes.

`make crash-load` takes more instants; PostgreSQL has tests of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import environment

STEPS, INSTANTS = 6, 1


@pytest.mark.slow
@pytest.mark.parametrize("case", ["duckdb", "duckdb-scd2", "delta", "delta-history", "iceberg"])
def test_a_load_that_is_killed_leaves_the_old_table_or_the_new_one_and_the_next_finishes(
    case: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "tests.load_crash", str(tmp_path), str(STEPS), str(INSTANTS), case]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, env=environment())
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)[case]
    assert found["problems"] == []
    assert found["killed"] >= STEPS
    assert min(found["old"], found["new"]) >= 1
