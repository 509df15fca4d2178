"""`syncer verify`: read a whole snapshot again, compare it with its manifest, and prove its coverage once more."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from syncer.commands.settings import Subparsers, add_setting_flags, settings_of
from syncer.errors import SnapshotMismatch, StorageFailed, UsageError
from syncer.model import Check
from syncer.terminal import harmless, write_out

if TYPE_CHECKING:
    from syncer.snapshot.catalog import Published
    from syncer.snapshot.manifest import Manifest
    from syncer.snapshot.sshsig import TrustedKeys
    from syncer.snapshot.store import Store


@dataclass(frozen=True, slots=True)
class Report:
    """What became of one snapshot's checks; ``manifest`` is None when it cannot be read."""

    account_sid: str
    snapshot_id: str
    manifest: Manifest | None
    pruned: bool
    checks: list[Check]

    @property
    def failed(self) -> list[Check]:
        """The checks that did not pass."""
        return [check for check in self.checks if not check.ok]


def add_parser(subparsers: Subparsers[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "verify",
        help="check a snapshot against its manifest",
        description="Read every file of a snapshot, compare it with the manifest, and prove the coverage again. Check"
        " the hash tree over its rows, its place in the chain of snapshots, and its signature.",
    )
    parser.add_argument(
        "snapshot", nargs="?", default=None, metavar="SNAPSHOT", help="an id, latest (default) or previous"
    )
    add_setting_flags(parser, ("destination", "trusted_keys"))
    parser.add_argument("--account", metavar="SID", help="needed when the destination holds several accounts")
    parser.add_argument("--all", action="store_true", help="check the whole history, pruned snapshots too")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Check everything, print each check, and raise SnapshotMismatch naming the first that failed."""
    settings = settings_of(args, with_accounts=False)
    if args.all and args.snapshot is not None:
        raise UsageError("--all checks every snapshot: do not name one beside it", hint="see syncer verify --help")
    from syncer.commands.naming import account_meant, accounts_meant, open_existing
    from syncer.snapshot.catalog import find_snapshot_id
    from syncer.snapshot.signing import load_trusted_keys

    store = open_existing(settings.destination)
    trusted = load_trusted_keys(settings.trusted_keys) if settings.trusted_keys else None
    if args.all:
        reports = [report for sid in accounts_meant(store, args.account) for report in _history(store, sid, trusted)]
        write_out(_history_as_json(reports) if args.json else "".join(map(_as_text, reports)))
    else:
        sid = account_meant(store, args.account)
        reports = [_report(store, sid, find_snapshot_id(store, sid, args.snapshot or "latest"), trusted)]
        write_out(_dumped(_as_json(reports[0])) if args.json else _as_text(reports[0]))
    _raise_first(reports)
    return 0


def check_snapshot(store: Store, published: Published, trusted: TrustedKeys | None = None) -> Report:
    """All checks of one snapshot: its files, its place in the chain, its signature, and the proof of coverage."""
    from syncer.snapshot.chain import check_place
    from syncer.snapshot.verify import verify_snapshot

    manifest = published.manifest
    checks = [
        *verify_snapshot(store, manifest.account_sid, manifest),
        *check_place(store, manifest.account_sid, manifest.snapshot_id, trusted),
        _coverage(store, published),
    ]
    return Report(manifest.account_sid, manifest.snapshot_id, manifest, False, checks)


def _report(store: Store, sid: str, snapshot: str, trusted: TrustedKeys | None) -> Report:
    from syncer.snapshot.catalog import load_snapshot

    try:
        return check_snapshot(store, load_snapshot(store, sid, snapshot), trusted)
    except SnapshotMismatch as mismatch:
        return _unreadable(sid, snapshot, mismatch)


def _unreadable(sid: str, snapshot: str, mismatch: SnapshotMismatch, *, pruned: bool = False) -> Report:
    return Report(sid, snapshot, None, pruned, [Check("manifest", False, mismatch.message)])


def _history(store: Store, sid: str, trusted: TrustedKeys | None) -> Iterator[Report]:
    """Every snapshot of an account, oldest first; of a pruned one its manifest, its links and its signature."""
    from syncer.snapshot.catalog import list_known_ids, list_snapshot_ids

    whole = list_snapshot_ids(store, sid)
    for snapshot in list_known_ids(store, sid):
        yield (_report if snapshot in whole else _pruned)(store, sid, snapshot, trusted)


def _pruned(store: Store, sid: str, snapshot: str, trusted: TrustedKeys | None) -> Report:
    from syncer.snapshot.chain import check_place, check_previous, read_manifest
    from syncer.snapshot.manifest_json import parse

    path, data = read_manifest(store, sid, snapshot)
    try:
        manifest = parse(data)
    except SnapshotMismatch as mismatch:
        return _unreadable(sid, snapshot, mismatch, pruned=True)
    ours = (manifest.account_sid, manifest.snapshot_id) == (sid, snapshot)
    place = Check("manifest", ours, f"{path} is {'what is left of it' if ours else 'of another snapshot'}")
    checks = [place, check_previous(store, manifest), *check_place(store, sid, snapshot, trusted)]
    return Report(sid, snapshot, manifest, True, checks)


def _raise_first(reports: list[Report]) -> None:
    wrong = [report for report in reports if report.failed]
    if not wrong:
        return
    first, failed = wrong[0], sum(len(report.failed) for report in wrong)
    more = f" (and {failed - 1} more)" if failed > 1 else ""
    raise SnapshotMismatch(
        f"snapshot {first.snapshot_id} of {first.account_sid} does not match its manifest: "
        f"{first.failed[0].name}: {first.failed[0].detail}{more}",
        hint="do not use it; export again or restore the files",
    )


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


def _as_json(report: Report) -> dict[str, object]:
    return {
        "version": 1,
        "account_sid": report.account_sid,
        "snapshot_id": report.snapshot_id,
        "verdict": report.manifest.verdict if report.manifest else None,
        "pruned": report.pruned,
        "ok": not report.failed,
        "checks": [{"name": check.name, "ok": check.ok, "detail": check.detail} for check in report.checks],
    }


def _history_as_json(reports: list[Report]) -> str:
    ok = not any(report.failed for report in reports)
    return _dumped({"version": 1, "ok": ok, "snapshots": [_as_json(report) for report in reports]})


def _dumped(document: dict[str, object]) -> str:
    return json.dumps(document, indent=2) + "\n"


def _as_text(report: Report) -> str:
    if report.manifest is None:
        what = "its manifest cannot be read"
    else:
        what = f"{report.manifest.users:,} users, {report.manifest.verdict}{', pruned' if report.pruned else ''}"
    lines = [f"Snapshot {report.snapshot_id} of {report.account_sid}: {what}"]
    lines += [f"  {'ok' if check.ok else 'FAILED':6}  {check.name}: {check.detail}" for check in report.checks]
    return harmless("\n".join(lines) + "\n")
