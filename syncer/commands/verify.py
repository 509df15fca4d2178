"""`syncer verify`: read a whole snapshot again, compare it with its manifest, and prove its coverage once more."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from syncer.commands.settings import Subparsers, add_setting_flags, settings_of
from syncer.errors import SnapshotMismatch, StorageFailed
from syncer.model import Check
from syncer.terminal import harmless, write_out

if TYPE_CHECKING:
    from syncer.snapshot.catalog import Published
    from syncer.snapshot.store import Store


def add_parser(subparsers: Subparsers[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "verify",
        help="check a snapshot against its manifest",
        description="Read every file of a snapshot, compare it with the manifest, and prove the coverage again.",
    )
    parser.add_argument(
        "snapshot", nargs="?", default="latest", metavar="SNAPSHOT", help="an id, latest (default) or previous"
    )
    add_setting_flags(parser, ("destination",))
    parser.add_argument("--account", metavar="SID", help="needed when the destination holds several accounts")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Check everything, print each check, and raise SnapshotMismatch naming the first that failed."""
    settings = settings_of(args, with_accounts=False)
    from syncer.commands.naming import account_meant, open_existing
    from syncer.snapshot.catalog import find_snapshot

    store = open_existing(settings.destination)
    sid = account_meant(store, args.account)
    published = find_snapshot(store, sid, args.snapshot)
    checks = check_snapshot(store, published)
    write_out(_as_json(published, checks) if args.json else _as_text(published, checks))
    failed = [check for check in checks if not check.ok]
    if failed:
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        raise SnapshotMismatch(
            f"snapshot {published.manifest.snapshot_id} of {sid} does not match its manifest: "
            f"{failed[0].name}: {failed[0].detail}{more}",
            hint="do not use it; export again or restore the files",
        )
    return 0


def check_snapshot(store: Store, published: Published) -> list[Check]:
    """All checks of one snapshot: its files, the link to the one before, and the proof of coverage."""
    from syncer.snapshot.verify import verify_snapshot

    manifest = published.manifest
    return [*verify_snapshot(store, manifest.account_sid, manifest), _coverage(store, published)]


def _coverage(store: Store, published: Published) -> Check:
    """The proof, made again from the page index alone."""
    from syncer.crawl.proof import prove_coverage
    from syncer.snapshot.pages import read_page_index

    manifest = published.manifest
    try:
        coverage = prove_coverage(read_page_index(store, manifest.page_index.path))
    except (SnapshotMismatch, StorageFailed) as error:
        return Check("coverage", False, error.message)
    if coverage.verdict != manifest.verdict:
        reason = f": {coverage.reasons[0]}" if coverage.reasons else ""
        return Check("coverage", False, f"the pages prove {coverage.verdict}, not {manifest.verdict}{reason}")
    return Check(
        "coverage", True, f"{coverage.pages:,} pages in {len(coverage.path):,} stretches prove {coverage.verdict}"
    )


def _as_json(published: Published, checks: list[Check]) -> str:
    report = {
        "version": 1,
        "account_sid": published.manifest.account_sid,
        "snapshot_id": published.manifest.snapshot_id,
        "verdict": published.manifest.verdict,
        "ok": all(check.ok for check in checks),
        "checks": [{"name": check.name, "ok": check.ok, "detail": check.detail} for check in checks],
    }
    return json.dumps(report, indent=2) + "\n"


def _as_text(published: Published, checks: list[Check]) -> str:
    manifest = published.manifest
    lines = [f"Snapshot {manifest.snapshot_id} of {manifest.account_sid}: {manifest.users:,} users, {manifest.verdict}"]
    lines += [f"  {'ok' if check.ok else 'FAILED':6}  {check.name}: {check.detail}" for check in checks]
    return harmless("\n".join(lines) + "\n")
