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
from pathlib import Path

import pyarrow as pa

from tests.simulation.night import Outcome, simulate
from tests.simulation.scenario import scenario

CHUNK = 50
SEED_SECONDS_MAX = 5
"""Real time for one seed; a run that does not end is a finding."""


def folder_for_seeds() -> str | None:
    """Memory where there is some: a simulated disk gains nothing from a real one."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def run_seed(seed: int, *, twice: bool = False) -> Outcome:
    """One scenario in a folder of its own; ``twice`` also compares the bytes of a second run."""
    outcomes = []
    for _ in range(2 if twice else 1):
        folder = Path(tempfile.mkdtemp(prefix="syncer-simulation-", dir=folder_for_seeds()))
        try:
            outcomes.append(simulate(scenario(seed), folder))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    if outcomes[0] != outcomes[-1]:
        raise AssertionError(f"seed {seed} gave other bytes the second time")
    return outcomes[0]


def run_chunk(seeds: list[int], twice: bool = False) -> tuple[list[Outcome], list[tuple[int, str]]]:
    """Many seeds in one process."""
    logging.disable(logging.CRITICAL)
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    gc.disable()  # everything of a chunk is freed at its end
    signal.signal(signal.SIGALRM, _too_long)
    done, failed = [], []
    for seed in seeds:
        signal.alarm(SEED_SECONDS_MAX)
        try:
            done.append(run_seed(seed, twice=twice))
        except BaseException:
            failed.append((seed, traceback.format_exc(limit=-4)))
        finally:
            signal.alarm(0)
    gc.collect()
    return done, failed


class DidNotEnd(BaseException):
    """A run that does not end; nothing may swallow it."""


def _too_long(number: int, frame: object) -> None:
    raise DidNotEnd(f"the seed did not end within {SEED_SECONDS_MAX} s")


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seeds", type=int, default=1000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--twice", action="store_true", help="run each seed twice and compare all bytes")
    parser.add_argument("--every", type=int, default=20_000, help="print progress after so many")
    args = parser.parse_args()
    started = time.monotonic()
    seeds = list(range(args.first, args.first + args.seeds))
    chunks = [seeds[n : n + CHUNK] for n in range(0, len(seeds), CHUNK)]
    tally: collections.Counter[str] = collections.Counter()
    failures: list[tuple[int, str]] = []
    count = requests = 0
    with concurrent.futures.ProcessPoolExecutor(args.jobs) as pool:
        for done, failed in pool.map(run_chunk, chunks, [args.twice] * len(chunks)):
            for outcome in done:
                tally.update(outcome.nights)
                requests += outcome.requests
            count += len(done) + len(failed)
            failures += failed
            if count % args.every < CHUNK and count >= args.every:
                print(f"{count} seeds, {len(failures)} failed, {time.monotonic() - started:.0f} s", flush=True)
    for words, times in tally.most_common():
        print(f"{times:9d}  {words}")
    seconds = time.monotonic() - started
    speed = f"{seconds:.1f} s, {count / seconds:.0f} seeds/s"
    print(f"{count} seeds, {sum(tally.values())} nights, {requests} requests, {speed}")
    for seed, trace in failures[:5]:
        print(f"\nseed {seed} failed; again: python -m tests.simulation --first {seed} --seeds 1 --jobs 1\n{trace}")
    print(f"{len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
