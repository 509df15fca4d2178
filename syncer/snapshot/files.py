"""Durable files on a local disk: every step that can lose data stands here, with its reason.

Knows nothing of snapshots. Every failure of the disk is a StorageFailed that names the path and the reason.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from syncer.errors import StorageFailed

# A name that is there already is never written through: not by us twice, not through a planted link.
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_MODE = 0o666
_FOLDER_MODE = 0o777
"""The umask decides who may read: a destination is often shared within a team."""

_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
_REASONS = {
    errno.ENOSPC: ("the disk is full", "make room and run again: it resumes"),
    errno.EDQUOT: ("the disk quota is used up", "make room and run again: it resumes"),
    errno.EROFS: ("the file system is read-only", "make it writable and run again: it resumes"),
    errno.EIO: ("the disk reports an error", "check the disk, then run again: it resumes"),
    errno.EACCES: ("permission denied", "allow this user to write there and run again: it resumes"),
}
TEMPORARY_SUFFIX = ".syncer-tmp"


@contextmanager
def storage_errors(path: Path, verb: str = "written") -> Iterator[None]:
    """Turn what the disk says into one sentence about ``path``."""
    try:
        yield
    except OSError as error:
        raise _failure(path, verb, error) from None


def _failure(path: Path, verb: str, error: OSError) -> StorageFailed:
    unknown = (error.strerror or "unknown reason", "repair it and run again: it resumes")
    reason, hint = _REASONS.get(error.errno or 0, unknown)
    return StorageFailed(f"{path} cannot be {verb}: {reason}", hint=hint)


def is_temporary(name: str) -> bool:
    """Whether a file of this name is an unfinished write."""
    return name.startswith(".") and name.endswith(TEMPORARY_SUFFIX)


def make_folder(path: Path) -> None:
    """Create a folder and those above it; each is durable in its parent."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        with storage_errors(folder, "created"):
            with contextlib.suppress(FileExistsError):  # another account's run was faster
                os.mkdir(folder, _FOLDER_MODE)
            sync_folder(folder.parent)


def claim_folder(path: Path) -> bool:
    """Create a folder that was not there; False when it was."""
    make_folder(path.parent)
    with storage_errors(path, "created"):
        try:
            os.mkdir(path, _FOLDER_MODE)
        except FileExistsError:
            return False
        sync_folder(path.parent)
    return True


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable: without it a rename may be gone after a power cut."""
    with storage_errors(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class HashingFile:
    """A new file that is hashed while it is written; whole and durable after ``close``, gone after ``abandon``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bytes = 0
        self._sha256 = hashlib.sha256()
        self._failure: StorageFailed | None = None
        with storage_errors(path, "created"):
            self._descriptor: int | None = os.open(path, _CREATE, _FILE_MODE)

    def write(self, data: bytes | memoryview) -> int:
        """Write all of it. After a failure, or after ``abandon``, nothing is written any more and nothing is kept."""
        view = memoryview(data).cast("B")
        if self._descriptor is None or self._failure:
            return len(view)  # a library closing what was given up, be it when its object is collected
        self._sha256.update(view)
        self.bytes += len(view)
        try:
            _write_all(self._descriptor, view)
        except OSError as error:
            self._failure = _failure(self.path, "written", error)
            raise self._failure from None
        return len(view)

    def close(self) -> None:
        """Make it durable. A failed fsync leaves the data unknown: it is not tried again, the file is written anew."""
        if self._failure:
            raise self._failure
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with storage_errors(self.path):
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)

    def abandon(self) -> None:
        """Drop the file; never raises, an error is on its way already."""
        descriptor, self._descriptor = self._descriptor, None
        with contextlib.suppress(OSError):
            if descriptor is not None:
                os.close(descriptor)
            os.unlink(self.path)

    @property
    def closed(self) -> bool:
        """Asked by file libraries."""
        return False

    def flush(self) -> None:
        """Nothing is buffered here."""

    def tell(self) -> int:
        """Bytes written."""
        return self.bytes

    @property
    def sha256(self) -> str:
        """Of all that was written, in hex."""
        return self._sha256.hexdigest()


class Droppable(Protocol):
    """What writes a file, or is one."""

    def abandon(self) -> None:
        """Drop what was begun; never raises."""
        ...


@contextmanager
def dropped_on_failure(begun: Iterable[Droppable]) -> Iterator[None]:
    """On any error inside, these are dropped: a library's writer that is only collected would go on writing."""
    try:
        yield
    except BaseException:
        for one in begun:
            one.abandon()
        raise


def write_file(path: Path, data: bytes) -> None:
    """A new file, durable but for its name in the folder."""
    file = HashingFile(path)
    try:
        file.write(data)
        file.close()
    except BaseException:
        file.abandon()
        raise


def put_file(path: Path, data: bytes, *, replace: bool) -> bool:
    """Give a file its content in one step; False when it is there and must not be replaced."""
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}{TEMPORARY_SUFFIX}")
    write_file(temporary, data)
    try:
        with storage_errors(path):
            done = _replace(temporary, path) if replace else _link(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
    sync_folder(path.parent)
    return done


def move(source: Path, target: Path) -> None:
    """Rename a file or a whole folder, and make that durable. A folder never replaces one that holds anything."""
    make_folder(target.parent)
    with storage_errors(target):
        os.rename(source, target)
    sync_folder(target.parent)
    sync_folder(source.parent)


def remove(path: Path) -> None:
    """Remove a file or a whole folder that may not be there."""
    with storage_errors(path, "removed"), contextlib.suppress(FileNotFoundError):
        if path.is_dir() and not path.is_symlink():
            for child in sorted(path.iterdir()):
                remove(child)
            os.rmdir(path)
        else:
            os.unlink(path)


def _write_all(descriptor: int, view: memoryview) -> None:
    while view:
        written = os.write(descriptor, view)
        view = view[written:]  # a disk that fills up may take a part


def _replace(temporary: Path, path: Path) -> bool:
    os.rename(temporary, path)
    return True


def _link(temporary: Path, path: Path) -> bool:
    """Create-if-absent in one step: a link fails when the name is taken, a rename would not."""
    try:
        os.link(temporary, path, follow_symlinks=False)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if path.exists():  # a file system without links; the account's lock keeps two runs apart
            return False
        os.rename(temporary, path)
    return True
