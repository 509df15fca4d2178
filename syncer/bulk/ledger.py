"""Which users were erased, without their ids: keyed hashes, with the key in a file of its own beside them.

Who has the ledger alone learns nothing. Who has the key too can test a known id, and cannot list the erased ones.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

import orjson

from syncer.bulk.journal import Journal
from syncer.errors import StorageFailed

_KEY_BYTES = 32


class Ledger:
    """The ledger of one account in its state folder; locked while it is open."""

    def __init__(self, folder: Path) -> None:
        """Raises StorageFailed, also for a ledger whose key is gone; LockHeld."""
        path, key_path = folder / "erased.ndjson", folder / "erasure.key"
        has_hashes = path.exists() and path.stat().st_size > 0
        self._journal = Journal(path)
        try:
            self._key = _read_key(key_path, must_exist=has_hashes)
            self._hashes = {str(orjson.loads(line)["hash"]) for _, line in self._journal.lines()}
        except (ValueError, KeyError, TypeError):
            self._journal.close()
            raise StorageFailed(f"{path} is damaged", hint="restore it from a copy") from None
        except BaseException:
            self._journal.close()
            raise

    def __len__(self) -> int:
        return len(self._hashes)

    def __contains__(self, user_id: str) -> bool:
        return self._hash(user_id) in self._hashes

    def add(self, ids: Iterable[str], time: str, reason: str) -> int:
        """Remember ids; they are on the disk when this returns. How many were new."""
        new = [h for h in dict.fromkeys(map(self._hash, ids)) if h not in self._hashes]
        lines = [orjson.dumps({"hash": h, "time": time, "reason": reason}) + b"\n" for h in new]
        if lines:
            self._journal.append_now(b"".join(lines))
        self._hashes |= set(new)
        return len(new)

    def close(self) -> None:
        """Free the file."""
        self._journal.close()

    def _hash(self, user_id: str) -> str:
        return hashlib.blake2b(user_id.encode(), key=self._key, digest_size=32).hexdigest()


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
