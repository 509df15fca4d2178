"""`syncer snapshots`: list what a destination holds, oldest first."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from syncer.commands.settings import Subparsers, add_setting_flags, settings_of
from syncer.durations import show_size
from syncer.errors import SnapshotMismatch
from syncer.terminal import harmless, write_out

if TYPE_CHECKING:
    from syncer.snapshot.catalog import Published
    from syncer.snapshot.store import Store


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
    """Print the list. A snapshot whose manifest cannot be read does not hide the others: it is named at the end."""
    settings = settings_of(args, with_accounts=False)
    from syncer.commands.naming import accounts_meant, open_existing

    store = open_existing(settings.destination)
    found: list[Published] = []
    damaged: list[SnapshotMismatch] = []
    for sid in accounts_meant(store, args.account):
        _collect(store, sid, found, damaged)
    write_out(_as_json(found) if args.json else _as_table(found))
    if damaged:
        raise damaged[0]
    return 0


def _collect(store: Store, sid: str, found: list[Published], damaged: list[SnapshotMismatch]) -> None:
    from syncer.snapshot.catalog import list_snapshot_ids, load_snapshot

    for snapshot_id in list_snapshot_ids(store, sid):
        try:
            found.append(load_snapshot(store, sid, snapshot_id))
        except SnapshotMismatch as mismatch:
            damaged.append(mismatch)


def _as_json(found: list[Published]) -> str:
    snapshots = [
        {
            "account_sid": published.manifest.account_sid,
            "snapshot_id": published.manifest.snapshot_id,
            "verdict": published.manifest.verdict,
            "started_at": published.manifest.started_at,
            "finished_at": published.manifest.finished_at,
            "users": published.manifest.users,
            "deleted_users": published.manifest.deleted_users,
            "formats": list(published.manifest.formats),
            "bytes": _bytes(published),
            "manifest": published.path,
            "latest": _is_latest(published, found),
        }
        for published in found
    ]
    return json.dumps({"version": 1, "snapshots": snapshots}, indent=2) + "\n"


def _as_table(found: list[Published]) -> str:
    head = f"{'SNAPSHOT':16}  {'ACCOUNT':34}  {'USERS':>13}  {'DELETED':>11}  {'SIZE':>8}  {'VERDICT':10}  FORMATS\n"
    return harmless(head + "".join(_row(published, _is_latest(published, found)) for published in found))


def _row(published: Published, is_latest: bool) -> str:
    manifest = published.manifest
    return (
        f"{manifest.snapshot_id:16}  {manifest.account_sid:34}  {manifest.users:>13,}  {manifest.deleted_users:>11,}  "
        f"{show_size(_bytes(published)):>8}  {manifest.verdict:10}  {', '.join(manifest.formats)}"
        f"{'  (latest)' if is_latest else ''}\n"
    )


def _bytes(published: Published) -> int:
    return sum(part.bytes for part in published.manifest.files)


def _is_latest(published: Published, found: list[Published]) -> bool:
    """Whether it is its account's newest; ``found`` is in order of account, then time."""
    mine = [p for p in found if p.manifest.account_sid == published.manifest.account_sid]
    return mine[-1] is published
