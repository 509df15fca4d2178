"""One run for each account and state folder: a lock that the kernel frees when its holder dies, however it dies.

``flock``, not a pid file: nothing is ever stale. Not to be trusted on network file systems.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from syncer.errors import LockHeld, StorageFailed

_LOOKS_MAX, _LOOK_SECONDS = 20, 0.01
"""Between taking the lock and signing lie microseconds, and on a busy machine some more."""


@contextmanager
def hold_lock(path: Path, account_sid: str, now: datetime) -> Iterator[None]:
    """Hold the account's lock while the block runs. Raises LockHeld at once, saying who holds it and since when."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise StorageFailed(f"the lock {path} cannot be opened: {error.strerror}", hint="check state_dir") from None
    try:
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": now.isoformat(timespec="seconds")}
        signature = json.dumps(holder).encode()
        _take(descriptor, account_sid)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, signature, 0)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def refuse_if_held(path: Path, account_sid: str) -> None:
    """Raise LockHeld if another run holds the lock now: a look before anything slow, the lock itself is taken later."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return  # nobody has held it yet, or taking it will say what is wrong
    try:
        _take(descriptor, account_sid, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def _take(descriptor: int, account_sid: str, kind: int = fcntl.LOCK_EX) -> None:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        raise LockHeld(
            f"another run of account {account_sid} is at work{_holder(descriptor)}", hint="wait for it, or end it first"
        ) from None


def _holder(descriptor: int) -> str:
    """Who holds it and since when, in words. Who has just taken it gets a moment to sign."""
    for _ in range(_LOOKS_MAX):
        if words := _signed(descriptor):
            return words
        time.sleep(_LOOK_SECONDS)
    return ""


def _signed(descriptor: int) -> str:
    """Nothing where nobody has signed, or only a run that was killed since."""
    try:
        holder = json.loads(os.pread(descriptor, 4096, 0))
        pid, host, since = int(holder["pid"]), str(holder["host"]), str(holder["since"])
    except (ValueError, KeyError, TypeError, OSError):
        return ""
    return "" if host == socket.gethostname() and not _is_alive(pid) else f": process {pid} on {host}, since {since}"


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # another user's
    return True
