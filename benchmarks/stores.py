"""What publishing to an object store costs in memory: the same export to a local disk, to S3, to Azure, on loopback.

``python -m benchmarks.stores [--users N ...]``; exit code 1 when a peak is more than 150 MiB above that of the local
export. moto's server and Azurite are the tests' own; without Azurite (docs/stores.md) Azure is left out.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks.contestants import Job, environment, export_command
from benchmarks.measure import Run, run
from benchmarks.pages import make_pages
from benchmarks.server import serving

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "benchmarks" / "work"
USERS = (100_000, 5_000_000)
FORMATS = (("parquet",), ("parquet", "ndjson"))
ABOVE_LOCAL_MIB_MAX = 150.0


def main() -> int:
    """Export to each store, print and judge the peaks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, nargs="*", default=USERS)
    parser.add_argument("--stores", nargs="*", default=("s3", "azure"), choices=("s3", "azure"))
    args = parser.parse_args()
    print(
        f"{'store':6}  {'users':>9}  {'formats':14}  {'seconds':>7}  {'CPU s':>6}  {'peak MiB':>8}  {'above local':>11}"
    )
    fine = True
    for users in args.users:
        pages = make_pages(WORK / "pages", users)
        with serving(pages, WORK / "nginx") as url:
            for formats in FORMATS:
                fine &= _compare(Job(url, pages, WORK / "stores" / "run"), users, formats, args.stores)
    return int(not fine)


def _compare(job: Job, users: int, formats: tuple[str, ...], stores: list[str]) -> bool:
    local, fine = 0.0, True
    for store in ("local", *stores):
        with _opened(store) as place:
            if place is None:
                print(f"{store:6}  is not there, and left out")
                continue
            uri, env = place
            cost = _export(job, formats, f"{uri}/{users}-{len(formats)}" if uri else "", env)
        local = local or cost.peak_mib
        above = cost.peak_mib - local
        fine &= above <= ABOVE_LOCAL_MIB_MAX
        figures = f"{cost.wall_seconds:>7.1f}  {cost.cpu_seconds:>6.2f}  {cost.peak_mib:>8.0f}  {above:>+11.0f}"
        print(f"{store:6}  {users:>9,}  {' '.join(formats):14}  {figures}", flush=True)
    return fine


def _export(job: Job, formats: tuple[str, ...], destination: str, env: Mapping[str, str]) -> Run:
    shutil.rmtree(job.folder, ignore_errors=True)
    job.folder.mkdir(parents=True)
    command = export_command(job, *formats, destination=destination)
    try:
        return run(command, environment({"HOME": str(job.folder), **env}), job.folder.parent / "output.log")
    finally:
        shutil.rmtree(job.folder)


@contextmanager
def _opened(store: str) -> Iterator[tuple[str, Mapping[str, str]] | None]:
    """The store's URI and the environment that leads to it; an empty URI for the local disk."""
    from tests import clouds  # standard library only: a child's peak begins with its parent's

    if store == "local" or (store == "azure" and clouds.find_azurite() is None):
        yield ("", {}) if store == "local" else None
        return
    with clouds.s3() if store == "s3" else clouds.azure() as cloud:
        yield cloud.uri, cloud.env


if __name__ == "__main__":
    sys.exit(main())
