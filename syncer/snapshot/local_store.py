"""Snapshots in a folder on a local disk: every write is whole or not there, also after a power cut.

Who may read is up to the umask.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from syncer.errors import LockHeld, StorageFailed
from syncer.snapshot import files
from syncer.snapshot.store import SMALL_BYTES_MAX, TURN_WAIT_SECONDS, FileMissing, too_long

_ABSENT = (errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF)


class LocalStore:
    """A folder on a local disk."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __repr__(self) -> str:
        return f"LocalStore({str(self.root)!r})"

    @property
    def uri(self) -> str:
        return self.root.absolute().as_uri()

    def names(self, folder: str) -> list[str]:
        path = self._at(folder)
        with files.storage_errors(path, "listed"):
            try:
                return sorted(name for name in os.listdir(path) if not files.is_temporary(name))
            except (FileNotFoundError, NotADirectoryError):
                return []

    def strangers(self, folder: str) -> list[str]:
        path = self._at(folder)
        with files.storage_errors(path, "listed"):
            return [name for name in self.names(folder) if not _is_plain((path / name).lstat().st_mode)]

    def size(self, path: str) -> int | None:
        at = self._at(path)
        with files.storage_errors(at, "read"):
            return at.stat().st_size if at.is_file() else None

    def exists(self, path: str) -> bool:
        return os.path.exists(self._at(path))

    def read(self, path: str) -> bytes:
        with self.open(path) as file, files.storage_errors(self._at(path), "read"):
            data = file.read(SMALL_BYTES_MAX + 1)
        if len(data) > SMALL_BYTES_MAX:
            raise too_long(str(self._at(path)))
        return data

    def open(self, path: str) -> BinaryIO:
        """Waits for nobody: a pipe or a device under a file's name is no file."""
        at = self._at(path)
        with files.storage_errors(at, "read"):
            try:
                descriptor = os.open(at, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError as error:
                if error.errno in _ABSENT:
                    raise FileMissing(f"{at} is not there") from None
                raise
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.close(descriptor)
                raise FileMissing(f"{at} is not a file")
            return os.fdopen(descriptor, "rb")

    def put_new(self, path: str, data: bytes) -> bool:
        return files.put_file(self._at(path), data, replace=False)

    def put_replace(self, path: str, data: bytes) -> None:
        files.put_file(self._at(path), data, replace=True)

    def read_version(self, path: str) -> tuple[bytes, str] | None:
        try:
            data = self.read(path)
        except FileMissing:
            return None
        return data, hashlib.sha256(data).hexdigest()

    def put_version(self, path: str, data: bytes, replaces: str | None) -> bool:
        if replaces is None:
            return self.put_new(path, data)
        with self.turn(path):
            found = self.read_version(path)
            if found is None or found[1] != replaces:
                return False
            self.put_replace(path, data)
        return True

    @contextmanager
    def turn(self, path: str) -> Iterator[None]:
        """By a lock on the path's folder, which the kernel frees when its holder dies."""
        folder = self._at(path).parent
        files.make_folder(folder)
        with files.storage_errors(folder, "opened"):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _lock(descriptor, folder)
            yield
        finally:
            os.close(descriptor)

    def claim_staging(self, path: str) -> bool:
        return files.claim_folder(self._at(path))

    def empty_staging(self, path: str) -> bool:
        folder = self._at(path)
        files.make_folder(folder)
        for name in self.names(path):
            files.remove(folder / name)
        return True

    def is_claimed(self, path: str) -> bool:
        return self.exists(path)

    def staging_path(self, path: str) -> Path:
        return self._at(path)

    def place_folder(self, staged: str, final: str) -> None:
        files.sync_folder(self._at(staged))
        files.move(self._at(staged), self._at(final))

    def place_file(self, staged: str, final: str) -> None:
        files.move(self._at(staged), self._at(final))

    def set_aside(self, final: str, staged: str) -> None:
        files.move(self._at(final), self._at(staged))

    def remove(self, path: str) -> None:
        files.remove(self._at(path))

    def sweep(self, folder: str) -> None:
        path = self._at(folder)
        if path.is_dir():
            for leftover in sorted(path.glob(f".*{files.TEMPORARY_SUFFIX}")):
                files.remove(leftover)

    def check_access(self) -> None:
        path = f".check-{secrets.token_hex(8)}"
        self.put_new(path, b"syncer")
        self.remove(path)

    def _at(self, path: str) -> Path:
        return _below(self.root, path)


@lru_cache(1024)  # a few dozen paths are asked for again and again
def _below(root: Path, path: str) -> Path:
    if any(part in ("", ".", "..") for part in path.split("/")) or "\0" in path:
        raise ValueError(f"{path!a} leaves the destination")
    return root / path


def _is_plain(mode: int) -> bool:
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def _lock(descriptor: int, folder: Path) -> None:
    """Wait for the lock, but not for ever; a file system without locks has none to wait for."""
    give_up_at = time.monotonic() + TURN_WAIT_SECONDS
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > give_up_at:
                raise LockHeld(f"another run holds {folder}", hint="wait for it, or end it first") from None
            time.sleep(0.05)
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return None
            raise StorageFailed(f"{folder} cannot be locked: {error.strerror}", hint="run again: it resumes") from None
