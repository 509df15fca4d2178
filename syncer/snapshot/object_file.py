"""An object as a file that can be read from anywhere, a few MiB at a time, and the blocks of a local file.

Reads only. Memory: one buffer for each open file.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, cast

import obstore

from syncer.errors import StorageFailed
from syncer.snapshot.files import storage_errors
from syncer.snapshot.object_errors import object_errors

BUFFER_BYTES = 4 << 20
"""Of a reader: one request for so much."""
BLOCK_BYTES = 1 << 20


class ObjectFile(io.RawIOBase):
    """The bytes of an object that does not change; its size is known."""

    def __init__(self, client: Any, path: str, shown: str, size: int) -> None:
        super().__init__()
        self._client = client
        self._path = path
        self._shown = shown
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError("a file has no place before its start")
        self._at = start + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        length = min(len(buffer), self._size - self._at)
        if length <= 0:
            return 0
        with object_errors(self._shown, "read"):
            data = obstore.get_range(self._client, self._path, start=self._at, length=length)
        if len(data) != length:
            raise StorageFailed(f"{self._shown} has fewer bytes than it had", hint="run again")
        buffer[:length] = memoryview(data)
        self._at += length
        return length


def open_object(client: Any, path: str, shown: str, size: int) -> BinaryIO:
    """Buffered, as most readers ask for small pieces that follow one another."""
    return cast(BinaryIO, io.BufferedReader(ObjectFile(client, path, shown, size), BUFFER_BYTES))


class HashedBlocks:
    """A local file in blocks, and what they amount to once all have been taken."""

    def __init__(self, path: Path) -> None:
        self.bytes = 0
        self._path = path
        self._sha256 = sha256()

    @property
    def sha256(self) -> str:
        """Of the blocks that were taken, in hex."""
        return self._sha256.hexdigest()

    def __iter__(self) -> Iterator[bytes]:
        with storage_errors(self._path, "read"), self._path.open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                self._sha256.update(block)
                self.bytes += len(block)
                yield block
