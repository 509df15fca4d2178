"""What `make bench` measures of the product, part by part. Each gives a document for the results file."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import parallel
from benchmarks.bare import seconds_a_page as bare_seconds_a_page
from benchmarks.contestants import BOTH, FLOOR, FLOOR_BY_HTTP, PARQUET, Contestant, Job, environment, export_command
from benchmarks.measure import Run, run, spread
from benchmarks.pages import make_pages
from benchmarks.rounds import check, cpu_ratios, run_rounds
from benchmarks.server import serving, serving_slowly

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where everything is kept, and how often it is repeated."""

    work: Path
    rounds: int

    def pages(self, users: int, page_users: int = 1000) -> Path:
        """A list of so many users."""
        return make_pages(self.work / "pages", users, page_users)


def against_the_floor(place: Place) -> dict[str, Any]:
    """A million users: the floor from files and over HTTP, Parquet alone, both formats."""
    pages = place.pages(MILLION)
    with serving(pages, place.work / "nginx") as url:
        contestants = [FLOOR, FLOOR_BY_HTTP, PARQUET, BOTH]
        outcomes = run_rounds(contestants, Job(url, pages, place.work / "run"), place.rounds)
    parquet = outcomes[PARQUET.name].checked["parquet_bytes"]
    return {
        "users": MILLION,
        "runs": {name: outcome.document() for name, outcome in outcomes.items()},
        "cpu_against_floor": spread(cpu_ratios(outcomes, PARQUET.name, FLOOR.name)).document(),
        "cpu_against_floor_by_http": spread(cpu_ratios(outcomes, PARQUET.name, FLOOR_BY_HTTP.name)).document(),
        "both_against_parquet": spread(cpu_ratios(outcomes, BOTH.name, PARQUET.name)).document(),
        "parquet_bytes_a_user": round(parquet / MILLION, 2),
    }


def growth(place: Place, sizes: tuple[int, ...]) -> list[dict[str, Any]]:
    """Parquet alone, over the number of users."""
    rows = []
    for users in sizes:
        rounds = place.rounds if users <= 100_000 else max(1, min(3, place.rounds))
        rows.append({"users": users, **_alone(place, place.pages(users), PARQUET, rounds if users <= MILLION else 1)})
    return rows


def page_sizes(place: Place) -> list[dict[str, Any]]:
    """100,000 users at several numbers of users a page."""
    rows = []
    for size in (50, 200, 1000):
        contestant = PARQUET
        rows.append({"users_a_page": size, **_alone(place, place.pages(100_000, size), contestant, 3, size)})
    return rows


def latencies(place: Place) -> list[dict[str, Any]]:
    """One walker over a slow line: wall time against pages x latency."""
    rows = []
    for milliseconds, users in ((50, 1_000_000), (200, 400_000)):
        pages = place.pages(users)
        with serving_slowly(pages, place.work / "slow", milliseconds / 1000) as (url, _):
            bare = bare_seconds_a_page(url)
            took, checked = _export(
                place, Job(url, pages, place.work / "run"), lambda job: export_command(job, "parquet")
            )
        ideal = users / 1000 * milliseconds / 1000
        rows.append(
            {
                "latency_ms": milliseconds,
                "pages": users // 1000,
                "ideal_seconds": ideal,
                "wall_seconds": round(took.wall_seconds, 3),
                "wall_against_ideal": round(took.wall_seconds / ideal, 3),
                "bare_ms_a_page": round(bare * 1000, 2),
                "wall_against_bare": round(took.wall_seconds / (bare * users / 1000), 3),
                "check": checked,
            }
        )
    return rows


def rate_limits(place: Place) -> list[dict[str, Any]]:
    """A limit of 20 requests a second that the settings know, and one that they do not; ideal are the pages alone."""
    rows = []
    users = 600_000
    pages = place.pages(users)
    for name, rate in (("known", 20.0), ("unknown", 1000.0)):
        with serving_slowly(pages, place.work / "slow", 0.02, 20.0) as (url, counts):
            took, checked = _export(
                place, Job(url, pages, place.work / "run"), lambda job, r=rate: export_command(job, "parquet", rate=r)
            )
        ideal = users / 1000 / 20.0
        rows.append(
            {
                "limit": name,
                "wall_seconds": round(took.wall_seconds, 3),
                "ideal_seconds": round(ideal, 3),
                "wall_against_ideal": round(took.wall_seconds / ideal, 3),
                "check": checked,
                **counts,
            }
        )
    return rows


def walkers(place: Place) -> list[dict[str, Any]]:
    """Second runs of 200 pages: users a page, latency, walkers. The server is the emulator, in a process of its own."""
    rows = []
    for page_size in (50, 200, 1000):
        for latency in (0.0, 50.0, 200.0):
            setting = parallel.Setting(200, page_size, latency, ("parquet",))
            with tempfile.TemporaryDirectory(dir=place.work) as folder:
                rows.append(parallel.report(setting, parallel.measure(setting, [4, 16, 64], 1, Path(folder))))
            print(f"  {page_size} users a page, {latency:g} ms", file=sys.stderr)
    return rows


def _alone(place: Place, pages: Path, contestant: Contestant, rounds: int, page_size: int = 1000) -> dict[str, Any]:
    with serving(pages, place.work / "nginx") as url:
        job = Job(url, pages, place.work / "run", page_size, watched="state")
        return run_rounds([contestant], job, rounds)[contestant.name].document()


def _export(place: Place, job: Job, command: Callable[[Job], list[str]]) -> tuple[Run, dict[str, Any]]:
    shutil.rmtree(job.folder, ignore_errors=True)
    job.folder.mkdir(parents=True)
    took = run(command(job), environment({"HOME": str(job.folder)}), place.work / "output.log")
    checked = check(job.pages, job.folder)
    shutil.rmtree(job.folder)
    return took, checked
