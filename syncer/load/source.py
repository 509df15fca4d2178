"""What is loaded: one snapshot as plain values, and its users as a stream. Pure: whoever makes it does the reading."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Part:
    """One Parquet part. ``path`` is relative to the destination, with forward slashes."""

    path: str
    rows: int
    bytes: int
    min_id: str | None
    max_id: str | None


@dataclass(frozen=True, slots=True)
class Source:
    """A snapshot that was checked before; ``users`` is the number that a table of it must hold."""

    account_sid: str
    snapshot_id: str
    manifest_sha256: str
    users: int
    parts: tuple[Part, ...]
    """Empty when the snapshot has no Parquet."""
    batches: Callable[[], Iterator[Any]]
    """Record batches of ``id``, ``created_at``, ``updated_at``, ``deleted_at``, ``extra``; ids strictly ascending."""

    @property
    def moment(self) -> datetime:
        """The start of the run that made the snapshot."""
        return datetime.strptime(self.snapshot_id, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load came to."""

    changed: bool
    """False when the table held this snapshot already."""
    table: str
    users: int
    """Users of the snapshot, counted in the table."""
