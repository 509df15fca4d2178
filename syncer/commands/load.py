"""`syncer load`: put a snapshot into a database or a table format, or print the statements for a warehouse."""

from __future__ import annotations

import argparse
import json
import time
from typing import TYPE_CHECKING

from syncer.commands.interrupts import within
from syncer.commands.settings import Subparsers, add_setting_flags, settings_of
from syncer.errors import GaveUp, UsageError
from syncer.load.target import MODES, parse_table, parse_target
from syncer.load.vendor_sql import VENDORS
from syncer.terminal import harmless, write_error, write_out

if TYPE_CHECKING:
    from syncer.config import Settings
    from syncer.load.source import Loaded
    from syncer.load.target import TableName
    from syncer.snapshot.catalog import Published
    from syncer.snapshot.store import Store


def add_parser(subparsers: Subparsers[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "load",
        help="put a snapshot into a warehouse",
        description="Load a snapshot into a table, whole or not at all; the same snapshot twice changes nothing.",
    )
    parser.add_argument(
        "target",
        nargs="?",
        metavar="TARGET",
        help="duckdb:///file.db, postgresql://..., delta:PATH or iceberg:CATALOG.TABLE; none with --print-sql",
    )
    parser.add_argument(
        "snapshot", nargs="?", default=None, metavar="SNAPSHOT", help="an id, latest (default) or previous"
    )
    parser.add_argument("--table", metavar="NAME", default="users", help="NAME or SCHEMA.NAME (default: users)")
    parser.add_argument(
        "--mode",
        choices=MODES,
        default="replace",
        help="the newest users, every snapshot's users, or each user's versions (default: replace)",
    )
    parser.add_argument("--keep-table", action="store_true", help="replace rows, not the table: views on it stay")
    parser.add_argument("--allow-older", action="store_true", help="replace a newer snapshot by an older one")
    parser.add_argument("--print-sql", choices=VENDORS, help="print the statements of a load for this warehouse")
    parser.add_argument("--files-at", metavar="URI", help="where the warehouse finds the destination's files")
    add_setting_flags(parser, ("destination", "state_dir", "deadline"))
    parser.add_argument("--account", metavar="SID", help="needed when the destination holds several accounts")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Load one snapshot and say what came of it."""
    settings = settings_of(args, with_accounts=False)
    table = parse_table(args.table)
    if args.print_sql:
        return _print_sql(args, settings, table)
    if not args.target:
        raise UsageError("TARGET is missing", hint="see syncer load --help")
    target = parse_target(args.target)
    from syncer.bulk.ledger import read_erased
    from syncer.commands.loading import Choices, load_snapshot_into
    from syncer.commands.naming import account_meant, open_existing
    from syncer.load.tables import How
    from syncer.logs import hide_from_logs

    hide_from_logs(target.secrets)
    if target.secrets:
        write_error("syncer: a password on the command line can be seen by others; use ~/.pgpass or PGPASSWORD")
    store = open_existing(settings.destination)
    sid = account_meant(store, args.account)
    published = _published(store, sid, args.snapshot)
    choices = Choices(table, How(args.mode, args.keep_table, args.allow_older), settings.deadline)
    began = time.monotonic()
    too_late = GaveUp(
        f"the load was not done after {settings.deadline:g} seconds",
        hint="run again, with a longer --deadline: the table is as it was, or holds the snapshot",
    )
    with within(settings.deadline, too_late):
        loaded = load_snapshot_into(target, store, published, choices, read_erased(settings.state_dir / sid))
    seconds = time.monotonic() - began
    write_out(_as_json(published, loaded, args.mode, seconds) if args.json else _as_text(published, loaded, seconds))
    return 0


def _published(store: Store, sid: str, name: str | None) -> Published:
    from syncer.snapshot.catalog import find_snapshot

    if name and "://" in name:  # never repeated: it may hold a password
        raise UsageError("SNAPSHOT is a URI", hint="TARGET comes first, then SNAPSHOT")
    return find_snapshot(store, sid, name or "latest")


def _print_sql(args: argparse.Namespace, settings: Settings, table: TableName) -> int:
    """Statements on standard output; Redshift's own manifest is put beside the snapshot's."""
    if args.snapshot:
        raise UsageError("--print-sql has no TARGET", hint="give only the SNAPSHOT")
    if args.mode != "replace":
        raise UsageError("--print-sql knows only --mode replace", hint="leave --mode out")
    from syncer.commands.loading import checked_source
    from syncer.commands.naming import account_meant, open_existing
    from syncer.load.vendor_sql import address_for, redshift_manifest, redshift_manifest_path, warehouse_sql

    files_at = address_for(args.print_sql, args.files_at or settings.destination)
    store = open_existing(settings.destination)
    published = _published(store, account_meant(store, args.account), args.target)
    source = checked_source(store, published)
    if not source.parts:
        raise UsageError("the snapshot has no Parquet parts", hint="export with --format parquet")
    if args.print_sql == "redshift":
        if published.manifest.parquet_profile != "redshift":
            write_error("syncer: Redshift may not read these parts: export with --parquet-profile redshift")
        store.put_replace(redshift_manifest_path(source), redshift_manifest(source, files_at))
        write_error(f"syncer: COPY's own manifest was written to {redshift_manifest_path(source)}")
    statements = warehouse_sql(args.print_sql, source, table, files_at)
    write_out("".join(f"{statement};\n" for statement in statements))
    return 0


def _as_json(published: Published, loaded: Loaded, mode: str, seconds: float) -> str:
    report = {
        "version": 1,
        "account_sid": published.manifest.account_sid,
        "snapshot_id": published.manifest.snapshot_id,
        "table": loaded.table,
        "mode": mode,
        "changed": loaded.changed,
        "users": loaded.users,
        "seconds": round(seconds, 3),
    }
    return json.dumps(report, indent=2) + "\n"


def _as_text(published: Published, loaded: Loaded, seconds: float) -> str:
    users, snapshot = f"{published.manifest.users:,}", published.manifest.snapshot_id
    if not loaded.changed:
        return harmless(f"{loaded.table} holds snapshot {snapshot} already: {loaded.users:,} users, nothing changed\n")
    return harmless(
        f"Loaded snapshot {snapshot} into {loaded.table} in {seconds:.1f} s: "
        f"{users} users in the manifest, {loaded.users:,} in the table\n"
    )
