"""Where snapshots are kept: a handful of methods that a folder on a disk and an object store can both offer.

Paths are relative, with forward slashes. Nothing here knows what the files mean.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, Protocol
from urllib.parse import unquote, urlsplit

from syncer.errors import LockHeld, SnapshotMismatch, StorageFailed, UsageError
from syncer.snapshot import files

_CLOUD_SCHEMES = ("s3", "s3a", "gs", "az", "abfs", "abfss")
TURN_WAIT_SECONDS = 20.0
"""How long to wait for another run's turn, which takes a few requests."""
SMALL_BYTES_MAX = 64 << 20
"""Of a file that is read at once; manifests have some kilobytes. What is longer was not written by us."""
_ABSENT = (errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF)
Stoppable = Callable[[Iterable[Any]], Iterable[Any]]
"""Passes items on until the run is cancelled."""


class FileMissing(StorageFailed):
    """A file that should be there is not."""


class Store(Protocol):
    """A destination. Every method may raise StorageFailed."""

    @property
    def uri(self) -> str:
        """What it is called, without a slash at its end."""
        ...

    def names(self, folder: str) -> list[str]:
        """What lies in a folder, sorted; nothing when it is not there. Names of unfinished writes are left out."""
        ...

    def strangers(self, folder: str) -> list[str]:
        """Of these names, those that are neither a file nor a folder of their own: links, pipes, devices."""
        ...

    def size(self, path: str) -> int | None:
        """A file's bytes; None when it is not there."""
        ...

    def exists(self, path: str) -> bool:
        """Whether a file or a folder is there."""
        ...

    def read(self, path: str) -> bytes:
        """A small file's content. Raises FileMissing, and SnapshotMismatch for one that is not small."""
        ...

    def open(self, path: str) -> BinaryIO:
        """A file to be read from its start or anywhere. Raises FileMissing."""
        ...

    def put_new(self, path: str, data: bytes) -> bool:
        """Create a file in one step; False when it is there already."""
        ...

    def put_replace(self, path: str, data: bytes) -> None:
        """Create or replace a file in one step."""
        ...

    def read_version(self, path: str) -> tuple[bytes, str] | None:
        """A small file's content and a mark of this version of it; None when it is not there."""
        ...

    def put_version(self, path: str, data: bytes, replaces: str | None) -> bool:
        """Replace exactly this version, or create what was not there; False when it is another one by now."""
        ...

    def turn(self, path: str) -> AbstractContextManager[None]:
        """Work that one run at a time may do. Raises LockHeld when another one has it for longer than it should."""
        ...

    def claim_staging(self, path: str) -> bool:
        """Create a staging folder; False when it is there already, be it another run's."""
        ...

    def empty_staging(self, path: str) -> bool:
        """An empty staging folder where this run had claimed one, which stays claimed; False when it is another's."""
        ...

    def is_claimed(self, path: str) -> bool:
        """Whether a run, at work or killed, has this staging folder, on this machine or another."""
        ...

    def staging_path(self, path: str) -> Path:
        """Where on this machine the files of a staging folder are written, before they are placed."""
        ...

    def place_folder(self, staged: str, final: str) -> None:
        """Make a staged folder visible under its final name, in one step where the store can; nothing is there yet.

        Where it cannot, empty files come last: one that marks the folder as whole is seen after all others.
        """
        ...

    def place_file(self, staged: str, final: str) -> None:
        """Make a staged file visible under its final name, replacing what is there."""
        ...

    def set_aside(self, final: str, staged: str) -> None:
        """Take a folder out of sight, in one step into staging where the store can; else its files are removed."""
        ...

    def remove(self, path: str) -> None:
        """Remove a file or a folder with all it holds; nothing happens when it is not there."""
        ...

    def sweep(self, folder: str) -> None:
        """Remove what killed writes left in a folder."""
        ...

    def check_access(self) -> None:
        """List, create and remove, as an export does; leaves nothing behind. Raises StorageFailed."""
        ...


class LocalStore:
    """A folder on a local disk. Who may read is up to the umask."""

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


def too_long(shown: str) -> SnapshotMismatch:
    """What is said of a file that is not small."""
    return SnapshotMismatch(
        f"{shown} has more than {SMALL_BYTES_MAX >> 20} MiB: syncer did not write it", hint="restore it from a copy"
    )


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


def open_store(destination: str, staging: Path | None = None, stoppable: Stoppable = iter) -> Store:
    """The store that a path or a URI names. Raises UsageError for one that this installation cannot reach.

    ``staging``: a private folder on this machine for what is on its way to an object store; who only reads needs none.
    ``stoppable`` ends long uploads when the run is cancelled.
    """
    scheme, found, _ = destination.partition("://")
    if not destination:
        raise UsageError("the destination is empty", hint="give a folder")
    if not found:
        return _open_folder(Path(os.path.expanduser(destination)).absolute())
    if scheme.lower() == "file":
        return _open_folder(_file_uri_path(destination))
    if scheme.lower() in _CLOUD_SCHEMES:
        return _open_bucket(destination, staging, stoppable)
    raise UsageError(
        f"a destination cannot begin with {scheme[:20]!a}://", hint="give a folder, or an s3://, az:// or gs:// URI"
    )


def _open_folder(path: Path) -> LocalStore:
    if os.path.exists(path) and not os.path.isdir(path):
        raise UsageError(f"the destination {path} is not a folder", hint="give a folder")
    return LocalStore(path)


def _open_bucket(destination: str, staging: Path | None, stoppable: Stoppable) -> Store:
    try:
        from syncer.snapshot import object_store  # with its library only for those who need it
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "obstore":
            raise
        raise UsageError(
            "object stores need the extra syncer[cloud]", hint="pip install 'syncer[cloud]', or give a folder"
        ) from None
    return object_store.open_bucket(destination, staging, stoppable)


def _file_uri_path(uri: str) -> Path:
    parts = urlsplit(uri)
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/") or parts.query or parts.fragment:
        raise UsageError("a file:// URI must name an absolute path on this machine", hint="write it as file:///folder")
    return Path(unquote(parts.path))
