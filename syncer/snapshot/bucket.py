"""One place in an object store, request by request: every answer is ours, every failure one sentence.

Knows nothing of snapshots, staging or other writers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import obstore
from obstore.exceptions import AlreadyExistsError, NotFoundError, PreconditionError

from syncer.errors import StorageFailed
from syncer.snapshot import files
from syncer.snapshot.object_errors import object_errors
from syncer.snapshot.object_file import HashedBlocks, open_object
from syncer.snapshot.part_readers import hash_file
from syncer.snapshot.store import SMALL_BYTES_MAX, FileMissing, Stoppable, too_long

CHUNK_BYTES = 8 << 20
CHUNKS_AT_ONCE = 4
"""Together the memory of an upload: 32 MiB. S3 takes 10,000 chunks of an object: 78 GiB."""
_DELETED_AT_ONCE = 500


class Bucket:
    """A prefix of a bucket; paths are relative to it. ``shown`` is what people call it."""

    def __init__(self, client: Any, shown: str, stoppable: Stoppable = iter) -> None:
        self.shown = shown
        self._client = client
        self._stoppable = stoppable

    def names(self, folder: str) -> list[str]:
        """Of objects and prefixes right below, sorted."""
        with object_errors(self._show(folder), "listed"):
            found = obstore.list_with_delimiter(self._client, _checked(folder))
        paths = [*found["common_prefixes"], *(entry["path"] for entry in found["objects"])]
        return sorted({path.rstrip("/").rpartition("/")[2] for path in paths})

    def size(self, path: str) -> int | None:
        """None when there is no such object."""
        try:
            with object_errors(self._show(path), "read"):
                return int(obstore.head(self._client, _checked(path))["size"])
        except FileMissing:
            return None

    def exists(self, path: str) -> bool:
        """Whether there is an object, or one below."""
        return self.size(path) is not None or bool(next(self._below(path, 1), []))

    def get(self, path: str) -> tuple[bytes, Any]:
        """A small object and what the store says of it.

        Raises FileMissing, and SnapshotMismatch for one that is not small.
        """
        with object_errors(self._show(path), "read"):
            answer = obstore.get(self._client, _checked(path))
            if int(answer.meta["size"]) > SMALL_BYTES_MAX:
                raise too_long(self._show(path))
            return bytes(answer.bytes()), answer.meta

    def open(self, path: str) -> BinaryIO:
        """Raises FileMissing."""
        size = self.size(path)
        if size is None:
            raise FileMissing(f"{self._show(path)} is not there")
        return open_object(self._client, path, self._show(path), size)

    def put(self, path: str, data: bytes, mode: Any) -> bool:
        """``create``, ``overwrite``, or replace one version; False when the condition does not hold.

        A lost answer is asked for again, and then the object is there already: callers compare what they find.
        """
        try:
            with object_errors(self._show(path), "written"), _conflicts():
                obstore.put(self._client, _checked(path), data, mode=mode, use_multipart=False)
        except _Conflict:
            return False
        return True

    def upload(self, source: Path, path: str) -> None:
        """In bounded memory; then read back, as the store's word that it has stored is not enough."""
        blocks = HashedBlocks(source)
        with files.storage_errors(source, "read"):
            size = source.stat().st_size
        with object_errors(self._show(path), "written"):
            if size <= CHUNK_BYTES:
                obstore.put(self._client, _checked(path), b"".join(blocks), use_multipart=False)
            else:
                obstore.put(
                    self._client,
                    _checked(path),
                    iter(self._stoppable(blocks)),
                    chunk_size=CHUNK_BYTES,
                    max_concurrency=CHUNKS_AT_ONCE,
                )
        with self.open(path) as file:
            if hash_file(file) != (blocks.bytes, blocks.sha256):
                raise StorageFailed(
                    f"{self._show(path)} does not hold what was uploaded", hint="nothing was published; run again"
                )

    def rename(self, source: str, target: str) -> None:
        """A copy within the store, of one object in one step; then the source goes."""
        with object_errors(self._show(target), "written"):
            obstore.copy(self._client, _checked(source), _checked(target))
        self.delete([source])

    def remove_below(self, folder: str) -> None:
        """Every object below."""
        for batch in self._below(folder, _DELETED_AT_ONCE):
            # What is empty marks a folder as whole: it goes first.
            self.delete([entry["path"] for entry in sorted(batch, key=lambda entry: int(entry["size"]))])

    def delete(self, paths: list[str]) -> None:
        """Objects that may not be there."""
        with object_errors(self.shown, "cleaned up"):
            if len(paths) > 1:
                obstore.delete(self._client, paths)
            else:
                _delete_one(self._client, paths[0])

    def _below(self, folder: str, at_once: int) -> Iterator[list[Any]]:
        listing = iter(obstore.list(self._client, _checked(folder), chunk_size=at_once))
        while True:
            with object_errors(self._show(folder), "listed"):
                batch = next(listing, None)
            if batch is None:
                return
            yield list(batch)

    def _show(self, path: str) -> str:
        return f"{self.shown}/{path}"


def version_of(meta: Any) -> dict[str, str]:
    """The mark of one version of an object, as ``put`` takes it."""
    return {key: meta[key] for key in ("e_tag", "version") if meta.get(key)}


class _Conflict(Exception):
    """A condition of a put does not hold."""


@contextmanager
def _conflicts() -> Iterator[None]:
    try:
        yield
    except (AlreadyExistsError, PreconditionError):
        raise _Conflict from None


def _delete_one(client: Any, path: str) -> None:
    try:
        obstore.delete(client, _checked(path))
    except (NotFoundError, FileNotFoundError):
        return


def _checked(path: str) -> str:
    if any(part in ("", ".", "..") for part in path.split("/")) or "\0" in path:
        raise ValueError(f"{path!a} leaves the destination")
    return path
