"""A destination in an object store: S3, Azure Blob Storage, Google Cloud Storage.

Staging is on this machine's disk; placing is uploading, each object read back and compared. Data is found by its name
only, never by listing: an object that no manifest names does not exist for a reader.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
import tempfile
import weakref
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

from syncer.errors import StorageFailed
from syncer.snapshot import files
from syncer.snapshot.bucket import Bucket, version_of
from syncer.snapshot.bucket_writer import Writer
from syncer.snapshot.local_store import LocalStore
from syncer.snapshot.object_address import Patience, connect, parse_address
from syncer.snapshot.store import FileMissing, Stoppable

STAGING = ".staging"
"""Paths below it are files of this machine; in the bucket only small claims lie there."""


class ObjectStore:
    """One prefix of one bucket. ``staging`` is this writer's own folder; made when it is first needed."""

    def __init__(self, client: Any, shown: str, staging: Path | None = None, stoppable: Stoppable = iter) -> None:
        self._bucket = Bucket(client, shown, stoppable)
        self._staging_given = staging

    def __repr__(self) -> str:
        return f"ObjectStore({self._bucket.shown!r})"

    @property
    def uri(self) -> str:
        return self._bucket.shown

    def names(self, folder: str) -> list[str]:
        return self._place_of(folder).names(folder)

    def strangers(self, folder: str) -> list[str]:  # noqa: ARG002
        """Whatever is in a bucket is an object."""
        return []

    def size(self, path: str) -> int | None:
        return self._place_of(path).size(path)

    def exists(self, path: str) -> bool:
        return self._place_of(path).exists(path)

    def read(self, path: str) -> bytes:
        return self._staging.read(path) if _is_staged(path) else self._bucket.get(path)[0]

    def open(self, path: str) -> BinaryIO:
        return self._place_of(path).open(path)

    def put_new(self, path: str, data: bytes) -> bool:
        return self._staging.put_new(path, data) if _is_staged(path) else self._bucket.put(path, data, "create")

    def put_replace(self, path: str, data: bytes) -> None:
        if _is_staged(path):
            self._staging.put_replace(path, data)
        else:
            self._bucket.put(path, data, "overwrite")

    def read_version(self, path: str) -> tuple[bytes, str] | None:
        if _is_staged(path):
            return self._staging.read_version(path)
        try:
            data, meta = self._bucket.get(path)
        except FileMissing:
            return None
        return data, json.dumps(version_of(meta))

    def put_version(self, path: str, data: bytes, replaces: str | None) -> bool:
        if _is_staged(path):
            return self._staging.put_version(path, data, replaces)
        if self._bucket.put(path, data, json.loads(replaces) if replaces else "create"):
            return True
        found = self.read_version(path) if replaces else None
        return found is not None and found[0] == data  # an answer was lost: ours after all

    def turn(self, path: str) -> AbstractContextManager[None]:
        """By a small object that names its holder; one that a killed run left is taken over, at once by its successor
        with the same state folder, by others when it is old."""
        return self._writer.turn(path)

    def claim_staging(self, path: str) -> bool:
        """On this machine and in the bucket: another machine's run must not choose the same."""
        return self._staging.claim_staging(path) and self._claim(path)

    def empty_staging(self, path: str) -> bool:
        return self._staging.empty_staging(path) and self._claim(path)

    def is_claimed(self, path: str) -> bool:
        return self._staging.exists(path) or self._bucket.exists(path)

    def staging_path(self, path: str) -> Path:
        return self._staging.staging_path(path)

    def place_folder(self, staged: str, final: str) -> None:
        folder = self.staging_path(staged)
        with files.storage_errors(folder, "read"):
            sizes = sorted((p.stat().st_size == 0, p.name) for p in folder.iterdir())
        for _, name in sizes:  # what is empty marks the rest as whole: it comes last
            self._bucket.upload(folder / name, f"{final}/{name}")
        self.remove(staged)

    def place_file(self, staged: str, final: str) -> None:
        if _is_staged(staged):
            self._bucket.upload(self.staging_path(staged), final)
            self._staging.remove(staged)
        else:
            self._bucket.rename(staged, final)

    def set_aside(self, final: str, staged: str) -> None:  # noqa: ARG002
        """Objects are not moved: what no manifest names is removed."""
        self.remove(final)

    def remove(self, path: str) -> None:
        if _is_staged(path):
            self._staging.remove(path)
        self._bucket.remove_below(path)
        if not _is_staged(path) and self.size(path) is not None:  # no right to delete is needed where nothing is
            self._bucket.delete([path])

    def sweep(self, folder: str) -> None:
        """An upload leaves nothing that can be seen; what a killed one left is for the bucket's lifecycle rule."""

    def check_access(self) -> None:
        """List, create, and remove, as an export does; a condition must hold. Raises StorageFailed."""
        self.names("snapshots")
        path = f"{STAGING}/check-{secrets.token_hex(8)}"
        self._bucket.put(path, b"syncer", "create")
        try:
            if self._bucket.put(path, b"syncer", "create"):
                raise StorageFailed(
                    f"{self._bucket.shown} replaces objects that should only be created",
                    hint="it does not keep conditions: use a store that does",
                )
        finally:
            self._bucket.delete([path])

    def _claim(self, path: str) -> bool:
        if self._writer.claim(f"{path}/claim.json"):
            return True
        self._staging.remove(path)  # else it would pass for ours, and the other's claim would be cleaned up with it
        return False

    @cached_property
    def _staging(self) -> LocalStore:
        folder = self._staging_given
        if folder is None:  # of who only reads, or changes what is there: gone when the store is
            folder = Path(tempfile.mkdtemp(prefix="syncer-"))
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        with files.storage_errors(folder, "created"):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return LocalStore(folder)

    @cached_property
    def _writer(self) -> Writer:
        return Writer(self._bucket, self._staging)

    def _place_of(self, path: str) -> LocalStore | Bucket:
        return self._staging if _is_staged(path) else self._bucket


def _is_staged(path: str) -> bool:
    return path == STAGING or path.startswith(STAGING + "/")


def open_bucket(uri: str, staging: Path | None, stoppable: Stoppable) -> ObjectStore:
    """The place that a URI names; nothing is asked yet. ``staging`` may be shared by all destinations of an account."""
    address = parse_address(uri)
    own = staging / hashlib.sha256(str(address).encode()).hexdigest()[:16] if staging else None
    return ObjectStore(connect(address, Patience()), str(address), own, stoppable)
