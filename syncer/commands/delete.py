"""`syncer delete`: ask the API to delete many users, with a plan, a confirmation and receipts."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from syncer.commands.by_id import add_request_flags
from syncer.commands.confirming import add_change_arguments, confirm
from syncer.commands.settings import Subparsers, settings_of
from syncer.errors import GaveUp, PartlyDone, SyncerError, UsageError
from syncer.logs import tell
from syncer.model import counted
from syncer.terminal import write_out

if TYPE_CHECKING:
    from syncer.bulk.plan import DeletePlan
    from syncer.bulk.receipts import Receipts
    from syncer.commands.deleting import Deletion
    from syncer.config import Settings

_WAIT_DEFAULT = "5m"


def add_parser(subparsers: Subparsers[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "delete",
        help="delete many users from the API, with receipts",
        description="Ask the API to delete users. Every answer is a receipt on the disk before the next request; run"
        " again after an interruption, and nothing that was accepted is sent twice. Snapshots keep these users: see"
        " syncer erase.",
    )
    add_change_arguments(parser, verb="delete", dry_run="print the ids that would be deleted, and send nothing")
    parser.add_argument("--max", dest="deletes_max", metavar="N", help="delete at most so many (default: 1000)")
    parser.add_argument(
        "--receipts", metavar="FILE", help="where receipts are kept (default: receipts.ndjson in the account's state)"
    )
    parser.add_argument(
        "--wait",
        nargs="?",
        const=_WAIT_DEFAULT,
        metavar="DURATION",
        help="then wait until the users are gone, at most so long (default: 5m)",
    )
    add_request_flags(parser)
    parser.set_defaults(run=run, resumes=True)
    return parser


def run(args: argparse.Namespace) -> int:
    """Plan, confirm, delete, wait, report; raises what speaks for the run."""
    settings = settings_of(args, with_accounts=True)
    from syncer.bulk.ids import is_user_id
    from syncer.bulk.plan import plan_deletes
    from syncer.bulk.receipts import Receipts
    from syncer.commands.by_id import account_chosen, chosen_ids

    account = account_chosen(settings, args.account)
    if args.wait and is_user_id(args.wait):  # `--wait ID`: the option took what was meant as an id
        args.ids, args.wait = [args.wait, *args.ids], _WAIT_DEFAULT
    wait_seconds, deletes_max = _wait_seconds(args.wait), _deletes_max(args.deletes_max)
    chosen = chosen_ids(args)
    path = Path(args.receipts) if args.receipts else settings.state_dir / account.sid / "receipts.ndjson"
    if args.dry_run and not path.exists():
        return _show(plan_deletes(account.sid, chosen, lambda _: False, deletes_max), args)
    receipts = Receipts(path, account.sid, settings.base_url)
    try:
        plan = plan_deletes(account.sid, chosen, receipts.is_final, deletes_max)
        if args.dry_run:
            return _show(plan, args)
        if plan.send:
            confirm(args, words=plan.confirmation, summary=plan.summary(), unchanged="nothing was sent")
        return _delete(settings, account, plan, chosen.ids, receipts, wait_seconds, args)
    finally:
        receipts.close()


def _delete(
    settings: Settings,
    account: object,
    plan: DeletePlan,
    ids: tuple[str, ...],
    receipts: Receipts,
    wait_seconds: float | None,
    args: argparse.Namespace,
) -> int:
    from syncer.accounts import Account
    from syncer.commands.deleting import delete_all
    from syncer.commands.interrupts import run_async

    assert isinstance(account, Account)
    deletion = run_async(lambda: delete_all(settings, account, plan, ids, receipts, wait_seconds, args.progress))
    _report(plan, ids, receipts, deletion, args)
    if (error := _verdict(plan, deletion)) is not None:
        raise error
    return 0


def _verdict(plan: DeletePlan, deletion: Deletion) -> SyncerError | None:
    from syncer.bulk.runner import verdict

    if (error := verdict(deletion.ended, plan.done_before)) is not None:
        return error
    if not deletion.still_there:
        return None
    kind = PartlyDone if deletion.seen_gone else GaveUp
    return kind(
        f"{counted(len(deletion.still_there), 'user')} still there when the wait ended, {deletion.seen_gone:,} gone",
        hint="the deletions were accepted; run the same command with --wait later",
    )


def _report(
    plan: DeletePlan, ids: tuple[str, ...], receipts: Receipts, deletion: Deletion, args: argparse.Namespace
) -> None:
    counts, ended = receipts.counts(ids), deletion.ended
    if args.json:
        report = {
            "version": 1,
            "account_sid": plan.account_sid,
            "ids": len(ids),
            "repeated": plan.repeated,
            "sent": len(plan.send) - ended.untried,
            "done_before": plan.done_before,
            "outcomes": counts,
            "failed": [{"id": i, "exit_code": e.exit_code, "error": str(e)} for i, e in ended.failures],
            "untried": ended.untried,
            "still_there": deletion.still_there,
            "requests": deletion.requests,
            "retries": deletion.retries,
            "receipts": str(receipts.path),
        }
        write_out(json.dumps(report, indent=2) + "\n")
        return
    for user_id, error in ended.failures:
        tell(f"failed: {user_id}: {error}")
    for user_id in deletion.still_there:
        tell(f"still there: {user_id}")
    said = ", ".join(f"{count:,} {outcome.replace('_', ' ')}" for outcome, count in counts.items() if count)
    untried = f", {ended.untried:,} not tried" if ended.untried else ""
    tell(
        f"{counted(len(ids), 'user')} of {plan.account_sid}: {said or 'none done'}{untried}; receipts in"
        f" {receipts.path}"
    )


def _show(plan: DeletePlan, args: argparse.Namespace) -> int:
    """The plan, and nothing else."""
    if args.json:
        report = {
            "version": 1,
            "dry_run": True,
            "account_sid": plan.account_sid,
            "send": list(plan.send),
            "repeated": plan.repeated,
            "done_before": plan.done_before,
        }
        write_out(json.dumps(report, indent=2) + "\n")
        return 0
    write_out("".join(f"{user_id}\n" for user_id in plan.send))
    tell(f"dry run, nothing was sent: {plan.summary()}")
    return 0


def _wait_seconds(text: str | None) -> float | None:
    from syncer.durations import parse_duration

    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"--wait = {text[:40]!a}: {error}") from None


def _deletes_max(text: str | None) -> int:
    from syncer.bulk.plan import DELETES_MAX

    if text is None:
        return DELETES_MAX
    if not text.isascii() or not text.isdigit():
        raise UsageError(f"--max = {text[:40]!a}: expected a whole number")
    return int(text)
