"""A destination in an object store: S3, Azure Blob Storage, Google Cloud Storage.

Staging is on this machine's disk; placing is uploading, each object read back and compared. Data is found by its name
only, never by listing: an object that no manifest names does not exist for a reader.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import socket
import tempfile
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import obstore
from obstore.exceptions import AlreadyExistsError, NotFoundError, PreconditionError

from syncer.errors import LockHeld, StorageFailed
from syncer.snapshot import files
from syncer.snapshot.object_address import Patience, connect, parse_address
from syncer.snapshot.object_errors import object_errors
from syncer.snapshot.object_file import HashedBlocks, open_object
from syncer.snapshot.part_readers import hash_file
from syncer.snapshot.store import TURN_WAIT_SECONDS, FileMissing, LocalStore, Stoppable

STAGING = ".staging"
"""Paths below it are files of this machine; in the bucket only small claims lie there."""
CHUNK_BYTES = 8 << 20
CHUNKS_AT_ONCE = 4
"""Together the memory of an upload: 32 MiB. S3 takes 10,000 chunks of an object: 78 GiB."""
TURN_AGE_MAX = timedelta(minutes=15)
"""A turn this old is a dead run's: clocks that differ by more are refused by S3 itself."""
_DELETED_AT_ONCE = 500


class ObjectStore:
    """One prefix of one bucket. ``staging`` is this writer's own folder; made when it is first needed."""

    def __init__(self, client: Any, shown: str, staging: Path | None = None, stoppable: Stoppable = iter) -> None:
        self._client = client
        self._shown = shown
        self._staging_given = staging
        self._stoppable = stoppable

    def __repr__(self) -> str:
        return f"ObjectStore({self._shown!r})"

    def names(self, folder: str) -> list[str]:
        if _is_staged(folder):
            return self._staging.names(folder)
        with object_errors(self._show(folder), "listed"):
            found = obstore.list_with_delimiter(self._client, self._at(folder))
        paths = [*found["common_prefixes"], *(entry["path"] for entry in found["objects"])]
        return sorted({path.rstrip("/").rpartition("/")[2] for path in paths})

    def size(self, path: str) -> int | None:
        if _is_staged(path):
            return self._staging.size(path)
        try:
            with object_errors(self._show(path), "read"):
                return int(obstore.head(self._client, self._at(path))["size"])
        except FileMissing:
            return None

    def exists(self, path: str) -> bool:
        if _is_staged(path):
            return self._staging.exists(path)
        return self.size(path) is not None or bool(next(self._below(path, 1), []))

    def read(self, path: str) -> bytes:
        if _is_staged(path):
            return self._staging.read(path)
        return self._get(path)[0]

    def open(self, path: str) -> BinaryIO:
        if _is_staged(path):
            return self._staging.open(path)
        size = self.size(path)
        if size is None:
            raise FileMissing(f"{self._show(path)} is not there")
        return open_object(self._client, self._at(path), self._show(path), size)

    def put_new(self, path: str, data: bytes) -> bool:
        """A lost answer is asked for again, and then the object is there already: callers compare what they find."""
        return self._staging.put_new(path, data) if _is_staged(path) else self._put(path, data, "create")

    def put_replace(self, path: str, data: bytes) -> None:
        if _is_staged(path):
            self._staging.put_replace(path, data)
        else:
            self._put(path, data, "overwrite")

    def read_version(self, path: str) -> tuple[bytes, str] | None:
        if _is_staged(path):
            return self._staging.read_version(path)
        try:
            data, meta = self._get(path)
        except FileMissing:
            return None
        return data, json.dumps(_version(meta))

    def put_version(self, path: str, data: bytes, replaces: str | None) -> bool:
        if _is_staged(path):
            return self._staging.put_version(path, data, replaces)
        if self._put(path, data, json.loads(replaces) if replaces else "create"):
            return True
        return replaces is not None and self._is_there(path, data)  # an answer was lost: ours after all

    @contextmanager
    def turn(self, path: str) -> Iterator[None]:
        """By a small object that names its holder; one that a killed run left is taken over, at once by its successor
        with the same state folder, by others when it is old."""
        self._take_turn(path)
        try:
            yield
        finally:
            self._delete([self._at(path)])

    def claim_staging(self, path: str) -> bool:
        """On this machine and in the bucket: another machine's run must not choose the same."""
        if not self._staging.claim_staging(path):
            return False
        claim = f"{path}/claim.json"
        return self._put(claim, self._signature(), "create") or self._is_mine(self._get(claim)[0])

    def staging_path(self, path: str) -> Path:
        return self._staging.staging_path(path)

    def place_folder(self, staged: str, final: str) -> None:
        folder = self.staging_path(staged)
        with files.storage_errors(folder, "read"):
            sizes = sorted((p.stat().st_size == 0, p.name) for p in folder.iterdir())
        for _, name in sizes:  # what is empty marks the rest as whole: it comes last
            self._upload(folder / name, f"{final}/{name}")
        self.remove(staged)

    def place_file(self, staged: str, final: str) -> None:
        if _is_staged(staged):
            self._upload(self.staging_path(staged), final)
            return self._staging.remove(staged)
        with object_errors(self._show(final), "written"):  # a copy within the store, of one object in one step
            obstore.copy(self._client, self._at(staged), self._at(final))
        return self._delete([self._at(staged)])

    def set_aside(self, final: str, staged: str) -> None:  # noqa: ARG002
        """Objects are not moved: what no manifest names is removed."""
        self.remove(final)

    def remove(self, path: str) -> None:
        if _is_staged(path):
            self._staging.remove(path)
        for batch in self._below(path, _DELETED_AT_ONCE):
            # What marks a folder as whole goes first.
            self._delete([entry["path"] for entry in sorted(batch, key=lambda entry: int(entry["size"]))])
        if not _is_staged(path) and self.size(path) is not None:  # no right to delete is needed where nothing is
            self._delete([self._at(path)])

    def sweep(self, folder: str) -> None:
        """An upload leaves nothing that can be seen; what a killed one left is for the bucket's lifecycle rule."""

    def check_access(self) -> None:
        """List, create, replace by version and remove, as an export does. Raises StorageFailed."""
        self.names("snapshots")
        path = f"{STAGING}/check-{secrets.token_hex(8)}"
        self._put(path, b"syncer", "create")
        try:
            if self._put(path, b"syncer", "create"):
                raise StorageFailed(
                    f"{self._shown} replaces objects that should only be created",
                    hint="it does not keep conditions: use a store that does",
                )
        finally:
            self._delete([self._at(path)])

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
    def _writer(self) -> str:
        """Who writes here: the same for all runs with this staging folder, of which there is one at a time."""
        self._staging.put_new("writer", secrets.token_hex(16).encode())
        return self._staging.read("writer").decode("ascii")

    def _signature(self) -> bytes:
        since = datetime.now(UTC).isoformat(timespec="seconds")
        host = socket.gethostname()
        return json.dumps({"writer": self._writer, "pid": os.getpid(), "host": host, "since": since}).encode()

    def _is_mine(self, signature: bytes) -> bool:
        return _holder(signature).get("writer") == self._writer

    def _take_turn(self, path: str) -> None:
        give_up_at = time.monotonic() + TURN_WAIT_SECONDS
        while not self._put(path, self._signature(), "create"):
            found = self._read_turn(path)
            if (
                found
                and (found.is_old or self._is_mine(found.data))
                and self._put(path, self._signature(), found.version)
            ):
                return
            if time.monotonic() > give_up_at:
                held = _holder(found.data if found else b"")
                raise LockHeld(
                    f"another run is publishing to {self._shown}: process {held.get('pid')} on {held.get('host')},"
                    f" since {held.get('since')}",
                    hint=f"run again; if that run is dead, in {int(TURN_AGE_MAX.total_seconds()) // 60} minutes",
                )
            time.sleep(0.2)

    def _read_turn(self, path: str) -> _Turn | None:
        try:
            data, meta = self._get(path)
        except FileMissing:
            return None  # given back since
        return _Turn(data, _version(meta), datetime.now(UTC) - meta["last_modified"] > TURN_AGE_MAX)

    def _upload(self, source: Path, path: str) -> None:
        """In bounded memory; then read back, as the store's word that it has stored is not enough."""
        blocks = HashedBlocks(source)
        with files.storage_errors(source, "read"):
            size = source.stat().st_size
        with object_errors(self._show(path), "written"):
            if size <= CHUNK_BYTES:
                obstore.put(self._client, self._at(path), b"".join(blocks), use_multipart=False)
            else:
                obstore.put(
                    self._client,
                    self._at(path),
                    iter(self._stoppable(blocks)),
                    chunk_size=CHUNK_BYTES,
                    max_concurrency=CHUNKS_AT_ONCE,
                )
        with self.open(path) as file:
            if hash_file(file) != (blocks.bytes, blocks.sha256):
                raise StorageFailed(
                    f"{self._show(path)} does not hold what was uploaded", hint="nothing was published; run again"
                )

    def _put(self, path: str, data: bytes, mode: Any) -> bool:
        try:
            with object_errors(self._show(path), "written"), _quiet_conflicts():
                obstore.put(self._client, self._at(path), data, mode=mode, use_multipart=False)
        except _Conflict:
            return False
        return True

    def _is_there(self, path: str, data: bytes) -> bool:
        found = self.read_version(path)
        return found is not None and found[0] == data

    def _get(self, path: str) -> tuple[bytes, Any]:
        with object_errors(self._show(path), "read"):
            answer = obstore.get(self._client, self._at(path))
            return bytes(answer.bytes()), answer.meta

    def _below(self, folder: str, at_once: int) -> Iterator[list[Any]]:
        listing = iter(obstore.list(self._client, self._at(folder), chunk_size=at_once))
        while True:
            with object_errors(self._show(folder), "listed"):
                batch = next(listing, None)
            if batch is None:
                return
            yield list(batch)

    def _delete(self, paths: list[str]) -> None:
        with object_errors(self._shown, "cleaned up"):
            for path in paths if len(paths) == 1 else ():
                try:
                    obstore.delete(self._client, path)
                except (NotFoundError, FileNotFoundError):
                    return
            if len(paths) > 1:
                obstore.delete(self._client, paths)

    def _show(self, path: str) -> str:
        return f"{self._shown}/{path}"

    def _at(self, path: str) -> str:
        if any(part in ("", ".", "..") for part in path.split("/")) or "\0" in path:
            raise ValueError(f"{path!a} leaves the destination")
        return path


@dataclass(frozen=True, slots=True)
class _Turn:
    data: bytes
    version: dict[str, str]
    is_old: bool


class _Conflict(Exception):
    """A condition of a put does not hold."""


@contextmanager
def _quiet_conflicts() -> Iterator[None]:
    try:
        yield
    except (AlreadyExistsError, PreconditionError):
        raise _Conflict from None


def _is_staged(path: str) -> bool:
    return path == STAGING or path.startswith(STAGING + "/")


def _version(meta: Any) -> dict[str, str]:
    return {key: meta[key] for key in ("e_tag", "version") if meta.get(key)}


def _holder(signature: bytes) -> dict[str, Any]:
    try:
        found = json.loads(signature)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def open_bucket(uri: str, staging: Path | None, stoppable: Stoppable) -> ObjectStore:
    """The place that a URI names; nothing is asked yet. ``staging`` may be shared by all destinations of an account."""
    address = parse_address(uri)
    own = staging / hashlib.sha256(str(address).encode()).hexdigest()[:16] if staging else None
    return ObjectStore(connect(address, Patience()), str(address), own, stoppable)
