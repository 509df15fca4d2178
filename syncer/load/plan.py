"""Does a table need this load, and may it have it? Pure: what the table holds goes in, a decision comes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from syncer.errors import GuardTripped, UsageError
from syncer.load.source import Source
from syncer.load.target import Mode


@dataclass(frozen=True, slots=True)
class Held:
    """One snapshot that a table holds, as its record says."""

    mode: str
    account_sid: str
    snapshot_id: str
    manifest_sha256: str


def needs_load(held: Sequence[Held], table: str, source: Source, mode: Mode, *, allow_older: bool) -> bool:
    """False when the table holds just this snapshot. ``held`` is empty for a table that is not there.

    Raises UsageError for a table of another account or mode, GuardTripped for a step back in time.
    """
    if not held:
        return True
    _check_kind(held[0], table, source, mode)
    same = [entry for entry in held if entry.snapshot_id == source.snapshot_id]
    if same and same[0].manifest_sha256 == source.manifest_sha256:
        return False
    newest = max(entry.snapshot_id for entry in held)
    if mode == "scd2" and newest >= source.snapshot_id:
        raise GuardTripped(
            f"{table} holds {newest}, and its history cannot take in {source.snapshot_id} afterwards",
            hint="load it into another table, with --table",
        )
    if mode == "replace" and newest > source.snapshot_id and not allow_older:
        raise GuardTripped(
            f"{table} holds {newest}, which is newer than {source.snapshot_id}",
            hint="give --allow-older to go back in time",
        )
    return True


def _check_kind(held: Held, table: str, source: Source, mode: Mode) -> None:
    if held.account_sid != source.account_sid:
        raise UsageError(f"{table} holds account {held.account_sid}", hint="load another account with --table NAME")
    if held.mode != mode:
        raise UsageError(f"{table} was loaded with --mode {held.mode}", hint="keep to it, or give another --table")
