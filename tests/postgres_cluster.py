"""A PostgreSQL cluster of its own for tests: in a temporary folder, on a socket there, stopped by its process id."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import adbc_driver_postgresql.dbapi as adbc
import pytest

MISSING = (
    "PostgreSQL's server is not installed: apt-get install --no-install-recommends postgresql (make debian-packages)"
)
_START_SECONDS = 30.0
ROLE = "tester"


@dataclass(frozen=True)
class Cluster:
    """A running server; logins over its socket are trusted, over loopback they need the password."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"postgresql://{ROLE}@/postgres?host={quote(str(self.folder))}&port={self.port}"

    def query(self, sql: str) -> list[tuple[object, ...]]:
        """One query, or one statement, in a connection of its own."""
        with adbc.connect(self.url) as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            found = list(cursor.fetchall()) if cursor.description else []
            connection.commit()
            return found


@contextmanager
def postgres_cluster(*settings: str) -> Iterator[Cluster]:
    """Make and start one, stop and remove it. Skips without the server; under CI that is a failure."""
    programs = find_programs()
    if programs is None:
        if os.environ.get("CI"):
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # a socket's path has room for 107 bytes
    try:
        who = _unprivileged(folder)
        data = folder / "data"
        make = [str(programs / "initdb"), "-D", str(data), "-U", ROLE, "--auth=trust", "--no-sync", "-E", "UTF8"]
        subprocess.run([*make, "--locale=C"], check=True, capture_output=True, timeout=120, cwd=folder, **who)
        options = [f"unix_socket_directories={folder}", "listen_addresses=", "fsync=off", "shared_buffers=128MB"]
        flags = [word for option in (*options, *settings) for word in ("-c", option)]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [str(programs / "postgres"), "-D", str(data), "-p", "5432", *flags],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=folder, **who,
            )  # fmt: skip
        try:
            cluster = Cluster(folder, 5432, process)
            _wait(cluster)
            yield cluster
        finally:
            process.send_signal(signal.SIGINT)  # the server's own word for: end now, whoever is connected
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGQUIT)
                process.wait(20)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def find_programs() -> Path | None:
    """The folder of ``initdb`` and ``postgres``; Debian keeps them off the path. The newest that can run."""
    found = [Path(path).parent for path in [shutil.which("postgres")] if path]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    return next((path for path in found if (path / "initdb").exists() and (path / "postgres").exists()), None)


def _unprivileged(folder: Path) -> dict[str, object]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        os.chown(folder, entry.pw_uid, entry.pw_gid)
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    pytest.fail("there is no user but root to run PostgreSQL as")


def _wait(cluster: Cluster) -> None:
    until = time.monotonic() + _START_SECONDS
    while True:
        try:
            cluster.query("SELECT 1")
            return
        except adbc.Error:
            if cluster.process.poll() is not None or time.monotonic() > until:
                pytest.fail(f"PostgreSQL did not start: {(cluster.folder / 'log').read_text()[-1000:]}")
            time.sleep(0.05)
