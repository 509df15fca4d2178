"""Who writes to a bucket: claims that other machines see, and the turn of the one that may commit.

A claim is a small object that names its writer. One that a killed run left is its successor's, and nobody's when old.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from syncer.errors import LockHeld
from syncer.snapshot.bucket import Bucket, version_of
from syncer.snapshot.local_store import LocalStore
from syncer.snapshot.store import TURN_WAIT_SECONDS, FileMissing

TURN_AGE_MAX = timedelta(minutes=15)
"""A turn this old is a dead run's: clocks that differ by more are refused by S3 itself."""


class Writer:
    """One writer: all runs with the same staging folder, of which there is one at a time."""

    def __init__(self, bucket: Bucket, staging: LocalStore) -> None:
        self._bucket = bucket
        self._staging = staging

    def claim(self, path: str) -> bool:
        """Whether what the path stands for is ours; a lost answer to an earlier try counts.

        One that was another's a moment ago, and is gone before it is read, was not ours either.
        """
        if self._bucket.put(path, self._signature(), "create"):
            return True
        found = self._read(path)
        return found is not None and self._is_mine(found.data)

    @contextmanager
    def turn(self, path: str) -> Iterator[None]:
        """Raises LockHeld when another run keeps it for longer than it should."""
        self.take_turn(path)
        try:
            yield
        finally:
            self._bucket.delete([path])

    def take_turn(self, path: str) -> None:
        """Wait for the turn, and take over that of a dead run. Raises LockHeld."""
        give_up_at = time.monotonic() + TURN_WAIT_SECONDS
        while not self._bucket.put(path, self._signature(), "create"):
            found = self._read(path)
            if found and (found.is_old or self._is_mine(found.data)) and self._replace(path, found):
                return
            if time.monotonic() > give_up_at:
                raise self._held(found)
            time.sleep(0.2)

    def _read(self, path: str) -> _Claim | None:
        try:
            data, meta = self._bucket.get(path)
        except FileMissing:
            return None  # given back since
        return _Claim(data, version_of(meta), datetime.now(UTC) - meta["last_modified"] > TURN_AGE_MAX)

    def _replace(self, path: str, found: _Claim) -> bool:
        return self._bucket.put(path, self._signature(), found.version)

    def _held(self, found: _Claim | None) -> LockHeld:
        held = _signed_by(found.data if found else b"")
        return LockHeld(
            f"another run is publishing to {self._bucket.shown}: process {held.get('pid')} on {held.get('host')},"
            f" since {held.get('since')}",
            hint=f"run again; if that run is dead, in {int(TURN_AGE_MAX.total_seconds()) // 60} minutes",
        )

    @cached_property
    def _name(self) -> str:
        self._staging.put_new("writer", secrets.token_hex(16).encode())
        return self._staging.read("writer").decode("ascii")

    def _signature(self) -> bytes:
        since = datetime.now(UTC).isoformat(timespec="seconds")
        host = socket.gethostname()
        return json.dumps({"writer": self._name, "pid": os.getpid(), "host": host, "since": since}).encode()

    def _is_mine(self, signature: bytes) -> bool:
        return _signed_by(signature).get("writer") == self._name


@dataclass(frozen=True, slots=True)
class _Claim:
    data: bytes
    version: dict[str, str]
    is_old: bool


def _signed_by(signature: bytes) -> dict[str, Any]:
    try:
        found = json.loads(signature)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
