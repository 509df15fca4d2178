"""An append-only file of lines that several workers write to; each waits until its lines are on the disk.

Workers that wait together share one fsync. Holds a lock: two runs never write to one file.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from syncer.errors import LockHeld, StorageFailed
from syncer.model import RunBlocking


class Journal:
    """One open file."""

    def __init__(self, path: Path, *, sync: bool = True) -> None:
        """Create or open. Raises LockHeld, StorageFailed."""
        self.path = path
        self._sync = sync
        self._waiting: list[bytes] = []
        self._batch = 0
        self._flushing = asyncio.Lock()
        self._failure: StorageFailed | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
            self._descriptor = os.open(path, flags, 0o600)
        except OSError as error:
            raise self._failed(error, "opened") from None
        self._lock()
        self._size = os.fstat(self._descriptor).st_size
        sync_folder(path.parent)

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Whole lines without their ends, each with where it begins; to be used up. A torn last one is cut off."""
        at = 0
        try:
            with open(self.path, "rb") as file:
                for line in file:
                    if not line.endswith(b"\n"):
                        os.ftruncate(self._descriptor, at)
                        self._size = at
                        return
                    yield at, line[:-1]
                    at += len(line)
        except OSError as error:
            raise self._failed(error, "read") from None

    @property
    def size(self) -> int:
        """Bytes written, and waiting to be."""
        return self._size

    def clear(self) -> None:
        """Forget all lines; before the first ``append``."""
        try:
            os.ftruncate(self._descriptor, 0)
        except OSError as error:
            raise self._failed(error, "written") from None
        self._size = 0

    def append_now(self, line: bytes) -> None:
        """Write one line, without any other at work."""
        self._size += len(line)
        self._write(line)

    async def append(self, lines: list[bytes], run_blocking: RunBlocking) -> int:
        """Write lines, each with its line end, and return where they begin; they are on the disk when this returns.

        Raises StorageFailed.
        """
        begin = self._size
        self._size += sum(map(len, lines))
        self._waiting += lines
        batch = self._batch
        async with self._flushing:
            if self._failure:
                raise self._failure
            if self._batch > batch:
                return begin  # another worker took these lines along
            data, self._waiting = b"".join(self._waiting), []
            self._batch += 1
            await run_blocking(lambda: self._write(data))
        return begin

    def close(self) -> None:
        """Free the lock."""
        os.close(self._descriptor)

    def _write(self, data: bytes) -> None:
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._descriptor, view) :]
            if self._sync:
                os.fsync(self._descriptor)
        except OSError as error:
            self._failure = self._failed(error, "written")
            raise self._failure from None

    def _lock(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._descriptor)
            raise LockHeld(f"another run writes to {self.path}", hint="wait for it, or name another file") from None

    def _failed(self, error: OSError, verb: str) -> StorageFailed:
        return StorageFailed(f"{self.path} cannot be {verb}: {error.strerror}", hint="repair it and run again")


def sync_folder(folder: Path) -> None:
    """Make durable what a folder holds by name."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
