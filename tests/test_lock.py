"""The account's lock: one holder, freed with it, and a look that does not take it."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from syncer.errors import LockHeld, StorageFailed
from syncer.lock import hold_lock, refuse_if_held

NOW = datetime(2026, 11, 24, 2, tzinfo=UTC)


def test_a_held_lock_is_refused_with_its_holder_by_taking_and_by_looking(tmp_path: Path) -> None:
    path = tmp_path / "state" / "lock"
    with hold_lock(path, "AC1", NOW):
        with pytest.raises(
            LockHeld, match=r"another run of account AC1 is at work: process \d+ on .*, since 2026-11-24T02"
        ):
            refuse_if_held(path, "AC1")
        with pytest.raises(LockHeld), hold_lock(path, "AC1", NOW):
            pass
    refuse_if_held(path, "AC1")


def test_a_look_neither_creates_the_lock_nor_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    refuse_if_held(path, "AC1")
    assert not path.exists()
    with hold_lock(path, "AC1", NOW):
        pass
    refuse_if_held(path, "AC1")
    with hold_lock(path, "AC1", NOW):
        pass


def test_a_lock_that_cannot_be_opened_is_a_failure_of_storage(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageFailed, match="cannot be opened"), hold_lock(tmp_path / "file" / "lock", "AC1", NOW):
        pass


def sign(path: Path, **holder: object) -> None:
    path.write_text(json.dumps({"host": socket.gethostname(), "since": "2026-11-24T02:00:00+00:00", **holder}))


def refusal(path: Path) -> str:
    with pytest.raises(LockHeld) as refused:
        refuse_if_held(path, "AC1")
    return str(refused.value)


def test_who_has_just_taken_the_lock_gets_a_moment_to_sign(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        timer = threading.Timer(0.05, sign, [path], {"pid": os.getpid()})
        timer.start()
        assert f"process {os.getpid()} on " in refusal(path)
        timer.join()


def test_the_name_of_a_killed_run_is_not_taken_for_the_holders(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    killed = subprocess.Popen(["sleep", "60"])
    killed.kill()
    killed.wait()
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        sign(path, pid=killed.pid)
        assert "process" not in refusal(path)
        sign(path, pid=killed.pid, host="elsewhere.example")
        assert f"process {killed.pid} on elsewhere.example, since 2026-11-24T02" in refusal(path)
