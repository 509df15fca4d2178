"""Who runs, with which command line. Every command reads the list at `url` and writes below `folder`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.server import ACCOUNT_SID, AUTH_TOKEN

HERE = Path(__file__).resolve().parent
RATE_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Job:
    """One run: what to read and where to write. ``folder`` is new and empty."""

    url: str
    pages: Path
    folder: Path
    page_size: int = 1000
    watched: str = ""
    """A folder below ``folder`` whose size is watched."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """A tool, or the floor."""

    name: str
    command: Callable[[Job], list[str]]


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The same small environment for all: credentials, and nothing of the caller's Python settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {
        **kept,
        "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
        "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
        "PYTHONPATH": str(HERE.parent),
        **(extra or {}),
    }


def export_command(
    job: Job, *formats: str, rate: float = RATE_MAX, walkers: int = 1, destination: str = ""
) -> list[str]:
    """`syncer export`, all guarantees on; to the job's own folder unless a destination is given."""
    command = [sys.executable, "-m", "syncer", "export", "--base-url", job.url, "--progress", "never"]
    command += ["--destination", destination or f"{job.folder}/exports", "--state-dir", f"{job.folder}/state"]
    command += ["--rate", str(rate), "--page-size", str(job.page_size)]
    command += ["--concurrency", str(walkers)] if walkers > 1 else ["--sequential"]
    return [*command, *(word for form in formats for word in ("--format", form))]


FLOOR = Contestant(
    "floor", lambda job: [sys.executable, str(HERE / "floor.py"), str(job.pages), f"{job.folder}/floor.parquet"]
)
FLOOR_BY_HTTP = Contestant(
    "floor by aiohttp",
    lambda job: [sys.executable, "-m", "benchmarks.floor_by_http", job.url, f"{job.folder}/floor.parquet"],
)
PARQUET = Contestant("syncer parquet", lambda job: export_command(job, "parquet"))
BOTH = Contestant("syncer both formats", lambda job: export_command(job, "parquet", "ndjson"))
