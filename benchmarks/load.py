"""What `syncer load` costs: each target with 100,000, one million and five million users, on a PostgreSQL of its own.

``python -m benchmarks.load [--users N ...] [--targets ...]``; exit code 1 when a checksum differs or a limit is passed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.measure import Run, run

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "benchmarks" / "work" / "load"
TARGETS = ("duckdb", "postgresql", "delta", "iceberg")
USERS = (100_000, 1_000_000, 5_000_000)
PEAK_MIB_MAX = 116 + 150
"""150 MiB above an export of as many users (docs/formats.md)."""
ROWS_A_SECOND_MIN = 500_000
"""PostgreSQL, one million users, from the command's own clock: checks, COPY, key, count and swap."""
FOUND = (
    "SELECT count(*), count(deleted_at), sum(('x' || substr(md5(id), 1, 8))::bit(32)::bigint)::text, "
    "sum((extract(epoch FROM updated_at) * 1000000)::bigint)::text FROM users"
)
EXPECTED = (
    "SELECT count(*), count(deleted_at), sum(('0x' || substr(md5(id), 1, 8))::BIGINT)::VARCHAR, "
    "sum(epoch_us(updated_at))::VARCHAR FROM '{exports}/parquet/**/*.parquet'"
)
"""The same checksum by DuckDB, from the files."""


def main() -> int:
    """Make the snapshots, load them, print and judge the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, nargs="*", default=USERS)
    parser.add_argument("--targets", nargs="*", default=TARGETS, choices=TARGETS)
    parser.add_argument("--make", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--expect", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.make:
        return make(args.make)
    if args.expect:
        return expect(args.expect)
    if args.serve:
        return serve()
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    print(f"{'target':10}  {'users':>9}  {'seconds':>7}  {'rows/s':>9}  {'CPU s':>6}  {'peak MiB':>8}")
    outcomes = [_measure(users, target) for users in args.users for target in args.targets]
    return int(not all(outcomes))


def make(users: int) -> int:
    """A snapshot, in a process of its own: a child's peak memory begins with its parent's."""
    from tests.loaded_data import publish_users

    publish_users(WORK / str(users), users)
    return 0


def serve() -> int:
    """A PostgreSQL server until standard input ends; its URL is the first line. Then the checksum of what it holds."""
    from tests.postgres_cluster import postgres_cluster

    with postgres_cluster() as cluster:
        print(cluster.url, flush=True)
        sys.stdin.read()
        print(json.dumps(cluster.query(FOUND)[0]), flush=True)
    return 0


def expect(users: int) -> int:
    """The checksum of a snapshot's files."""
    import duckdb

    row = duckdb.sql(EXPECTED.replace("{exports}", str(WORK / str(users)))).fetchall()[0]
    print(json.dumps(row))
    return 0


def _measure(users: int, target: str) -> bool:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **_catalog()}
    exports = WORK / str(users)
    if not exports.exists():
        run([sys.executable, "-m", "benchmarks.load", "--make", str(users)], environment, WORK / "make.log")
    place = WORK / f"{target}-{users}"
    if target == "postgresql":
        return _with_server(users, exports, environment)
    uri = {"duckdb": f"duckdb:///{place}.db", "delta": f"delta:{place}", "iceberg": f"iceberg:bench.n{users}.users"}
    cost, seconds = _load(uri[target], exports, environment)
    return _told(target, users, seconds, cost)


def _with_server(users: int, exports: Path, environment: dict[str, str]) -> bool:
    command = [sys.executable, "-m", "benchmarks.load", "--serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as server:
        assert server.stdout is not None
        cost, seconds = _load(server.stdout.readline().strip(), exports, environment)
        found, _ = server.communicate(timeout=120)
    run([sys.executable, "-m", "benchmarks.load", "--expect", str(users)], environment, WORK / "expected.json")
    right = json.loads(found) == json.loads((WORK / "expected.json").read_bytes())
    if not right:
        print(f"  the checksum is WRONG: {found.strip()}")
    return _told("postgresql", users, seconds, cost) and right


def _load(target: str, exports: Path, environment: dict[str, str]) -> tuple[Run, float]:
    command = [sys.executable, "-m", "syncer", "load", target, "--destination", str(exports), "--json"]
    command += ["--log-level", "error"]
    cost = run(command, environment, WORK / "load.json")
    return cost, float(json.loads((WORK / "load.json").read_bytes())["seconds"])


def _told(target: str, users: int, seconds: float, cost: Run) -> bool:
    rate = users / seconds
    print(
        f"{target:10}  {users:>9,}  {seconds:>7.2f}  {rate:>9,.0f}  {cost.cpu_seconds:>6.2f}  {cost.peak_mib:>8.0f}",
        flush=True,
    )
    fast = target != "postgresql" or users != 1_000_000 or rate >= ROWS_A_SECOND_MIN
    return fast and cost.peak_mib <= PEAK_MIB_MAX


def _catalog() -> dict[str, str]:
    settings = {"TYPE": "sql", "URI": f"sqlite:///{WORK}/catalog.db", "WAREHOUSE": (WORK / "iceberg").as_uri()}
    return {f"PYICEBERG_CATALOG__BENCH__{name}": value for name, value in settings.items()}


if __name__ == "__main__":
    sys.exit(main())
