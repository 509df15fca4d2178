"""`syncer snapshots`: list what a destination holds, oldest first."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING

from syncer.commands.settings import Subparsers, add_setting_flags, settings_of
from syncer.durations import show_duration, show_size
from syncer.errors import SnapshotMismatch
from syncer.logs import tell
from syncer.terminal import harmless, write_out

if TYPE_CHECKING:
    from syncer.snapshot.catalog import Published
    from syncer.snapshot.manifest import Manifest
    from syncer.snapshot.store import Store


_HEAD = ("SNAPSHOT", "DAY", "USERS", "CHANGE", "DELETED", "SIZE", "TOOK", "VERDICT", "SIGNED")
_LEFT = ("SNAPSHOT", "DAY", "VERDICT", "SIGNED")
_COLUMNS = 80


@dataclass(frozen=True, slots=True)
class Listed:
    """A snapshot and what the list says beyond its manifest."""

    published: Published
    previous_users: int | None
    """Of the snapshot before it in the list; None when there is none."""
    signed: bool
    """There is a signature; whose, and whether it holds, verify says."""
    is_latest: bool

    @property
    def manifest(self) -> Manifest:
        """What it is."""
        return self.published.manifest

    @property
    def change(self) -> int | None:
        """Users more than in the snapshot before."""
        return None if self.previous_users is None else self.manifest.users - self.previous_users

    @property
    def bytes(self) -> int:
        """Of its parts."""
        return sum(part.bytes for part in self.manifest.files)

    @property
    def seconds(self) -> float:
        """From the run's start to its manifest."""
        begin, end = map(datetime.fromisoformat, (self.manifest.started_at, self.manifest.finished_at))
        return (end - begin).total_seconds()


@dataclass(frozen=True, slots=True)
class Damaged:
    """A snapshot whose manifest cannot be read."""

    account_sid: str
    snapshot_id: str
    mismatch: SnapshotMismatch
    is_latest: bool


def add_parser(subparsers: Subparsers[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "snapshots",
        help="list the snapshots of a destination",
        description="List the snapshots of a destination, oldest first; the last of an account is its `latest`.",
    )
    add_setting_flags(parser, ("destination",))
    parser.add_argument("--account", metavar="SID", help="list only this account's")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Print the list. One whose manifest cannot be read is named and hides no other; the newest of an account must be
    readable: everything that says ``latest`` rests on it.
    """
    settings = settings_of(args, with_accounts=False)
    from syncer.commands.naming import accounts_meant, open_any
    from syncer.snapshot.catalog import list_accounts

    store = open_any(settings.destination)
    found: list[Listed] = []
    damaged: list[Damaged] = []
    if not list_accounts(store):
        tell(f"the destination {settings.destination} holds no snapshots")
    else:
        for sid in accounts_meant(store, args.account):
            _collect(store, sid, found, damaged)
    write_out(_as_json(found, damaged) if args.json else _as_table(found))
    return _told(damaged)


def _told(damaged: list[Damaged]) -> int:
    latest = [one.mismatch for one in damaged if one.is_latest]
    for one in damaged:
        if one.mismatch not in latest[:1]:
            tell(f"damaged: {one.mismatch}", "warning")
    if latest:
        raise latest[0]
    return 0


def _collect(store: Store, sid: str, found: list[Listed], damaged: list[Damaged]) -> None:
    from syncer.snapshot.catalog import list_snapshot_ids, load_snapshot
    from syncer.snapshot.layout import signature_path

    previous: int | None = None
    for snapshot_id in (ids := list_snapshot_ids(store, sid)):
        try:
            published = load_snapshot(store, sid, snapshot_id)
        except SnapshotMismatch as mismatch:
            damaged.append(Damaged(sid, snapshot_id, mismatch, snapshot_id == ids[-1]))
            previous = None
            continue
        signed = store.exists(signature_path(sid, snapshot_id))
        found.append(Listed(published, previous, signed, snapshot_id == ids[-1]))
        previous = published.manifest.users


def _as_json(found: list[Listed], damaged: list[Damaged]) -> str:
    snapshots = [
        {
            "account_sid": listed.manifest.account_sid,
            "snapshot_id": listed.manifest.snapshot_id,
            "verdict": listed.manifest.verdict,
            "started_at": listed.manifest.started_at,
            "finished_at": listed.manifest.finished_at,
            "seconds": listed.seconds,
            "users": listed.manifest.users,
            "deleted_users": listed.manifest.deleted_users,
            "users_change": listed.change,
            "formats": list(listed.manifest.formats),
            "bytes": listed.bytes,
            "signed": listed.signed,
            "manifest": listed.published.path,
            "latest": listed.is_latest,
        }
        for listed in found
    ]
    unreadable = [
        {"account_sid": one.account_sid, "snapshot_id": one.snapshot_id, "error": one.mismatch.message}
        for one in damaged
    ]
    return json.dumps({"version": 1, "snapshots": snapshots, "damaged": unreadable}, indent=2) + "\n"


def _as_table(found: list[Listed]) -> str:
    """A table for each account, within 80 columns while an account has less than ten million users."""
    by_account = groupby(found, key=lambda listed: listed.manifest.account_sid)
    return harmless("\n".join(_account_table(sid, list(listed)) for sid, listed in by_account))


def _account_table(sid: str, found: list[Listed]) -> str:
    rows = [_HEAD, *map(_cells, found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    gap = "  " if sum(widths) + 2 * (len(_HEAD) - 1) <= _COLUMNS else " "
    lines = [gap.join(map(_aligned, _HEAD, row, widths)).rstrip() for row in rows]
    return f"Account {sid}\n" + "".join(f"{line}\n" for line in lines)


def _aligned(name: str, cell: str, width: int) -> str:
    return cell.ljust(width) if name in _LEFT else cell.rjust(width)


def _cells(listed: Listed) -> tuple[str, ...]:
    manifest = listed.manifest
    return (
        manifest.snapshot_id,
        datetime.fromisoformat(manifest.started_at).strftime("%d %b"),
        f"{manifest.users:,}",
        "-" if listed.change is None else f"{listed.change:+,}" if listed.change else "0",
        f"{manifest.deleted_users:,}",
        show_size(listed.bytes),
        show_duration(listed.seconds) if listed.seconds else "<1 s",  # manifests of before kept whole seconds
        manifest.verdict,
        "yes" if listed.signed else "-",
    )
