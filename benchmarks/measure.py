"""One whole process measured from outside: wall time, CPU, peak memory. Standard library only.

A child's peak memory starts at its parent's on Linux, so the parent must stay small: nothing heavy is imported here.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_LOOK_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Run:
    """One process, from its start to its end."""

    wall_seconds: float
    cpu_seconds: float
    """User and system, children that it waited for included."""
    peak_mib: float
    most_bytes: int = 0
    """Of the folder that was watched: what its files held at most at one time."""


class CommandFailed(Exception):
    """A measured command did not end with 0; the message holds the end of its output."""


def run(command: Sequence[str], environment: Mapping[str, str], log: Path, watched: Path | None = None) -> Run:
    """Run a command to its end; a look at the ``watched`` folder now and then costs a little. Raises CommandFailed."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        actions = [(os.POSIX_SPAWN_DUP2, descriptor, 1), (os.POSIX_SPAWN_DUP2, descriptor, 2)]
        started = time.perf_counter()
        pid = os.posix_spawn(command[0], list(command), dict(environment), file_actions=actions)
        most_bytes = _watch(pid, watched) if watched else 0
        _, status, usage = os.wait4(pid, 0)
        wall_seconds = time.perf_counter() - started
    finally:
        os.close(descriptor)
    if os.waitstatus_to_exitcode(status) != 0:
        raise CommandFailed(f"{' '.join(command[:4])} …: {log.read_text(errors='replace')[-1500:]}")
    return Run(wall_seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, most_bytes)


def _watch(pid: int, folder: Path) -> int:
    most = 0
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        with contextlib.suppress(FileNotFoundError):  # a file may go between its name and its size
            most = max(most, bytes_below(folder))
        time.sleep(_LOOK_SECONDS)
    return most


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, minimum and maximum of repeated measurements."""

    median: float
    least: float
    most: float

    def text(self, digits: int = 2) -> str:
        """For a table."""
        return f"{self.median:.{digits}f} ({self.least:.{digits}f}-{self.most:.{digits}f})"

    def document(self) -> dict[str, float]:
        """For JSON."""
        return {"median": round(self.median, 4), "min": round(self.least, 4), "max": round(self.most, 4)}


def spread(values: Sequence[float]) -> Spread:
    """Of at least one value."""
    return Spread(statistics.median(values), min(values), max(values))


def bytes_below(folder: Path) -> int:
    """What all files of a folder hold."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
