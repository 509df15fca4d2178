"""`syncer erase`: remove given users from every kept snapshot, and remember that they were, without their ids."""

from __future__ import annotations

import argparse
import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from syncer.commands.confirming import add_change_arguments, confirm
from syncer.commands.settings import Subparsers, add_setting_flags, settings_of
from syncer.errors import UsageError
from syncer.model import counted
from syncer.terminal import harmless, write_out

if TYPE_CHECKING:
    from syncer.bulk.ids import Chosen
    from syncer.config import Settings
    from syncer.snapshot.erase_plan import ErasePlan
    from syncer.snapshot.store import Store

_REASON = "erasure request"
_log = logging.getLogger("syncer.erase")


def add_parser(subparsers: Subparsers[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "erase",
        help="remove users from all kept snapshots",
        description="Write every snapshot that names one of these users anew without them, and remove the old one. A"
        " ledger of keyed hashes remembers who was erased: without ids, everybody in it is erased again, wherever an"
        " export or a restored copy has brought them back. The API is not asked: see syncer delete.",
    )
    add_change_arguments(parser, verb="erase", dry_run="print what would change, and change nothing")
    add_setting_flags(parser, ("destination", "state_dir", "signing_key"))
    parser.add_argument("--account", metavar="SID", help="needed when the destination holds several accounts")
    parser.add_argument("--reason", metavar="TEXT", default=_REASON, help=f"for the new manifests (default: {_REASON})")
    parser.set_defaults(run=run, resumes=True)
    return parser


def run(args: argparse.Namespace) -> int:
    """Plan, confirm, remember, rewrite, report."""
    settings = settings_of(args, with_accounts=False)
    from syncer.bulk.ids import Chosen
    from syncer.commands.by_id import chosen_ids
    from syncer.commands.naming import account_meant, open_existing
    from syncer.lock import hold_lock
    from syncer.snapshot.destination import open_store
    from syncer.state import AccountState

    chosen = chosen_ids(args) if args.ids or args.ids_file else Chosen((), 0)
    if not args.reason.isprintable():
        raise UsageError("--reason holds a character that cannot be printed")
    store = open_existing(settings.destination)
    sid = account_meant(store, args.account)
    state = AccountState(settings.state_dir / sid)
    store = open_store(settings.destination, state.folder / "staging")
    with hold_lock(state.lock, sid, datetime.now(UTC)):
        plan, remembered = _plan(store, sid, state.folder, chosen), 0
        if not args.dry_run:
            _confirm(plan, chosen, args)
            remembered = _carry_out(store, settings, plan, chosen, args.reason)
    write_out((_as_json if args.json else _as_text)(plan, remembered, args.dry_run))
    return 0


def _plan(store: Store, sid: str, folder: Path, chosen: Chosen) -> ErasePlan:
    from syncer.bulk.ledger import read_erased
    from syncer.snapshot.erase_plan import plan_erase

    given, known = frozenset(chosen.ids), read_erased(folder)
    return plan_erase(store, sid, lambda user_id: user_id in given or (known is not None and known(user_id)))


def _carry_out(store: Store, settings: Settings, plan: ErasePlan, chosen: Chosen, reason: str) -> int:
    """The ledger first: from here on a run without ids knows what to do. How many users are new in it."""
    from syncer.bulk.ledger import Ledger
    from syncer.snapshot.erase import Terms, erasure
    from syncer.snapshot.manifest import Tool
    from syncer.snapshot.signing import load_signer
    from syncer.version import VERSION

    signer = load_signer(settings.signing_key) if settings.signing_key else None
    if signer is None and (signed := [r.old.manifest for r in plan.rewrite if r.old.manifest.signed_by]):
        raise UsageError(
            f"snapshot {signed[0].snapshot_id} is signed, what replaces it would not be, and nothing was changed",
            hint="give --signing-key",
        )
    now = datetime.now(UTC).isoformat(timespec="seconds")
    ledger = Ledger(settings.state_dir / plan.account_sid)
    try:
        remembered = ledger.add(chosen.ids, now, reason)
        for step in erasure(store, plan, Terms(reason, now, Tool("syncer", VERSION)), signer):
            _log.log(logging.INFO if step.name.startswith("write ") else logging.DEBUG, "%s", step.name)
            step.run()
        return remembered
    finally:
        ledger.close()


def _confirm(plan: ErasePlan, chosen: Chosen, args: argparse.Namespace) -> None:
    """What only finishes a run that was killed was agreed to then."""
    if chosen.ids or plan.rewrite:
        words = f"erase {counted(len(chosen.ids), 'user')} of {plan.account_sid}"
        summary = f"{words}: {counted(len(plan.rewrite), 'snapshot')} to be written anew"
        confirm(args, words=words, summary=summary, unchanged="nothing was changed")


def _as_json(plan: ErasePlan, remembered: int, dry_run: bool) -> str:
    """Without any id: a report is kept, and the erased are not."""
    report = {
        "version": 1,
        "account_sid": plan.account_sid,
        "dry_run": dry_run,
        "remembered": remembered,
        "rewritten": [
            {"snapshot_id": r.old.manifest.snapshot_id, "users": len(r.held), "new_snapshot_id": r.new_id}
            for r in plan.rewrite
        ],
        "finished": list(plan.remove),
        "forgotten": list(plan.forget),
        "leftovers": list(plan.leftovers),
    }
    return json.dumps(report, indent=2) + "\n"


def _as_text(plan: ErasePlan, remembered: int, dry_run: bool) -> str:
    verb = "would be" if dry_run else "was"
    lines = [
        f"{r.old.manifest.snapshot_id} {verb} written anew as {r.new_id}, without {counted(len(r.held), 'user')}"
        for r in plan.rewrite
    ]
    lines += [
        f"what was left of {snapshot} {verb} removed" for snapshot in (*plan.leftovers, *plan.remove, *plan.forget)
    ]
    lines = lines or ["nothing below the destination names a user who is to be erased"]
    if remembered:
        lines.append(f"{counted(remembered, 'user')} remembered as erased: exports leave them out from now on")
    return harmless("\n".join(lines) + "\n")
