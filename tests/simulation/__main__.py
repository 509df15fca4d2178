"""``python -m tests.simulation --seeds 1000``: run seeds, print what they came to, and a command for each that
failed."""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import hashlib
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from tests.simulation.campaigns import CAMPAIGNS
from tests.simulation.night import Outcome
from tests.simulation.seeds import Failure, run_chunk

CHUNK = 50
HASH_SEEDS = ("1", "2")
"""Two processes whose sets of strings are in different orders."""


@dataclass(slots=True)
class Tally:
    """What many seeds came to."""

    seeds: int = 0
    requests: int = 0
    nights: collections.Counter[str] = field(default_factory=collections.Counter)
    notes: collections.Counter[str] = field(default_factory=collections.Counter)
    failures: list[Failure] = field(default_factory=list)
    digests: dict[int, str] = field(default_factory=dict)
    """For each seed all requests and all bytes, where they were asked for."""

    def add(self, done: Iterable[Outcome], failed: list[Failure]) -> None:
        """Count one chunk."""
        for outcome in done:
            self.seeds += 1
            self.nights.update(outcome.nights)
            self.notes.update(outcome.notes)
            self.requests += outcome.requests
            self.digests[outcome.seed] = outcome.digest
        self.seeds += len(failed)
        self.failures += failed

    def line(self, seconds: float) -> str:
        """All of it in one line; a night is a crawl."""
        crawls = f"{self.nights.total()} crawls, {self.requests} requests, {len(self.failures)} failed"
        return f"{self.seeds} seeds, {crawls}, {seconds:.1f} s, {self.seeds / seconds:.0f} seeds/s"


def run_all(first: int, seeds: int, *, jobs: int, campaign: str, every: int, hash_seed: str | None = None) -> Tally:
    """Seeds from ``first`` on, in processes. After ``every`` seeds a line says what came of all so far, and where to
    go on: whoever is interrupted need not begin again."""
    chunks = [range(n, min(n + CHUNK, first + seeds)) for n in range(first, first + seeds, CHUNK)]
    tally, started, due = Tally(), time.monotonic(), every
    if hash_seed is not None:
        os.environ["PYTHONHASHSEED"] = hash_seed  # for the processes that are started now
    context = multiprocessing.get_context("fork" if hash_seed is None else "spawn")
    with concurrent.futures.ProcessPoolExecutor(jobs, context) as pool:
        work = partial(run_chunk, campaign=campaign, with_digest=hash_seed is not None)
        for chunk, (done, failed) in zip(chunks, pool.map(work, chunks), strict=True):
            tally.add(done, failed)
            for failure in failed:
                print(_words(failure, campaign), flush=True)
            if tally.seeds >= due:
                due += every
                print(f"{tally.line(time.monotonic() - started)}; go on with --first {chunk.stop}", flush=True)
    for words, times in [*tally.nights.most_common(), *tally.notes.most_common()]:
        print(f"{times:9d}  {words}")
    print(tally.line(time.monotonic() - started))
    return tally


def run_twice(run: Callable[[str], Tally]) -> Tally:
    """All seeds in processes with one order of sets, then with another: requests and bytes must be the same."""
    tallies = [run(hash_seed) for hash_seed in HASH_SEEDS]
    one, other = (tally.digests for tally in tallies)
    differing = sorted(seed for seed in one.keys() | other.keys() if one.get(seed) != other.get(seed))
    tallies[1].failures += [(seed, "other requests or bytes the second time") for seed in differing]
    whole = hashlib.sha256("".join(digest for _, digest in sorted(one.items())).encode()).hexdigest()
    print(
        f"{len(one) - len(differing)} of {len(one)} the same twice; Python {sys.version.split()[0]}, all: {whole[:16]}"
    )
    return tallies[1]


def _words(failure: Failure, campaign: str) -> str:
    seed, trace = failure
    named = "" if campaign == "all" else f" --campaign {campaign}"
    return f"seed {seed} failed; again: python -m tests.simulation --first {seed} --seeds 1 --jobs 1{named}\n{trace}"


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seeds", type=int, default=1000, help="how many; each is one to three crawls, two on average")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--twice", action="store_true", help="run each seed twice and compare requests and bytes")
    parser.add_argument("--campaign", choices=CAMPAIGNS, default="all", help="one trouble over its whole range")
    parser.add_argument("--every", type=int, default=5_000, help="seeds between two lines of progress")
    args = parser.parse_args()
    run = partial(run_all, args.first, args.seeds, jobs=args.jobs, campaign=args.campaign, every=args.every)
    tally = run_twice(lambda hash_seed: run(hash_seed=hash_seed)) if args.twice else run()
    print(f"{len(tally.failures)} failed")
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main())
