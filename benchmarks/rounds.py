"""Alternating rounds: every contestant once a round, in turned order, so that a noisy neighbour hits all alike."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.contestants import HERE, Contestant, Job, environment
from benchmarks.measure import Run, bytes_below, run, spread


@dataclass(slots=True)
class Outcome:
    """All runs of one contestant."""

    name: str
    runs: list[Run] = field(default_factory=list)
    bytes_written: int = 0
    checked: dict[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "runs": len(self.runs),
            "cpu_seconds": spread([run.cpu_seconds for run in self.runs]).document(),
            "wall_seconds": spread([run.wall_seconds for run in self.runs]).document(),
            "peak_mib": spread([run.peak_mib for run in self.runs]).document(),
            "bytes_written": self.bytes_written,
            "spool_bytes": max(run.most_bytes for run in self.runs),
            "check": self.checked,
        }


def run_rounds(contestants: Sequence[Contestant], job: Job, rounds: int) -> dict[str, Outcome]:
    """``job.folder`` is where each run gets a folder of its own, removed after it. The last results are checked."""
    outcomes = {contestant.name: Outcome(contestant.name) for contestant in contestants}
    for number in range(rounds):
        for contestant in contestants if number % 2 == 0 else reversed(contestants):
            _once(contestant, job, outcomes[contestant.name], is_last=number == rounds - 1)
        print(f"  round {number + 1} of {rounds}", file=sys.stderr)
    return outcomes


def cpu_ratios(outcomes: dict[str, Outcome], name: str, other: str) -> list[float]:
    """CPU of one against another, round by round."""
    pairs = zip(outcomes[name].runs, outcomes[other].runs, strict=True)
    return [run.cpu_seconds / against.cpu_seconds for run, against in pairs]


def _once(contestant: Contestant, job: Job, outcome: Outcome, *, is_last: bool) -> None:
    folder = job.folder / contestant.name.replace(" ", "-")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    own = replace(job, folder=folder)
    watched = folder / job.watched if job.watched else None
    took = run(contestant.command(own), environment({"HOME": str(folder)}), job.folder / "output.log", watched)
    outcome.runs.append(took)
    if is_last:
        outcome.bytes_written = bytes_below(folder)
        outcome.checked = check(job.pages, folder)
    shutil.rmtree(folder)


def check(pages: Path, folder: Path) -> dict[str, Any]:
    """In a process of its own: this one stays small."""
    command = [sys.executable, "-m", "benchmarks.check", str(pages), str(folder)]
    done = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"complete": False, "error": done.stderr[-500:]}
    found: dict[str, Any] = json.loads(done.stdout)
    return found
