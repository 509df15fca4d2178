"""The file beside the spool that holds the pages' columns: opaque bytes, appended, never changed.

What a row of the spool names was written before that row. After ``kill -9`` it is there. After a power cut it may not
be, unless it was synced: whoever opens the file again reads what was not.
"""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from pathlib import Path

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW


@dataclass(frozen=True, slots=True)
class Place:
    """Where a payload lies: offset and length in bytes, and the CRC-32 of its content."""

    at: int
    size: int
    checksum: int


class PayloadFile:
    """Raises OSError where the disk does."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, _FLAGS, 0o600)
        self._end = os.fstat(self._descriptor).st_size
        self._is_named = False

    def append(self, payload: bytes | memoryview) -> Place:
        """Write all of it. What a failed call leaves is never named, and the next one goes after it."""
        place = Place(self._end, len(payload), zlib.crc32(payload))
        left = memoryview(payload)
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        finally:
            self._end = os.fstat(self._descriptor).st_size if left else self._end + len(payload)
        return place

    def read(self, place: Place) -> bytes | None:
        """The payload; None when it is not what was written there."""
        found = os.pread(self._descriptor, place.size, place.at)
        return found if len(found) == place.size and zlib.crc32(found) == place.checksum else None

    def sync(self) -> None:
        """Make everything durable; the file's name too, the first time."""
        os.fdatasync(self._descriptor)
        if not self._is_named:
            folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
            self._is_named = True

    def clear(self) -> None:
        """Forget everything; no row may name any of it."""
        os.ftruncate(self._descriptor, 0)
        self._end = 0

    def close(self) -> None:
        """Nothing is lost; once is enough."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def remove(self) -> None:
        """Delete the file."""
        self._path.unlink(missing_ok=True)
