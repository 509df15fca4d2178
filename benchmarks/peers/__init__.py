"""Other ways to the same data: each in an environment of its own, at the versions of its `.txt` file in this folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.contestants import HERE, PARQUET, Contestant, Job
from benchmarks.measure import spread
from benchmarks.product import MILLION, Place
from benchmarks.rounds import cpu_ratios, run_rounds
from benchmarks.server import serving

ROUNDS = 3
"""Fewer than for the product: the slowest takes minutes, and the differences are large."""
PEERS = {
    "dlt rest_api": ("dlt", "dlt_rest.py"),
    "Airbyte CDK": ("airbyte", "airbyte_read.py"),
    "dlt Arrow": ("dlt", "dlt_arrow.py"),
    "requests + pandas": ("pandas", "pandas_script.py"),
    "httpx + pyarrow": ("httpx", "httpx_script.py"),
}


def measure(place: Place) -> dict[str, Any]:
    """A million users by everybody, in turn."""
    pages = place.pages(MILLION)
    contestants = [PARQUET, *_contestants(place.work)]
    with serving(pages, place.work / "nginx") as url:
        outcomes = run_rounds(contestants, Job(url, pages, place.work / "run"), min(ROUNDS, place.rounds))
    return {
        "users": MILLION,
        "runs": {name: outcome.document() for name, outcome in outcomes.items()},
        "cpu_against_syncer": {
            name: spread(cpu_ratios(outcomes, name, PARQUET.name)).document()
            for name in outcomes
            if name != PARQUET.name
        },
    }


def _contestants(work: Path) -> list[Contestant]:
    found = [_script(name, pinned_environment(work, room), program) for name, (room, program) in PEERS.items()]
    return [*found, _singer(pinned_environment(work, "singer"), pinned_environment(work, "jsonl"))]


def _script(name: str, python: Path, program: str) -> Contestant:
    """Its standard output is kept as a file: for Airbyte it is the data."""
    script = HERE / "peers" / program

    def command(job: Job) -> list[str]:
        return ["/bin/sh", "-c", f"'{python}' '{script}' '{job.url}' '{job.folder}' > '{job.folder}/output.jsonl'"]

    return Contestant(name, command)


def _singer(tap: Path, target: Path) -> Contestant:
    script = HERE / "peers" / "singer_tap.py"

    def command(job: Job) -> list[str]:
        (job.folder / "tap.json").write_text(f'{{"url": "{job.url}"}}')
        (job.folder / "target.json").write_text(f'{{"destination_path": "{job.folder}", "do_timestamp_file": false}}')
        read = f"'{tap}' '{script}' --config '{job.folder}/tap.json'"
        write = f"'{target.parent}/target-jsonl' --config '{job.folder}/target.json'"
        return ["/bin/sh", "-c", f"{read} | {write}"]

    return Contestant("Singer SDK + target-jsonl", command)


def pinned_environment(work: Path, name: str) -> Path:
    """The environment's Python; made once for the pinned versions, and its modules compiled."""
    folder = work / "env" / name
    python, pins = folder / "bin" / "python", HERE / "peers" / f"{name}.txt"
    marker = folder / "pins.txt"
    if marker.exists() and marker.read_bytes() == pins.read_bytes():
        return python
    print(f"  making an environment for {name}", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--requirement", pins], check=True)
    subprocess.run([python, "-m", "compileall", "-q", folder / "lib"], check=False, stdout=subprocess.DEVNULL)
    marker.write_bytes(pins.read_bytes())
    return python
