"""Which users were erased, without their ids: keyed hashes, with the key in a file of its own beside them.

Who has the ledger alone learns nothing. Who has the key too can test a known id, and cannot list the erased ones.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import orjson

from syncer.bulk.journal import Journal, sync_folder
from syncer.errors import StorageFailed

_KEY_BYTES = 32
_LEDGER, _KEY = "erased.ndjson", "erasure.key"


class Ledger:
    """The ledger of one account in its state folder, to be added to; locked while it is open."""

    def __init__(self, folder: Path) -> None:
        """Raises StorageFailed, also for a ledger whose key is gone; LockHeld."""
        path = folder / _LEDGER
        has_hashes = path.exists() and path.stat().st_size > 0
        self._journal = Journal(path)
        try:
            self._key = _read_key(folder / _KEY, must_exist=has_hashes)
            self._hashes = _hashes((line for _, line in self._journal.lines()), path)
        except BaseException:
            self._journal.close()
            raise

    def __len__(self) -> int:
        return len(self._hashes)

    def __contains__(self, user_id: str) -> bool:
        return _hash(user_id, self._key) in self._hashes

    def add(self, ids: Iterable[str], time: str, reason: str) -> int:
        """Remember ids; they are on the disk when this returns. How many were new."""
        new = [h for h in dict.fromkeys(_hash(i, self._key) for i in ids) if h not in self._hashes]
        lines = [orjson.dumps({"hash": h, "time": time, "reason": reason}) + b"\n" for h in new]
        if lines:
            self._journal.append_now(b"".join(lines))
        self._hashes |= set(new)
        return len(new)

    def close(self) -> None:
        """Free the file."""
        self._journal.close()


def read_erased(folder: Path) -> Callable[[str], bool] | None:
    """Whether an id is in the ledger of a state folder; None when nobody ever was erased there.

    Takes no lock and changes nothing: several may read while one adds. Raises StorageFailed.
    """
    path = folder / _LEDGER
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageFailed(f"{path} cannot be read: {error.strerror}", hint="repair it and run again") from None
    hashes = _hashes(_whole_lines(data), path)
    if not hashes:
        return None
    key = _read_key(folder / _KEY, must_exist=True)
    return lambda user_id: _hash(user_id, key) in hashes


def _whole_lines(data: bytes) -> Iterator[bytes]:
    """Lines without their ends; a last one that is still being written is not yet one."""
    return iter(data.split(b"\n")[:-1])


def _hashes(lines: Iterator[bytes], path: Path) -> set[str]:
    try:
        return {str(orjson.loads(line)["hash"]) for line in lines}
    except (ValueError, KeyError, TypeError):
        raise StorageFailed(f"{path} is damaged", hint="restore it from a copy") from None


def _hash(user_id: str, key: bytes) -> str:
    return hashlib.blake2b(user_id.encode(), key=key, digest_size=32).hexdigest()


def _read_key(path: Path, *, must_exist: bool) -> bytes:
    try:
        if not path.exists() and not must_exist:
            _write_key(path)
        key = path.read_bytes()
    except OSError as error:
        raise StorageFailed(
            f"the key of the erasure ledger {path} cannot be read: {error.strerror}",
            hint="restore it: without it nobody can tell who was erased",
        ) from None
    if len(key) != _KEY_BYTES:
        raise StorageFailed(f"{path} is not the key of an erasure ledger", hint="restore it from a copy")
    return key


def _write_key(path: Path) -> None:
    """Whole or not at all: a kill must not leave half a key."""
    temporary = path.with_name(path.name + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        os.write(descriptor, secrets.token_bytes(_KEY_BYTES))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    temporary.replace(path)
    sync_folder(path.parent)  # before any hash: without its key a hash is nothing
