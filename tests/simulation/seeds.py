"""One seed, and many in one process: each in a folder of its own, none without end."""

from __future__ import annotations

import gc
import logging
import signal
import tempfile
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from tests.simulation.campaigns import CAMPAIGNS
from tests.simulation.clocks import check_pace
from tests.simulation.night import Outcome, simulate
from tests.simulation.scenario import scenario

SEED_SECONDS_MAX = 5
"""Processor time for one seed, whatever else the machine does; a run that does not end is a finding."""
Failure = tuple[int, str]


@contextmanager
def folder_for_seed() -> Iterator[Path]:
    """A folder in memory where there is some: a simulated disk gains nothing from a real one."""
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory("", "syncer-simulation-", memory, ignore_cleanup_errors=True) as name:
        yield Path(name)


def run_seed(seed: int, campaign: str, *, with_digest: bool) -> Outcome:
    """One scenario in a folder of its own."""
    drawn = CAMPAIGNS[campaign](scenario(seed))
    with folder_for_seed() as folder:
        outcome = simulate(drawn, folder, with_digest=with_digest)
        if campaign == "clock":
            compared = check_pace(drawn, folder / "pace")
            outcome = replace(outcome, notes=("paced as by a true clock" if compared else "not compared",))
        return outcome


def run_chunk(seeds: Iterable[int], campaign: str, with_digest: bool) -> tuple[list[Outcome], list[Failure]]:
    """Many seeds in one process."""
    logging.disable(logging.CRITICAL)
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    gc.collect()
    gc.freeze()  # what is loaded by now stays: only what the seeds leave behind is looked through
    signal.signal(signal.SIGPROF, _too_long)
    done, failed = [], []
    for seed in seeds:
        signal.setitimer(signal.ITIMER_PROF, SEED_SECONDS_MAX)
        try:
            done.append(run_seed(seed, campaign, with_digest=with_digest))
        except BaseException:
            failed.append((seed, traceback.format_exc(limit=-4)))
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
    return done, failed


class DidNotEnd(BaseException):
    """A run that does not end; nothing may swallow it."""


def _too_long(number: int, frame: object) -> None:
    raise DidNotEnd(f"the seed did not end within {SEED_SECONDS_MAX} s")
