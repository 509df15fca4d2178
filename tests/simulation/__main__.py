"""``python -m tests.simulation --seeds 1000``: run seeds, print what they came to, and a command for each that
failed."""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import gc
import logging
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pyarrow as pa

from tests.simulation.night import Outcome, simulate
from tests.simulation.scenario import scenario, with_offsets

CHUNK = 50
SEED_SECONDS_MAX = 5
"""Processor time for one seed, whatever else the machine does; a run that does not end is a finding."""
Failure = tuple[int, str]


@dataclass(slots=True)
class Tally:
    """What many seeds came to."""

    seeds: int = 0
    requests: int = 0
    nights: collections.Counter[str] = field(default_factory=collections.Counter)
    failures: list[Failure] = field(default_factory=list)

    def add(self, done: Iterable[Outcome], failed: list[Failure]) -> None:
        """Count one chunk."""
        for outcome in done:
            self.seeds += 1
            self.nights.update(outcome.nights)
            self.requests += outcome.requests
        self.seeds += len(failed)
        self.failures += failed

    def line(self, seconds: float) -> str:
        """All of it in one line; a night is a crawl."""
        crawls = f"{self.nights.total()} crawls, {self.requests} requests, {len(self.failures)} failed"
        return f"{self.seeds} seeds, {crawls}, {seconds:.1f} s, {self.seeds / seconds:.0f} seeds/s"


def folder_for_seeds() -> str | None:
    """Memory where there is some: a simulated disk gains nothing from a real one."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def run_seed(seed: int, *, twice: bool = False, offsets: bool = False) -> Outcome:
    """One scenario in a folder of its own; ``twice`` also compares the bytes of a second run."""
    outcomes = []
    drawn = with_offsets(scenario(seed)) if offsets else scenario(seed)
    for _ in range(2 if twice else 1):
        folder = Path(tempfile.mkdtemp(prefix="syncer-simulation-", dir=folder_for_seeds()))
        try:
            outcomes.append(simulate(drawn, folder, with_digest=twice))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    if outcomes[0] != outcomes[-1]:
        raise AssertionError(f"seed {seed} gave other bytes the second time")
    return outcomes[0]


def run_chunk(seeds: Iterable[int], twice: bool = False, offsets: bool = False) -> tuple[list[Outcome], list[Failure]]:
    """Many seeds in one process."""
    logging.disable(logging.CRITICAL)
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    gc.freeze()  # what is loaded by now stays: only what the seeds leave behind is looked through
    signal.signal(signal.SIGPROF, _too_long)
    done, failed = [], []
    for seed in seeds:
        signal.setitimer(signal.ITIMER_PROF, SEED_SECONDS_MAX)
        try:
            done.append(run_seed(seed, twice=twice, offsets=offsets))
        except BaseException:
            failed.append((seed, traceback.format_exc(limit=-4)))
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
    return done, failed


class DidNotEnd(BaseException):
    """A run that does not end; nothing may swallow it."""


def _too_long(number: int, frame: object) -> None:
    raise DidNotEnd(f"the seed did not end within {SEED_SECONDS_MAX} s")


def run_all(first: int, seeds: int, *, jobs: int, twice: bool, offsets: bool, every: int) -> Tally:
    """Seeds from ``first`` on, in processes. After ``every`` seeds a line says what came of all so far, and where to
    go on: whoever is interrupted need not begin again."""
    chunks = [range(n, min(n + CHUNK, first + seeds)) for n in range(first, first + seeds, CHUNK)]
    tally, started, due = Tally(), time.monotonic(), every
    with concurrent.futures.ProcessPoolExecutor(jobs) as pool:
        work = partial(run_chunk, twice=twice, offsets=offsets)
        for chunk, (done, failed) in zip(chunks, pool.map(work, chunks), strict=True):
            tally.add(done, failed)
            for failure in failed:
                print(_words(failure), flush=True)
            if tally.seeds >= due:
                due += every
                print(f"{tally.line(time.monotonic() - started)}; go on with --first {chunk.stop}", flush=True)
    for words, times in tally.nights.most_common():
        print(f"{times:9d}  {words}")
    print(tally.line(time.monotonic() - started))
    return tally


def _words(failure: Failure) -> str:
    seed, trace = failure
    return f"seed {seed} failed; again: python -m tests.simulation --first {seed} --seeds 1 --jobs 1\n{trace}"


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seeds", type=int, default=1000, help="how many; each is one to three crawls, two on average")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--twice", action="store_true", help="run each seed twice and compare all bytes")
    parser.add_argument("--offsets", action="store_true", help="only lists whose page tokens are offsets")
    parser.add_argument("--every", type=int, default=10_000, help="seeds between two lines of progress")
    args = parser.parse_args()
    tally = run_all(args.first, args.seeds, jobs=args.jobs, twice=args.twice, offsets=args.offsets, every=args.every)
    print(f"{len(tally.failures)} failed")
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main())
