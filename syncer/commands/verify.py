"""`syncer verify`: read a whole snapshot again, compare it with its manifest, and prove its coverage once more."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from syncer.commands.settings import Subparsers, add_setting_flags, settings_of
from syncer.commands.verifying import Report, Whole, check_history, check_one, check_whole
from syncer.errors import SnapshotMismatch, UsageError
from syncer.terminal import harmless, write_out


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
        sids = accounts_meant(store, args.account)
        reports = [report for sid in sids for report in check_history(store, sid, trusted)]
        whole = check_whole(store, sids, everything=args.account is None)
        everything: list[Report | Whole] = [*reports, *whole]
        text = "".join(_as_text(report, only_failed=True) for report in everything)
        write_out(_history_as_json(reports, whole) if args.json else text)
        _raise_first(everything)
    else:
        sid = account_meant(store, args.account)
        report = check_one(store, sid, find_snapshot_id(store, sid, args.snapshot or "latest"), trusted)
        write_out(_dumped(_as_json(report)) if args.json else _as_text(report))
        _raise_first([report])
    return 0


def _raise_first(reports: Sequence[Report | Whole]) -> None:
    wrong = [report for report in reports if report.failed]
    if not wrong:
        return
    first, failed = wrong[0], sum(len(report.failed) for report in wrong)
    more = f" (and {failed - 1} more)" if failed > 1 else ""
    raise SnapshotMismatch(
        f"{first.subject}: {first.failed[0].name}: {first.failed[0].detail}{more}",
        hint="do not use it; export again or restore the files",
    )


def _as_json(report: Report) -> dict[str, object]:
    return {
        "version": 1,
        "account_sid": report.account_sid,
        "snapshot_id": report.snapshot_id,
        "verdict": report.manifest.verdict if report.manifest else None,
        "pruned": report.pruned,
        **_checks_as_json(report),
    }


def _checks_as_json(report: Report | Whole) -> dict[str, object]:
    checks = [{"name": check.name, "ok": check.ok, "detail": check.detail} for check in report.checks]
    return {"ok": not report.failed, "checks": checks}


def _history_as_json(reports: list[Report], whole: list[Whole]) -> str:
    accounts = [{"account_sid": one.account_sid, **_checks_as_json(one)} for one in whole if one.account_sid]
    destination = [_checks_as_json(one) for one in whole if one.account_sid is None]
    return _dumped(
        {
            "version": 1,
            "ok": not any(report.failed for report in reports) and not any(one.failed for one in whole),
            "snapshots": [_as_json(report) for report in reports],
            "accounts": accounts,
            "destination": destination[0] if destination else None,
        }
    )


def _dumped(document: dict[str, object]) -> str:
    return json.dumps(document, indent=2) + "\n"


def _as_text(report: Report | Whole, *, only_failed: bool = False) -> str:
    """A check to a line, the folders of the account left out of paths; then how many there were."""
    lines = [_headline(report)]
    shown = report.failed if only_failed else report.checks
    lines += [
        _shorter(f"  {'ok' if check.ok else 'FAILED':6}  {check.name}: {check.detail}", report) for check in shown
    ]
    lines.append(f"  {len(report.checks) - len(report.failed)} of {len(report.checks)} checks passed")
    return harmless("\n".join(lines) + "\n")


def _shorter(line: str, report: Report | Whole) -> str:
    """Paths as a person reads them: those of this snapshot begin with its own folders, which its headline names."""
    if isinstance(report, Report):
        from syncer.snapshot import layout

        for kind in layout.DATA_FOLDERS:
            line = line.replace(layout.data_folder(kind, report.account_sid, report.snapshot_id), kind)
        line = line.replace(layout.snapshot_folder(report.account_sid, report.snapshot_id) + "/", "")
        line = line.replace(layout.account_folder(report.account_sid) + "/", "")
    return line


def _headline(report: Report | Whole) -> str:
    if isinstance(report, Whole):
        return f"History of {report.account_sid}" if report.account_sid else "Destination"
    if report.manifest is None:
        what = "its manifest cannot be read"
    else:
        what = f"{report.manifest.users:,} users, {report.manifest.verdict}{', pruned' if report.pruned else ''}"
    return f"Snapshot {report.snapshot_id} of {report.account_sid}: {what}"
