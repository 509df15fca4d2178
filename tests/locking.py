"""Starts two exports of one account at the same instant, again and again, and kills the one that runs in its work.

    python -m tests.locking PAIRS

Prints one JSON object with what came of the pairs; the list of problems is empty when every pair did as promised.
"""

from __future__ import annotations

import json
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.processes import Emulator, emulator, export_flags, start_syncer

REFUSED_SECONDS_MAX = 1.0
"""Of the median, from the start of both processes to the end of one; a busy machine may delay single ones."""
PAGES = 12
SIZES = (50, 49)
"""Each of a pair asks for pages of its own size: so the emulator's log tells who asked."""


def finished(processes: list[subprocess.Popen[str]]) -> dict[int, float]:
    """When each process ended, by its number: loop until one did, then let the caller decide."""
    ends: dict[int, float] = {}
    deadline = time.monotonic() + 30
    while not ends and time.monotonic() < deadline:
        ends = {n: time.monotonic() for n, process in enumerate(processes) if process.poll() is not None}
        time.sleep(0.005)
    return ends


@dataclass(frozen=True, slots=True)
class Refused:
    """How long the refused one of a pair lived, and how much of that it worked."""

    seconds: float
    cpu_seconds: float


def one_pair(service: Emulator, folder: Path) -> tuple[Refused, list[str]]:
    """One pair of starts, the other one killed in its work, and one more start: what the refused one took, and what
    went against the promise."""
    before = len(service.log())
    flags = [export_flags(service.url, folder, "--page-size", str(size), "--sequential") for size in SIZES]
    started, worked = time.monotonic(), _cpu_of_ended()
    pair = [start_syncer(*each) for each in flags]
    ends = finished(pair)
    if len(ends) != 1:
        for process in pair:
            process.kill()
            process.communicate()
        return Refused(0.0, 0.0), [f"{len(ends)} of two runs ended first"]
    (loser,) = ends
    refused = Refused(ends[loser] - started, _cpu_of_ended() - worked)
    winner = pair[1 - loser]
    _, told = pair[loser].communicate()
    problems = [] if pair[loser].returncode == 7 else [f"the other ended with {pair[loser].returncode}: {told}"]
    if f"process {winner.pid}" not in told or "since" not in told:
        problems.append(f"it does not say who holds the lock: {told}")
    problems += _killed_and_started_again(winner, flags[1 - loser])
    sizes = {entry["page_size"] for entry in service.log()[before:]}
    if sizes != {SIZES[1 - loser]}:
        problems.append(f"pages of {sizes} users were asked for, and only {SIZES[1 - loser]} are the winner's")
    return refused, problems


def _cpu_of_ended() -> float:
    """Processor time of all children that have ended: what else the machine does is not in it."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _killed_and_started_again(winner: subprocess.Popen[str], flags: list[str]) -> list[str]:
    winner.send_signal(signal.SIGKILL)
    winner.communicate()
    if winner.returncode != -signal.SIGKILL:
        return [f"the one that should run had ended with {winner.returncode}"]
    again = start_syncer(*flags)  # the kernel has freed the lock
    _, errors = again.communicate(timeout=60)
    return [] if again.returncode == 0 else [f"after the kill a run ended with {again.returncode}: {errors}"]


def try_pairs(pairs: int, work: Path, refused_seconds_max: float = REFUSED_SECONDS_MAX) -> dict[str, Any]:
    """So many pairs; each ends with a kill and one more run."""
    problems: list[str] = []
    lives: list[Refused] = []
    with emulator("--users", str(PAGES * max(SIZES)), "--latency", "60") as service:
        for n in range(pairs):
            refused, found = one_pair(service, work / f"pair-{n % 7}")
            lives.append(refused)
            problems += [f"pair {n}: {problem}" for problem in found]
    median = statistics.median(life.seconds for life in lives)
    if median > refused_seconds_max:
        problems.append(f"the refused ones lived {median:.2f} s in the median")
    slow = sum(life.seconds >= REFUSED_SECONDS_MAX for life in lives)
    seconds = {"median": round(median, 2), "max": round(max(life.seconds for life in lives), 2), "over 1 s": slow}
    cpu = {"median": round(statistics.median(life.cpu_seconds for life in lives), 2)}
    cpu["max"] = round(max(life.cpu_seconds for life in lives), 2)
    return {"pairs": pairs, "refused_seconds": seconds, "refused_cpu_seconds": cpu, "problems": problems}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="locking-") as name:
        outcome = try_pairs(int(sys.argv[1]), Path(name))
    print(json.dumps(outcome))
    sys.exit(1 if outcome["problems"] else 0)
