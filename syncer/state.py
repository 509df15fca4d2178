"""What an account leaves in the state folder between runs: its lock, its spool, and what was learnt about its list."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from syncer.errors import StorageFailed

UNSTABLE_DAYS = 7
"""How long a list that did not keep its order is walked by one walker, before the entries are tried again."""


@dataclass(frozen=True, slots=True)
class AccountState:
    """Paths of one account's state; the folder is made by whoever writes first."""

    folder: Path

    @property
    def lock(self) -> Path:
        """The lock of the account's one run."""
        return self.folder / "lock"

    @property
    def spool(self) -> Path:
        """The record of an unfinished run."""
        return self.folder / "spool.sqlite"

    def unstable_reason(self, now: datetime) -> str:
        """Why the last parallel run found the list unstable; empty when it did not, or when that is long ago."""
        try:
            known = json.loads(self._memory.read_bytes())
            seen = datetime.fromisoformat(known["unstable_at"])
            return str(known["reason"]) if now - seen < timedelta(days=UNSTABLE_DAYS) else ""
        except (OSError, ValueError, KeyError, TypeError):
            return ""  # nothing was learnt, or not by us: the walk finds out again

    def remember_unstable(self, reason: str, now: datetime) -> None:
        """Keep for the next runs that this list does not keep its order."""
        self._write(self._memory, [json.dumps({"unstable_at": now.isoformat(), "reason": reason}).encode()])

    def write_rejects(self, snapshot_id: str, lines: Iterable[bytes]) -> Path:
        """Keep the rejects of a refused run, whole, and say where."""
        path = self.folder / f"rejects-{snapshot_id}.ndjson"
        self._write(path, lines)
        return path

    @property
    def _memory(self) -> Path:
        return self.folder / "account.json"

    def _write(self, path: Path, lines: Iterable[bytes]) -> None:
        temporary = path.with_name(path.name + ".new")
        try:
            with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb") as file:
                file.writelines(lines)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as error:
            raise StorageFailed(f"{path} cannot be written: {error.strerror}", hint="check state_dir") from None
