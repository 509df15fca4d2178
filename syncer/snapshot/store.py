"""Where snapshots are kept: a handful of methods that a folder on a disk and an object store can both offer.

Paths are relative, with forward slashes. Nothing here knows what the files mean.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import unquote, urlsplit

from syncer.errors import StorageFailed, UsageError
from syncer.snapshot import files

_EXTRAS = {"s3": "s3", "gs": "gcs", "az": "azure", "abfs": "azure", "abfss": "azure"}


class FileMissing(StorageFailed):
    """A file that should be there is not."""


class Store(Protocol):
    """A destination. Every method may raise StorageFailed."""

    def names(self, folder: str) -> list[str]:
        """What lies in a folder, sorted; nothing when it is not there. Names of unfinished writes are left out."""
        ...

    def size(self, path: str) -> int | None:
        """A file's bytes; None when it is not there."""
        ...

    def exists(self, path: str) -> bool:
        """Whether a file or a folder is there."""
        ...

    def read(self, path: str) -> bytes:
        """A small file's content. Raises FileMissing."""
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

    def claim_staging(self, path: str) -> bool:
        """Create a staging folder; False when it is there already."""
        ...

    def staging_path(self, path: str) -> Path:
        """Where on this machine the files of a staging folder are written, before they are placed."""
        ...

    def place_folder(self, staged: str, final: str) -> None:
        """Make a staged folder visible under its final name, in one step where the store can; nothing is there yet."""
        ...

    def place_file(self, staged: str, final: str) -> None:
        """Make a staged file visible under its final name, replacing what is there."""
        ...

    def set_aside(self, final: str, staged: str) -> None:
        """Take a folder out of sight, back into staging, in one step where the store can."""
        ...

    def remove(self, path: str) -> None:
        """Remove a file or a folder with all it holds; nothing happens when it is not there."""
        ...

    def sweep(self, folder: str) -> None:
        """Remove what killed writes left in a folder."""
        ...


class LocalStore:
    """A folder on a local disk. Who may read is up to the umask."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __repr__(self) -> str:
        return f"LocalStore({str(self.root)!r})"

    def names(self, folder: str) -> list[str]:
        path = self._at(folder)
        with files.storage_errors(path, "listed"):
            try:
                return sorted(p.name for p in path.iterdir() if not p.name.endswith(files.TEMPORARY_SUFFIX))
            except (FileNotFoundError, NotADirectoryError):
                return []

    def size(self, path: str) -> int | None:
        at = self._at(path)
        with files.storage_errors(at, "read"):
            return at.stat().st_size if at.is_file() else None

    def exists(self, path: str) -> bool:
        return self._at(path).exists()

    def read(self, path: str) -> bytes:
        with self.open(path) as file, files.storage_errors(self._at(path), "read"):
            return file.read()

    def open(self, path: str) -> BinaryIO:
        at = self._at(path)
        with files.storage_errors(at, "read"):
            try:
                return at.open("rb")
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                raise FileMissing(f"{at} is not there") from None

    def put_new(self, path: str, data: bytes) -> bool:
        return files.put_file(self._at(path), data, replace=False)

    def put_replace(self, path: str, data: bytes) -> None:
        files.put_file(self._at(path), data, replace=True)

    def claim_staging(self, path: str) -> bool:
        return files.claim_folder(self._at(path))

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

    def _at(self, path: str) -> Path:
        if any(part in ("", ".", "..") for part in path.split("/")) or "\0" in path:
            raise ValueError(f"{path!a} leaves the destination")
        return self.root / path


def open_store(destination: str) -> Store:
    """The store that a path or a URI names. Raises UsageError for one that this installation cannot reach."""
    scheme, found, _ = destination.partition("://")
    if not destination:
        raise UsageError("the destination is empty", hint="give a folder")
    if not found:
        return LocalStore(Path(destination).expanduser().absolute())
    if scheme.lower() == "file":
        return LocalStore(_file_uri_path(destination))
    extra = _EXTRAS.get(scheme.lower())
    if extra:
        raise UsageError(
            f"this version cannot write to {scheme.lower()}:// yet; it will come with the extra syncer[{extra}]",
            hint="give a folder",
        )
    raise UsageError(f"a destination cannot begin with {scheme[:20]!a}://", hint="give a folder or a file:// URI")


def _file_uri_path(uri: str) -> Path:
    parts = urlsplit(uri)
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/") or parts.query or parts.fragment:
        raise UsageError("a file:// URI must name an absolute path on this machine", hint="write it as file:///folder")
    return Path(unquote(parts.path))
