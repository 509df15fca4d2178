"""`syncer export`: crawl, and publish one snapshot for each configured account."""

from __future__ import annotations

import argparse
import json
import logging
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from syncer.commands.settings import Subparsers, add_setting_flags, settings_of
from syncer.durations import show_duration
from syncer.errors import GaveUp, LockHeld, SyncerError, UsageError
from syncer.lock import refuse_if_held
from syncer.logs import tell
from syncer.state import AccountState
from syncer.summary import Failure, summary_text
from syncer.terminal import write_out

if TYPE_CHECKING:
    from syncer.config import Settings
    from syncer.summary import Exported

CONFIRM_DEFAULT = 1000
"""Missing users that are fetched when no number is given: a minute's work at the default rate."""
_SETTINGS = (
    "base_url",
    "ca_file",
    "destination",
    "state_dir",
    "page_size",
    "concurrency",
    "rate",
    "deadline",
    "signing_key",
    "parquet_profile",
    "ndjson_compression",
)


def add_parser(subparsers: Subparsers[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "export",
        help="crawl and publish one snapshot for each configured account",
        description="Walk every page of the list of users, prove that none is missing, and publish a snapshot.",
    )
    add_setting_flags(parser, _SETTINGS)
    parser.add_argument(
        "--format",
        dest="formats",
        action="append",
        metavar="parquet|ndjson",
        help="what to write; repeat it for both (default: both)",
    )
    parser.add_argument("--account", metavar="SID", help="export only this one of the configured accounts")
    parser.add_argument("--fresh", action="store_true", help="ignore an unfinished run")
    parser.add_argument("--sequential", action="store_true", help="one walker, no entries from the last snapshot")
    parser.add_argument(
        "--allow-shrink", action="store_true", help="publish even if far more users vanished than usual"
    )
    parser.add_argument(
        "--allow-drift", action="store_true", help='publish even if fields have changed and guards.contract = "strict"'
    )
    parser.add_argument(
        "--confirm-vanished",
        nargs="?",
        type=_count,
        const=CONFIRM_DEFAULT,
        metavar="N",
        help=f"fetch users missing since the last snapshot one by one, at most N (default: {CONFIRM_DEFAULT})",
    )
    parser.add_argument(
        "--changes", action="store_true", help="write what changed since the last snapshot as a partition of its own"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON on standard output")
    parser.add_argument(
        "--progress", choices=("auto", "always", "never"), default="auto", help="live display (default: on a terminal)"
    )
    parser.set_defaults(run=run, resumes=True)
    return parser


def run(args: argparse.Namespace) -> int:
    """Export the accounts, report, and return the exit code."""
    settings = _chosen(settings_of(args, with_accounts=True), args.account)
    results: Sequence[Exported] = ()
    failures: Sequence[Failure] = _at_work_already(settings)
    if not failures:
        from syncer.commands.interrupts import ended_after, run_async

        with ended_after(settings.deadline, _hangs(settings)):
            results, failures = run_async(lambda: _export_all(settings, args))
    if args.json:
        write_out(render_json(results, failures))
    _tell(results, failures, as_json=args.json)
    if len(settings.accounts) == 1 and failures:
        raise _OwnCode(failures[0])
    return exit_code_of(results, failures)


def _hangs(settings: Settings) -> GaveUp:
    return GaveUp(
        f"the deadline of {show_duration(settings.deadline)} has passed, and what was at work then does not stop",
        hint=f"look whether {settings.destination} and {settings.state_dir} answer; progress is kept, run again to"
        " resume",
    )


def _at_work_already(settings: Settings) -> Sequence[Failure]:
    """A look at the lock before anything slow is loaded; of several accounts one must not hold back the others."""
    if len(settings.accounts) != 1:
        return ()
    sid = settings.accounts[0].sid
    try:
        refuse_if_held(AccountState(settings.state_dir / sid).lock, sid)
    except LockHeld as held:
        return (Failure(sid, held.exit_code, str(held)),)
    return ()


def render_json(results: Sequence[Exported], failures: Sequence[Failure]) -> str:
    """The report; its keys are fixed by the contract with users."""
    snapshots = [
        {
            "account_sid": result.account_sid,
            "snapshot_id": result.snapshot_id,
            "verdict": result.verdict,
            "users": result.users,
            "pages": result.pages,
            "requests": result.requests,
            "retries": result.retries,
            "seconds": round(result.seconds, 3),
            "manifest": result.manifest,
        }
        for result in results
    ]
    failed = [{"account_sid": f.account_sid, "exit_code": f.exit_code, "error": f.error} for f in failures]
    return json.dumps({"version": 1, "snapshots": snapshots, "failed": failed}, indent=2) + "\n"


def exit_code_of(results: Sequence[Exported], failures: Sequence[Failure]) -> int:
    """0 when all are done, 9 when some are; when none is, the first failure's own code."""
    if not failures:
        return 0
    return 9 if results else failures[0].exit_code


class _OwnCode(SyncerError):
    """The failure of the only account, to be told like any other error."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.error)
        self.exit_code = failure.exit_code


async def _export_all(settings: Settings, args: argparse.Namespace) -> tuple[Sequence[Exported], Sequence[Failure]]:
    from syncer.garbage import seldom_after_imports
    from syncer.snapshot.memory import choose_memory_pool

    choose_memory_pool()
    with seldom_after_imports():
        from syncer.api.redact import secret_forms
        from syncer.commands.exporting import Choices, export_accounts
        from syncer.logs import hide_from_logs
        from syncer.model import Counters
        from syncer.progress import Progress

    for account in settings.accounts:
        hide_from_logs(secret_forms(account.credentials))
    counters = {account.sid: Counters() for account in settings.accounts}
    choices = Choices(
        fresh=args.fresh,
        sequential=args.sequential,
        allow_shrink=args.allow_shrink,
        allow_drift=args.allow_drift,
        changes=args.changes,
        confirm_vanished=args.confirm_vanished,
    )
    async with Progress(counters, args.progress, sys.stderr):
        return await export_accounts(settings, choices, counters)


def _count(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,8}", text):
        raise argparse.ArgumentTypeError(f"{text[:40]!a}: expected a whole number from 1")
    return int(text)


def _chosen(settings: Settings, sid: str | None) -> Settings:
    if sid is None:
        return settings
    accounts = tuple(account for account in settings.accounts if account.sid == sid)
    if not accounts:
        known = ", ".join(account.sid for account in settings.accounts)
        raise UsageError(f"--account = {sid[:40]!a}: no such account is configured", hint=f"there is {known}")
    return replace(settings, accounts=accounts)


def _tell(results: Sequence[Exported], failures: Sequence[Failure], *, as_json: bool) -> None:
    """The summary is for people and goes to standard error; with several accounts each failure is named."""
    width = shutil.get_terminal_size().columns
    if not as_json and logging.getLogger("syncer").isEnabledFor(logging.INFO):
        for result in results:
            tell(summary_text(result, width))
    if len(results) + len(failures) > 1:
        for failure in failures:
            tell(f"syncer: error: account {failure.account_sid}: {failure.error}", "error")
