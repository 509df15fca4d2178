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
import threading
import time
from contextlib import suppress
from pathlib import Path

from benchmarks.measure import Run, run

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "benchmarks" / "work" / "load"
TARGETS = ("duckdb", "duckdb-scd2", "duckdb-history", "postgresql", "delta", "iceberg")
USERS = (100_000, 1_000_000, 5_000_000)
PEAK_MIB_MAX = 116 + 150
"""150 MiB above an export of as many users (docs/formats.md)."""
ROWS_A_SECOND_MIN = 500_000
"""PostgreSQL, one million users, from the command's own clock: checks, COPY, key, count and swap."""
OLD, NEW, LATER = "20261121T020000Z", "20261122T020000Z", "20261123T020000Z"
OLD_USERS = 1000
FOUND = (
    "SELECT count(*), count(deleted_at), sum(('x' || substr(md5(id), 1, 8))::bit(32)::bigint)::text, "
    "sum((extract(epoch FROM updated_at) * 1000000)::bigint)::text FROM users"
)
EXPECTED = (
    "SELECT count(*), count(deleted_at), sum(('0x' || substr(md5(id), 1, 8))::BIGINT)::VARCHAR, "
    "sum(epoch_us(updated_at))::VARCHAR FROM '{exports}/parquet/*/*/snapshot_id={new}/*.parquet'"
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
    print(f"{'target':14}  {'users':>9}  {'seconds':>7}  {'rows/s':>9}  {'CPU s':>6}  {'peak MiB':>8}")
    outcomes = [_measure(users, target) for users in args.users for target in args.targets]
    return int(not all(outcomes))


def make(users: int) -> int:
    """A snapshot, a small one before it, and one after it in which 7 % differ; in a process of its own, as a child's
    peak memory begins with its parent's."""
    from tests.loaded_data import publish_users

    publish_users(WORK / str(users), OLD_USERS, OLD)
    publish_users(WORK / str(users), users, NEW)
    publish_users(WORK / str(users), users, LATER, changed_each=20, skipped_each=50)
    return 0


def serve() -> int:
    """A PostgreSQL server until standard input ends; its URL is the first line. Then, as JSON, the checksum of what it
    holds, its CPU seconds, and what a reader saw that looked all the time."""
    from tests.postgres_cluster import postgres_cluster

    with postgres_cluster("fsync=on") as cluster:
        print(cluster.url, flush=True)
        looks = Looks(cluster.url)
        for line in sys.stdin:
            if line == "look\n":
                looks.start(_cpu_seconds(cluster.process.pid))
        cpu_seconds = _cpu_seconds(cluster.process.pid) - looks.stop()
        told = {"checksum": cluster.query(FOUND)[0], "cpu_seconds": cpu_seconds, "looks": looks.count}
        print(json.dumps({**told, "seen": sorted(looks.seen), "longest_seconds": looks.longest_seconds}), flush=True)
    return 0


class Looks:
    """A dashboard that counts the table's users ten times a second."""

    def __init__(self, url: str) -> None:
        self.seen: set[int | str] = set()
        self.count = 0
        self.longest_seconds = 0.0
        self._url = url
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._cpu_before = 0.0

    def start(self, cpu_seconds: float) -> None:
        """``cpu_seconds``: the server's until now."""
        self._cpu_before = cpu_seconds
        self._thread.start()

    def stop(self) -> float:
        """The server's CPU seconds before the first look."""
        self._ended.set()
        self._thread.join(60)
        return self._cpu_before

    def _look(self) -> None:
        import adbc_driver_postgresql.dbapi as adbc

        with adbc.connect(self._url, autocommit=True) as connection:
            while not self._ended.wait(0.1):
                began = time.monotonic()
                with connection.cursor() as cursor:
                    try:
                        cursor.execute("SELECT count(*) FROM users")
                        self.seen.add(cursor.fetchone()[0])
                    except adbc.Error as error:
                        self.seen.add(str(error))
                        return
                self.count += 1
                self.longest_seconds = max(self.longest_seconds, time.monotonic() - began)


def _cpu_seconds(server: int) -> float:
    """Of a server and its children, those that have ended included."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            fields = path.read_text().rpartition(")")[2].split()
            if server in (int(path.parent.name), int(fields[1])):
                ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def expect(users: int) -> int:
    """The checksum of a snapshot's files."""
    import duckdb

    row = duckdb.sql(EXPECTED.format(exports=WORK / str(users), new=NEW)).fetchall()[0]
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
    if target.startswith("duckdb-"):  # a history is of interest once there is one
        mode = {"duckdb-scd2": "scd2", "duckdb-history": "append-history"}[target]
        _load(f"duckdb:///{place}.db", exports, environment, NEW, mode)
        cost, seconds = _load(f"duckdb:///{place}.db", exports, environment, LATER, mode)
        return _told(target, users, seconds, cost)
    uri = {"duckdb": f"duckdb:///{place}.db", "delta": f"delta:{place}", "iceberg": f"iceberg:bench.n{users}.users"}
    cost, seconds = _load(uri[target], exports, environment)
    return _told(target, users, seconds, cost)


def _with_server(users: int, exports: Path, environment: dict[str, str]) -> bool:
    """The old snapshot is loaded first: the reader is to see that one, then the new one, and nothing else."""
    command = [sys.executable, "-m", "benchmarks.load", "--serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        url = server.stdout.readline().strip()
        _load(url, exports, environment, OLD)
        server.stdin.write("look\n")
        server.stdin.flush()
        cost, seconds = _load(url, exports, environment)
        found = json.loads(server.communicate(timeout=120)[0])
    run([sys.executable, "-m", "benchmarks.load", "--expect", str(users)], environment, WORK / "expected.json")
    right = found["checksum"] == json.loads((WORK / "expected.json").read_bytes())
    whole = set(found["seen"]) <= {OLD_USERS, users}
    print(
        f"  the checksum is {'right' if right else 'WRONG'}; a reader looked {found['looks']} times, for at most "
        f"{found['longest_seconds']:.2f} s, and saw {found['seen']}; the server took {found['cpu_seconds']:.2f} CPU s"
    )
    return _told("postgresql", users, seconds, cost) and right and whole


def _load(
    target: str, exports: Path, environment: dict[str, str], snapshot: str = NEW, mode: str = "replace"
) -> tuple[Run, float]:
    command = [
        sys.executable,
        "-m",
        "syncer",
        "load",
        target,
        snapshot,
        "--destination",
        str(exports),
        "--json",
        "--mode",
        mode,
    ]
    command += ["--log-level", "error"]
    cost = run(command, environment, WORK / "load.json")
    return cost, float(json.loads((WORK / "load.json").read_bytes())["seconds"])


def _told(target: str, users: int, seconds: float, cost: Run) -> bool:
    rate = users / seconds
    print(
        f"{target:14}  {users:>9,}  {seconds:>7.2f}  {rate:>9,.0f}  {cost.cpu_seconds:>6.2f}  {cost.peak_mib:>8.0f}",
        flush=True,
    )
    fast = target != "postgresql" or users != 1_000_000 or rate >= ROWS_A_SECOND_MIN
    return fast and cost.peak_mib <= PEAK_MIB_MAX


def _catalog() -> dict[str, str]:
    settings = {"TYPE": "sql", "URI": f"sqlite:///{WORK}/catalog.db", "WAREHOUSE": (WORK / "iceberg").as_uri()}
    return {f"PYICEBERG_CATALOG__BENCH__{name}": value for name, value in settings.items()}


if __name__ == "__main__":
    sys.exit(main())
