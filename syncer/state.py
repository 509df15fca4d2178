"""What an account leaves in the state folder between runs: its lock, its spool, and what was learnt about its list."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from syncer.errors import StorageFailed

MEMORY_DAYS = 7
"""How long a list that did not keep its order is walked by one walker, and a size of pages that was not served is not
asked for again."""

CLOCK_ERROR = timedelta(days=1)


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

    def unstable_reason(self, service: str, now: datetime) -> str:
        """Why the last parallel run found the list unstable; empty when it did not, or when that is long ago.

        ``service``: its base URL, here and below; what was learnt of one says nothing of another.
        """
        known = self._known(service)
        return str(known.get("reason", "")) if _is_recent(known.get("unstable_at"), now) else ""

    def remember_unstable(self, service: str, reason: str, now: datetime) -> None:
        """Keep for the next runs that this list does not keep its order."""
        self._remember(service, unstable_at=now.isoformat(), reason=reason)

    def served_page_size(self, service: str, configured: int, now: datetime) -> int:
        """The page size to ask for: a smaller one than configured where larger pages were not served lately."""
        known = self._known(service)
        size = known.get("served_page_size")
        is_known = known.get("configured_page_size") == configured and _is_recent(known.get("page_size_at"), now)
        return size if is_known and isinstance(size, int) and 0 < size < configured else configured

    def remember_page_size(self, service: str, configured: int, served: int, now: datetime) -> None:
        """Keep for the next runs that larger pages were asked for in vain."""
        self._remember(service, configured_page_size=configured, served_page_size=served, page_size_at=now.isoformat())

    def write_rejects(self, snapshot_id: str, lines: Iterable[bytes]) -> Path:
        """Keep the rejects of a refused run, whole, and say where."""
        path = self.folder / f"rejects-{snapshot_id}.ndjson"
        self._write(path, lines)
        return path

    def _known(self, service: str) -> dict[str, object]:
        """Nothing where nothing was learnt, or not by us: the walk finds out again."""
        try:
            known = json.loads(self._memory.read_bytes())
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) and known.get("service") == service else {}

    def _remember(self, service: str, **facts: object) -> None:
        known = self._known(service) | {"service": service} | facts
        self._write(self._memory, [json.dumps(known).encode()])

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


def _is_recent(at: object, now: datetime) -> bool:
    """A time far ahead was written under a wrong clock, and is no better than none."""
    try:
        return isinstance(at, str) and -CLOCK_ERROR <= now - datetime.fromisoformat(at) < timedelta(days=MEMORY_DAYS)
    except (ValueError, TypeError):
        return False
