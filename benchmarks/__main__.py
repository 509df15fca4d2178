"""`make bench`, `make bench-peers`, `make bench-long`: measure, print, and keep the results as JSON and as plots."""

from __future__ import annotations

import argparse
import compileall
import json
import platform
import sys
import sysconfig
from importlib.metadata import version
from typing import Any

from benchmarks import peers, plots, product, report
from benchmarks.contestants import HERE

RESULTS = HERE / "results"


def main() -> int:
    """One of the three measurements."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("what", choices=("product", "peers", "long"), nargs="?", default="product")
    parser.add_argument("--rounds", type=int, default=9, help="alternating rounds (default: 9)")
    parser.add_argument("--long-users", type=int, default=10_000_000, help="users of the long run")
    args = parser.parse_args()
    place = product.Place(HERE / "work", args.rounds)
    place.work.mkdir(exist_ok=True)
    # Whoever installs with pip has compiled modules; an environment made by other means may compile at each start.
    compileall.compile_dir(sysconfig.get_path("purelib"), quiet=2, workers=0)
    compileall.compile_dir(HERE.parent / "syncer", quiet=2)
    RESULTS.mkdir(exist_ok=True)
    results = {"machine": _machine(), **_measure(args.what, place, args.long_users)}
    path = RESULTS / f"{args.what}.json"
    path.write_text(json.dumps(results, indent=1) + "\n")
    print(report.text(results))
    for name, svg in plots.plots(results).items():
        (RESULTS / f"{name}.svg").write_text(svg)
    print(f"kept in {path.relative_to(HERE.parent)}", file=sys.stderr)
    return 0


def _measure(what: str, place: product.Place, long_users: int) -> dict[str, Any]:
    if what == "peers":
        return {"peers": peers.measure(place)}
    if what == "long":
        return {
            "growth": product.growth(place, (10_000, 100_000, 1_000_000, long_users)),
            "walkers": product.walkers(place),
        }
    return {
        "floor": product.against_the_floor(place),
        "growth": product.growth(place, (10_000, 100_000, 1_000_000, 5_000_000)),
        "page_sizes": product.page_sizes(place),
        "latencies": product.latencies(place),
        "rate_limits": product.rate_limits(place),
    }


def _machine() -> dict[str, str]:
    named = ("aiohttp", "orjson", "pyarrow", "aiolimiter")
    return {"python": platform.python_version(), "machine": platform.machine(), **{n: version(n) for n in named}}


if __name__ == "__main__":
    sys.exit(main())
