"""Several accounts in one run of the program: side by side, and none in the way of another."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from syncer.lock import hold_lock
from tests.processes import Emulator, data_files, emulator, export_flags, syncer

NOW = datetime(2026, 11, 24, 2, tzinfo=UTC)
SIDS = tuple("AC" + letter * 32 for letter in "abcd")


def config(folder: Path, count: int, **more: object) -> str:
    """A configuration of so many accounts, each with a secret of its own."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in more.items()]
    for n, sid in enumerate(SIDS[:count]):
        lines += ["[[accounts]]", f'sid = "{sid}"', f'auth_token = {{ env = "SECRET_{n}" }}']
    path = folder / "config.toml"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


@contextmanager
def service(folder: Path, accepted: int, *flags: str) -> Iterator[Emulator]:
    """An emulator that knows the first so many accounts."""
    known = folder / "credentials"
    known.write_text("".join(f"{sid}:secret-{n}\n" for n, sid in enumerate(SIDS[:accepted])))
    with emulator("--credentials-file", str(known), *flags) as running:
        yield running


def run(
    url: str, folder: Path, config_file: str, *more: str
) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    secrets = {f"SECRET_{n}": f"secret-{n}" for n in range(len(SIDS))}
    done = syncer(*export_flags(url, folder, "--config", config_file, *more), **secrets)
    return done, json.loads(done.stdout) if done.stdout else {}


def stats(running: Emulator) -> dict[str, Any]:
    with urllib.request.urlopen(f"{running.control_url}/stats", timeout=30) as answer:
        return dict(json.loads(answer.read()))


def of_account(running: Emulator, sid: str) -> list[dict[str, Any]]:
    return [entry for entry in running.lists() if entry["account"] == sid]


def overlap_seconds(running: Emulator, one: str, other: str) -> float:
    """How long requests of both accounts were made at the same time."""
    spans = [[(e["start"], e["end"]) for e in of_account(running, sid)] for sid in (one, other)]
    return min(max(end for _, end in span) for span in spans) - max(min(start for start, _ in span) for span in spans)


def test_accounts_are_exported_side_by_side_each_with_its_own_snapshot_and_state(tmp_path: Path) -> None:
    with service(tmp_path, 2, "--users", "500", "--latency", "50") as running:
        done, printed = run(running.url, tmp_path, config(tmp_path, 2), "--page-size", "50")
        assert done.returncode == 0, done.stderr
        assert overlap_seconds(running, *SIDS[:2]) > 0.3  # ten pages of 50 ms each
        assert [s["account_sid"] for s in printed["snapshots"]] == list(SIDS[:2])
        assert [s["users"] for s in printed["snapshots"]] == [500, 500]
        assert sorted(path.name for path in (tmp_path / "state").iterdir()) == list(SIDS[:2])
        verified = [syncer("verify", "--destination", f"{tmp_path}/exports", "--account", sid) for sid in SIDS[:2]]
        assert [v.returncode for v in verified] == [0, 0]
        pointers = sorted((tmp_path / "exports" / "snapshots").glob("*/latest.json"))
        assert [p.parent.name for p in pointers] == [f"account_sid={sid}" for sid in SIDS[:2]]


def test_accounts_that_fail_are_named_and_hold_back_no_other(tmp_path: Path) -> None:
    config_file = config(tmp_path, 4)
    with service(tmp_path, 3, "--users", "120") as running, hold_lock(tmp_path / "state" / SIDS[1] / "lock", "x", NOW):
        (tmp_path / "state" / SIDS[2] / "spool.sqlite").mkdir(parents=True)  # a state that cannot be used
        done, printed = run(running.url, tmp_path, config_file, "--page-size", "50")
        assert done.returncode == 9, done.stderr
        assert [s["account_sid"] for s in printed["snapshots"]] == [SIDS[0]]
        assert [(f["account_sid"], f["exit_code"]) for f in printed["failed"]] == [
            (SIDS[1], 7),
            (SIDS[2], 6),
            (SIDS[3], 3),
        ]
        told = [line for line in done.stderr.splitlines() if line.startswith("syncer: error:")]
        assert [sid in line for sid, line in zip(SIDS[1:], told, strict=True)] == [True] * 3
        assert len(data_files(tmp_path)) == 2


def test_when_all_accounts_fail_the_first_ones_code_stands(tmp_path: Path) -> None:
    config_file = config(tmp_path, 2)
    with service(tmp_path, 1) as running, hold_lock(tmp_path / "state" / SIDS[0] / "lock", "x", NOW):
        done, printed = run(running.url, tmp_path, config_file)
        assert done.returncode == 7
        assert [f["exit_code"] for f in printed["failed"]] == [7, 3]
        assert printed["snapshots"] == []


def test_requests_at_once_of_all_accounts_have_one_bound(tmp_path: Path) -> None:
    with service(tmp_path, 3, "--users", "1500", "--latency", "20") as running:
        config_file = config(tmp_path, 3, process_concurrency=5)
        for _ in range(2):  # the second run walks from entries: eight walkers for each account
            done, printed = run(running.url, tmp_path, config_file, "--page-size", "50")
            assert done.returncode == 0, done.stderr
            assert [s["users"] for s in printed["snapshots"]] == [1500] * 3
        assert stats(running)["max_concurrent"] == 5


def test_a_429_of_one_account_closes_no_other_ones_door(tmp_path: Path) -> None:
    with service(tmp_path, 2, "--users", "1000", "--latency", "20") as running:
        running.fail({"kind": "429:3", "count": 1, "at": 6})
        done, _ = run(running.url, tmp_path, config(tmp_path, 2), "--page-size", "50")
        assert done.returncode == 0, done.stderr
        (refused,) = [entry for entry in running.lists() if entry["status"] == 429]
        other = SIDS[1] if refused["account"] == SIDS[0] else SIDS[0]
        waited = [e for e in of_account(running, refused["account"]) if e["start"] > refused["end"]]
        assert waited[0]["start"] - refused["end"] >= 3
        assert max(e["end"] for e in of_account(running, other)) < refused["end"] + 3
        assert stats(running)["early_requests"] == 0
