"""Where the processor time of an export goes: `make profile` samples one and draws its stacks.

    python -m benchmarks.profile --users 1000000

py-spy samples from outside, in an environment of its own. Threads that only wait are left out: the picture is of
processor time.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from benchmarks import flame
from benchmarks.contestants import HERE, Job, environment, export_command
from benchmarks.pages import make_pages
from benchmarks.peers import pinned_environment
from benchmarks.server import serving

RATE = 1000
"""Samples a second."""
_WAITING = ("_next_signal", "_worker (concurrent/futures/thread.py", "select (selectors.py", "wait (threading.py")
Stack = tuple[str, ...]


def main() -> int:
    """Sample, draw, and print what takes most."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument("--users", type=int, default=1_000_000)
    args = parser.parse_args()
    work = HERE / "work"
    pages = make_pages(work / "pages", args.users)
    with serving(pages, work / "nginx") as url:
        raw = _sample(work, Job(url, pages, work / "profile"))
    stacks = _busy(raw.read_text().splitlines())
    drawn = HERE / "results" / "export-flame.svg"
    drawn.write_text(flame.draw(f"Processor time of an export of {args.users:,} users", stacks))
    print(_most(stacks))
    print(f"kept in {drawn.relative_to(HERE.parent)}", file=sys.stderr)
    return 0


def _sample(work: Path, job: Job) -> Path:
    shutil.rmtree(job.folder, ignore_errors=True)
    job.folder.mkdir(parents=True)
    raw = job.folder / "stacks.txt"
    spy = pinned_environment(work, "profile").parent / "py-spy"
    command = [spy, "record", "--rate", str(RATE), "--format", "raw", "--output", raw, "--"]
    own = environment({"HOME": str(job.folder)})
    subprocess.run([*command, *export_command(job, "parquet")], check=True, env=own, stdout=subprocess.DEVNULL)
    return raw


def _busy(lines: Iterable[str]) -> Counter[Stack]:
    """py-spy's lines: frames from the outermost on, separated by semicolons, and how often they were seen."""
    stacks: Counter[Stack] = Counter()
    for line in lines:
        frames, _, times = line.rpartition(" ")
        stack = tuple(frame.rpartition(":")[0].removesuffix(")") for frame in frames.split(";"))
        if not any(waiting in stack[-1] for waiting in _WAITING):
            stacks[tuple(_short(frame) for frame in stack)] += int(times)
    return stacks


def _short(frame: str) -> str:
    """Without what is only of this machine."""
    name, bracket, path = frame.partition(" (")
    for known in ("site-packages" + os.sep, f"python{sys.version_info[0]}.{sys.version_info[1]}" + os.sep):
        path = path.rpartition(known)[2]
    return f"{name} ({path.removeprefix(str(HERE.parent) + os.sep)})" if bracket else name


def _most(stacks: Counter[Stack]) -> str:
    """The functions in which most samples end."""
    ends: Counter[str] = Counter()
    for stack, times in stacks.items():
        ends[stack[-1]] += times
    total = ends.total()
    return "\n".join(f"{100 * times / total:5.1f} %  {name}" for name, times in ends.most_common(20))


if __name__ == "__main__":
    sys.exit(main())
