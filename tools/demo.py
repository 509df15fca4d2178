"""The demonstration behind `make demo`: a local emulator, one export, one verification, one question to DuckDB."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

USERS = 100_000
ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "demo"
SYNCER = [sys.executable, "-m", "syncer"]
SECONDS_MAX = 120
QUERY = """\
SELECT strftime(updated_at, '%Y-%m') AS last_updated, count(*) AS users, count(deleted_at) AS deleted
FROM read_parquet('demo/exports/parquet/**/*.parquet', hive_partitioning = true)
GROUP BY last_updated ORDER BY last_updated DESC LIMIT 5"""


@contextmanager
def emulator() -> Iterator[str]:
    """A local stand-in for the API, as a child process that is stopped at the end; its URL."""
    command = [*SYNCER, "emulator", "--users", str(USERS), "--latency", "30"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            if not url:
                sys.exit("the emulator did not start")
            yield url
        finally:
            process.terminate()


def run(*arguments: str, **environment: str) -> None:
    """Show a command, run it, and end the demonstration if it fails."""
    print(f"\n$ syncer {' '.join(arguments)}", flush=True)
    done = subprocess.run([*SYNCER, *arguments], cwd=ROOT, env={**os.environ, **environment}, timeout=SECONDS_MAX)
    if done.returncode:
        sys.exit(done.returncode)


def main() -> None:
    """Run it all below demo/, from nothing."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    (FOLDER / "config.toml").write_text("# the demonstration needs no settings beyond its flags\n")
    account = {"TWILIO_ACCOUNT_SID": "AC" + "0123456789abcdef" * 2, "TWILIO_AUTH_TOKEN": "any-token-will-do"}
    places = ("--config", "demo/config.toml", "--destination", "demo/exports")
    with emulator() as url:
        flags = ("--state-dir", "demo/state", "--rate", "200", "--format", "parquet", "--format", "ndjson")
        run("export", *places, "--base-url", url, *flags, **account)
    run("verify", *places)
    print(f"\n$ duckdb\n{QUERY}")
    os.chdir(ROOT)
    print(duckdb.sql(QUERY))


if __name__ == "__main__":
    main()
