"""Many walkers against one: the second run of an account whose API takes its time over each page, in whole processes.

    python -m benchmarks.parallel --latency 100 --pages 400 --page-size 50 --walkers 4,16,64 --rounds 3

The emulator runs in a process of its own. The first snapshot, whose page index gives the entries, is made without
latency; each measured run starts from a copy of it. The reference is `--sequential`: the same code with one walker.
Standard library only, so that a child's peak memory is its own.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.contestants import environment
from benchmarks.measure import run, spread

RATE = 10_000
FIRST_WALKERS = 64


@dataclass(frozen=True, slots=True)
class Setting:
    """What is measured."""

    pages: int
    page_size: int
    latency_milliseconds: float
    formats: tuple[str, ...]


@dataclass(slots=True)
class Outcome:
    """All runs with one number of walkers."""

    walkers: int
    seconds: list[float] = field(default_factory=list)
    """What syncer says of itself: from its first request to the published snapshot."""
    wall_seconds: list[float] = field(default_factory=list)
    """The whole process, its start included."""
    cpu_seconds: list[float] = field(default_factory=list)
    peak_mib: list[float] = field(default_factory=list)
    requests: list[int] = field(default_factory=list)
    users: int = 0
    data: set[str] = field(default_factory=set)
    """One hash for each different set of data files."""


def main() -> int:
    """Measure, print a table, and JSON if asked for; 1 when the data files differ."""
    args = _arguments()
    setting = Setting(args.pages, args.page_size, args.latency, tuple(args.format or ["parquet"]))
    with tempfile.TemporaryDirectory(prefix="parallel-") as name:
        outcomes = measure(setting, args.walkers, args.rounds, Path(name))
    document = report(setting, outcomes)
    print(table(setting, document))
    if args.json:
        Path(args.json).write_text(json.dumps(document, indent=2) + "\n")
    return 0 if document["byte_identical"] else 1


def measure(setting: Setting, walkers: list[int], rounds: int, work: Path) -> list[Outcome]:
    """The reference first, once; then every number of walkers once a round, so that a busy neighbour hits all alike."""
    first = work / "first"
    with _emulator(setting, 0) as url:
        _export(setting, url, first, FIRST_WALKERS, Outcome(FIRST_WALKERS))
    outcomes = [Outcome(1), *(Outcome(count) for count in walkers)]
    with _emulator(setting, setting.latency_milliseconds) as url:
        for number in range(rounds):
            for outcome in outcomes[1 if number else 0 :]:
                folder = work / "run"
                shutil.copytree(first, folder)
                _export(setting, url, folder, outcome.walkers, outcome)
                shutil.rmtree(folder)
    return outcomes


def report(setting: Setting, outcomes: list[Outcome]) -> dict[str, Any]:
    """Medians, and ratios to the reference."""
    reference = outcomes[0]
    one, one_wall = spread(reference.seconds).median, spread(reference.wall_seconds).median
    return {
        "pages": setting.pages,
        "page_size": setting.page_size,
        "latency_milliseconds": setting.latency_milliseconds,
        "formats": setting.formats,
        "byte_identical": len(set().union(*(outcome.data for outcome in outcomes))) == 1,
        "runs": [
            {
                "walkers": outcome.walkers,
                "seconds": spread(outcome.seconds).document(),
                "wall_seconds": spread(outcome.wall_seconds).document(),
                "cpu_seconds": spread(outcome.cpu_seconds).document(),
                "peak_mib": spread(outcome.peak_mib).document(),
                "requests": max(outcome.requests),
                "times_as_fast": round(one / spread(outcome.seconds).median, 2),
                "times_as_fast_whole_process": round(one_wall / spread(outcome.wall_seconds).median, 2),
                "requests_to_sequential": round(max(outcome.requests) / max(reference.requests), 4),
                "peak_mib_above_sequential": round(
                    spread(outcome.peak_mib).median - spread(reference.peak_mib).median, 1
                ),
                "users_per_second": round(outcome.users / spread(outcome.seconds).median),
                "users_per_cpu_second": round(outcome.users / spread(outcome.cpu_seconds).median),
            }
            for outcome in outcomes
        ],
    }


def table(setting: Setting, document: dict[str, Any]) -> str:
    """The report for a person."""
    lines = [
        f"{setting.pages} pages of {setting.page_size} users, {setting.latency_milliseconds:g} ms a page,"
        f" {' and '.join(setting.formats)}; data files"
        f" {'byte-identical' if document['byte_identical'] else 'DIFFERENT'}",
        f"{'walkers':>7} {'seconds':>9} {'times':>6} {'process s':>9} {'times':>6} {'requests':>8} {'CPU s':>6}"
        f" {'peak MiB':>8} {'users/s':>9} {'users/CPU s':>11}",
    ]
    for one in document["runs"]:
        lines.append(
            f"{one['walkers']:>7} {one['seconds']['median']:>9.2f} {one['times_as_fast']:>6.1f}"
            f" {one['wall_seconds']['median']:>9.2f} {one['times_as_fast_whole_process']:>6.1f} {one['requests']:>8}"
            f" {one['cpu_seconds']['median']:>6.2f} {one['peak_mib']['median']:>8.1f} {one['users_per_second']:>9,}"
            f" {one['users_per_cpu_second']:>11,}"
        )
    return "\n".join(lines)


def _export(setting: Setting, url: str, folder: Path, walkers: int, outcome: Outcome) -> None:
    command = [sys.executable, "-m", "syncer", "export", "--base-url", url, "--progress", "never", "--json"]
    command += ["--destination", f"{folder}/exports", "--state-dir", f"{folder}/state", "--rate", str(RATE)]
    command += ["--page-size", str(setting.page_size), "--concurrency", str(walkers)]
    command += ["--sequential"] if walkers == 1 else []
    command += [word for form in setting.formats for word in ("--format", form)]
    folder.mkdir(exist_ok=True)
    log = folder / "log"
    measured = run(command, environment(), log)
    printed = json.loads(log.read_text())["snapshots"][0]
    outcome.seconds.append(printed["seconds"])
    outcome.wall_seconds.append(measured.wall_seconds)
    outcome.cpu_seconds.append(measured.cpu_seconds)
    outcome.peak_mib.append(measured.peak_mib)
    outcome.requests.append(printed["requests"])
    outcome.users = printed["users"]
    outcome.data.add(_data_hash(folder / "exports", printed["manifest"]))


def _data_hash(destination: Path, manifest: str) -> str:
    """One hash over names and bytes of a snapshot's data files."""
    found = hashlib.sha256()
    for file in json.loads((destination / manifest).read_bytes())["files"]:
        path = destination / file["path"]
        found.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


@contextmanager
def _emulator(setting: Setting, latency_milliseconds: float) -> Iterator[str]:
    users = setting.pages * setting.page_size
    command = [sys.executable, "-m", "syncer", "emulator", "--port", "0", "--users", str(users)]
    command += ["--latency", str(latency_milliseconds), "--page-cache", str(users // 1000 + 2)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment())
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.communicate(timeout=10)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Many walkers against one.")
    parser.add_argument("--pages", type=int, default=400)
    parser.add_argument("--page-size", type=int, default=50)
    parser.add_argument("--latency", type=float, default=100.0, metavar="MILLISECONDS")
    parser.add_argument("--walkers", type=lambda text: [int(word) for word in text.split(",")], default=[4, 16, 64])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--format", action="append", choices=["parquet", "ndjson"])
    parser.add_argument("--json", metavar="FILE", help="write the report as JSON, too")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
