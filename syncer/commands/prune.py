"""`syncer prune`: remove old snapshots by policy, and what killed runs left."""

from __future__ import annotations

import argparse
import json
import logging
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from syncer.commands.settings import Subparsers, add_setting_flags, settings_of
from syncer.durations import parse_duration
from syncer.errors import PartlyDone, SyncerError, UsageError
from syncer.terminal import harmless, write_out

if TYPE_CHECKING:
    from syncer.config import Settings
    from syncer.snapshot.prune import PrunePlan
    from syncer.snapshot.retention import Policy
    from syncer.snapshot.store import Store

log = logging.getLogger("syncer.prune")

_PERIODS = ("last", "daily", "weekly", "monthly", "yearly")
_KEEP_MAX = 1_000_000


def add_parser(subparsers: Subparsers[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "prune",
        help="remove old snapshots by policy",
        description="Remove the snapshots that no --keep rule keeps, and what killed runs left. A snapshot is kept if"
        " any rule keeps it; the latest complete one always is. Days, weeks, months and years are those of UTC.",
    )
    add_setting_flags(parser, ("destination", "state_dir"))
    parser.add_argument("--account", metavar="SID", help="only this account's")
    for period in _PERIODS:
        what = (
            "the newest N" if period == "last" else f"the newest of each of the last N {_plural(period)} that have one"
        )
        parser.add_argument(f"--keep-{period}", metavar="N", default="0", help=f"keep {what}")
    parser.add_argument(
        "--keep-within", metavar="DURATION", help="keep those less than this older than the newest, such as 30d"
    )
    parser.add_argument(
        "--grace",
        metavar="DURATION",
        default="24h",
        help="files without a manifest are let be for this long (default: 24h)",
    )
    parser.add_argument("--dry-run", action="store_true", help="print the plan and change nothing")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Plan and remove for each account, then print; one that fails, or whose export is at work, is named at the end."""
    policy, grace = _policy(args), _duration("--grace", args.grace)
    settings = settings_of(args, with_accounts=False)
    from syncer.commands.naming import accounts_meant, open_existing
    from syncer.snapshot.history import list_all_accounts

    store = open_existing(settings.destination)
    sids = accounts_meant(store, args.account) if args.account is not None else list_all_accounts(store)
    plans: list[PrunePlan] = []
    failed: list[tuple[str, SyncerError]] = []
    for sid in sids:
        try:
            plans.append(_prune(store, settings, sid, policy, grace, dry_run=args.dry_run))
        except SyncerError as error:
            failed.append((sid, error))
    write_out(_as_json(plans, failed, args.dry_run) if args.json else _as_text(plans, args.dry_run))
    if failed and plans:
        raise PartlyDone(
            f"{len(failed)} of {len(failed) + len(plans)} accounts were not pruned: {failed[0][1]}",
            hint="prune again; it goes on where it ended",
        )
    if failed:
        raise failed[0][1]
    return 0


def _prune(store: Store, settings: Settings, sid: str, policy: Policy, grace: timedelta, *, dry_run: bool) -> PrunePlan:
    from syncer.lock import hold_lock
    from syncer.snapshot.prune import plan_account, removal
    from syncer.state import AccountState

    now = datetime.now(UTC)
    lock = AccountState(settings.state_dir / sid).lock
    with nullcontext() if dry_run else hold_lock(lock, sid, now):
        plan = plan_account(store, sid, policy, now, grace)
        for step in () if dry_run else removal(store, plan):
            log.debug("%s", step.name)
            step.run()
    return plan


def _policy(args: argparse.Namespace) -> Policy:
    from syncer.snapshot.retention import Policy

    last, daily, weekly, monthly, yearly = (_count(p, getattr(args, f"keep_{p}")) for p in _PERIODS)
    policy = Policy(last, daily, weekly, monthly, yearly)
    if args.keep_within is not None:
        policy = replace(policy, within=_duration("--keep-within", args.keep_within))
    if policy.is_empty:
        raise UsageError(
            "no policy was given: nothing says what to keep", hint="give --keep-last or another --keep rule"
        )
    return policy


def _count(period: str, text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text[:9]) > _KEEP_MAX:
        raise UsageError(f"--keep-{period} = {text[:20]!a}: expected a whole number from 0 to {_KEEP_MAX}")
    return int(text)


def _duration(flag: str, text: str) -> timedelta:
    try:
        return timedelta(seconds=parse_duration(text))
    except ValueError as error:
        raise UsageError(f"{flag} = {text[:20]!a}: {error}, or 30d") from None


def _plural(period: str) -> str:
    return "days" if period == "daily" else period.removesuffix("ly") + "s"


def _lines(plan: PrunePlan) -> list[tuple[str, str, str]]:
    """What happens, to what, and why; oldest first."""
    lines = [("keep" if d.keep else "remove", d.snapshot_id, ", ".join(d.reasons)) for d in plan.decisions]
    lines += [("finish", i, "its removal was cut short") for i in plan.unfinished]
    lines += [("collect", i, "left without a manifest by a run that was killed") for i in plan.orphans]
    lines += [("leave", i, "without a manifest, and younger than --grace") for i in plan.young]
    return sorted(lines, key=lambda line: line[1])


def _as_text(plans: list[PrunePlan], dry_run: bool) -> str:
    text = ""
    for plan in plans:
        kept = len(plan.decisions) - len(plan.removed)
        verb = "would be removed" if dry_run else "removed"
        text += f"Account {plan.account_sid}: {kept} kept, {len(plan.removed)} {verb}\n"
        text += "".join(f"  {what:8}{snapshot}  {why}\n" for what, snapshot, why in _lines(plan))
    return harmless(text)


def _as_json(plans: list[PrunePlan], failed: list[tuple[str, SyncerError]], dry_run: bool) -> str:
    accounts = [
        {
            "account_sid": plan.account_sid,
            "plan": [{"action": what, "snapshot_id": i, "reason": why} for what, i, why in _lines(plan)],
        }
        for plan in plans
    ]
    errors = [{"account_sid": sid, "exit_code": error.exit_code, "error": str(error)} for sid, error in failed]
    return json.dumps({"version": 1, "dry_run": dry_run, "accounts": accounts, "failed": errors}, indent=2) + "\n"
