"""`syncer diff`: what changed between two snapshots of an account."""

from __future__ import annotations

import argparse
import json
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from syncer.commands.settings import Subparsers, add_setting_flags, settings_of
from syncer.terminal import harmless, write_out

if TYPE_CHECKING:
    from syncer.commands.erased import IsErased
    from syncer.snapshot.catalog import Published
    from syncer.snapshot.diff import Diff
    from syncer.snapshot.store import Store

_MEANINGS = {
    "created": "only in the new one",
    "updated": "in both, and different",
    "deleted": "in both, with a tombstone in the new one only",
    "returned": "in both, with a tombstone in the old one only",
    "vanished": "only in the old one, without a tombstone",
    "purged": "only in the old one, with a tombstone",
    "missing": "only in the old one; one snapshot is not complete",
    "unchanged": "in both, and equal",
}


def add_parser(subparsers: Subparsers[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "diff",
        help="what changed between two snapshots",
        description="Compare two snapshots of an account user by user, and count or write down what changed. Equal or"
        " not, the exit code is 0.",
    )
    parser.add_argument("old", nargs="?", default="previous", metavar="OLD", help="an id, latest or previous (default)")
    parser.add_argument("new", nargs="?", default="latest", metavar="NEW", help="an id, latest (default) or previous")
    add_setting_flags(parser, ("destination", "state_dir"))
    parser.add_argument("--account", metavar="SID", help="needed when the destination holds several accounts")
    parser.add_argument(
        "--output",
        metavar="PATH",
        help="write a row for each change, with both versions; .parquet, .ndjson or .ndjson.zst",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Compare, write, print the counts."""
    settings = settings_of(args, with_accounts=False)
    from syncer.bulk.ledger import read_erased
    from syncer.commands.naming import account_meant, open_existing, output_file
    from syncer.snapshot.catalog import find_snapshot

    store = open_existing(settings.destination)
    sid = account_meant(store, args.account)
    old, new = find_snapshot(store, sid, args.old), find_snapshot(store, sid, args.new)
    is_erased = read_erased(settings.state_dir / sid)
    with output_file("--output", args.output) if args.output is not None else nullcontext() as path:
        diff = compare(store, old, new, path, is_erased)
    write_out(_as_json(old, new, diff, args.output) if args.json else _as_text(old, new, diff))
    return 0


def compare(
    store: Store, old: Published, new: Published, output: Path | None, is_erased: IsErased | None = None
) -> Diff:
    """The whole difference, written to ``output`` if there is one.

    Raises SnapshotMismatch for a damaged part, DataRefused for an erased user in either snapshot.
    """
    from syncer.commands.erased import refusing_erased
    from syncer.snapshot.change_files import OutputFile
    from syncer.snapshot.diff import Diff
    from syncer.snapshot.reading import read_users

    diff = Diff(complete=old.manifest.verdict == new.manifest.verdict == "complete")
    sides = [
        refusing_erased(read_users(store, side.manifest), is_erased, side.manifest.snapshot_id, "nothing was written")
        for side in (old, new)
    ]
    tables = diff.tables(*sides)
    file = OutputFile(output) if output is not None else None
    try:
        for table in tables:
            if file is not None:
                file.write(table)
        if file is not None:
            file.close()
    except BaseException:
        if file is not None:
            file.abandon()
        raise
    return diff


def _as_json(old: Published, new: Published, diff: Diff, output: str | None) -> str:
    report = {
        "version": 1,
        "account_sid": new.manifest.account_sid,
        "old": old.manifest.snapshot_id,
        "new": new.manifest.snapshot_id,
        "counts": diff.by_change(),
        "changes": diff.counts.changes,
        "output": output,
    }
    return json.dumps(report, indent=2) + "\n"


def _as_text(old: Published, new: Published, diff: Diff) -> str:
    lines = [
        f"Changes of {new.manifest.account_sid} from {old.manifest.snapshot_id} ({old.manifest.users:,} users)"
        f" to {new.manifest.snapshot_id} ({new.manifest.users:,} users)"
    ]
    lines += [f"  {count:>13,}  {word:9}  {_MEANINGS[word]}" for word, count in diff.by_change().items()]
    return harmless("\n".join(lines) + "\n")
