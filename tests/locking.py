"""Starts two exports of one account at the same instant, again and again, and kills one in the middle now and then.

    python -m tests.locking PAIRS

Prints one JSON object with what came of the pairs; the list of problems is empty when every pair did as promised.
"""

from __future__ import annotations

import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.processes import Emulator, emulator, export_flags, start_syncer

REFUSED_SECONDS_MAX = 1.0
"""Of the median, from the start of a process to its end; a busy machine may delay single ones."""
PAGES, LOOKS_MAX = 12, 16
"""Pages of the list, and how many of them a run may ask again after its walk."""


def finished(processes: list[subprocess.Popen[str]]) -> dict[int, float]:
    """When each process ended, by its number: loop until one did, then let the caller decide."""
    ends: dict[int, float] = {}
    deadline = time.monotonic() + 30
    while not ends and time.monotonic() < deadline:
        ends = {n: time.monotonic() for n, process in enumerate(processes) if process.poll() is not None}
        time.sleep(0.005)
    return ends


def one_pair(service: Emulator, folder: Path, *, kill: bool) -> tuple[float, list[str]]:
    """One pair of starts: how long the refused one lived, and what went against the promise."""
    before = len(service.log())
    flags = export_flags(service.url, folder, "--page-size", "50", "--sequential")
    started = time.monotonic()
    pair = [start_syncer(*flags) for _ in range(2)]
    ends = finished(pair)
    if len(ends) != 1:
        for process in pair:
            process.kill()
        return 0.0, [f"{len(ends)} of two runs ended first"]
    (loser,) = ends
    winner = pair[1 - loser]
    seconds = ends[loser] - started
    _, told = pair[loser].communicate()
    problems = [] if pair[loser].returncode == 7 else [f"the other ended with {pair[loser].returncode}: {told}"]
    if f"process {winner.pid}" not in told or "since" not in told:
        problems.append(f"it does not say who holds the lock: {told}")
    if kill:
        winner.send_signal(signal.SIGKILL)
        winner.communicate()
        winner = start_syncer(*flags)  # the kernel has freed the lock
    _, errors = winner.communicate(timeout=60)
    if winner.returncode != 0:
        problems.append(f"the one that ran ended with {winner.returncode}: {errors}")
    asked = len(service.log()) - before
    if not kill and asked > PAGES + LOOKS_MAX:
        problems.append(f"{asked} requests for {PAGES} pages: both asked")
    return seconds, problems


def try_pairs(pairs: int, work: Path, refused_seconds_max: float = REFUSED_SECONDS_MAX) -> dict[str, Any]:
    """So many pairs, every third one with a kill."""
    problems: list[str] = []
    lives: list[float] = []
    with emulator("--users", str(PAGES * 50), "--latency", "60") as service:
        for n in range(pairs):
            seconds, found = one_pair(service, work / f"pair-{n % 7}", kill=n % 3 == 2)
            lives.append(seconds)
            problems += [f"pair {n}: {problem}" for problem in found]
    median = statistics.median(lives)
    if median > refused_seconds_max:
        problems.append(f"the refused ones lived {median:.2f} s in the median")
    return {"pairs": pairs, "refused_seconds": {"median": median, "max": max(lives)}, "problems": problems}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="locking-") as name:
        outcome = try_pairs(int(sys.argv[1]), Path(name))
    print(json.dumps(outcome))
    sys.exit(1 if outcome["problems"] else 0)
