"""Where snapshots are kept: a handful of methods that a folder on a disk and an object store can both offer.

Paths are relative, with forward slashes. Nothing here knows what the files mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from syncer.errors import SnapshotMismatch, StorageFailed

TURN_WAIT_SECONDS = 20.0
"""How long to wait for another run's turn, which takes a few requests."""
SMALL_BYTES_MAX = 64 << 20
"""Of a file that is read at once; manifests have some kilobytes. What is longer was not written by us."""
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


def too_long(shown: str) -> SnapshotMismatch:
    """What is said of a file that is not small."""
    return SnapshotMismatch(
        f"{shown} has more than {SMALL_BYTES_MAX >> 20} MiB: syncer did not write it", hint="restore it from a copy"
    )
