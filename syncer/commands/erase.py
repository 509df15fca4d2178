"""`syncer erase`: remove given users from every kept snapshot, and remember that they were, without their ids."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from syncer.commands.by_id import add_id_arguments
from syncer.commands.settings import Subparsers, add_setting_flags, settings_of
from syncer.errors import UsageError
from syncer.terminal import harmless, write_error, write_out

if TYPE_CHECKING:
    from syncer.bulk.ids import Chosen
    from syncer.config import Settings
    from syncer.snapshot.erase import ErasePlan
    from syncer.snapshot.store import Store

_REASON = "erasure request"


def add_parser(subparsers: Subparsers[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "erase",
        help="remove users from all kept snapshots",
        description="Write every snapshot that names one of these users anew without them, and remove the old one. A"
        " ledger of keyed hashes remembers who was erased: without ids, everybody in it is erased again, wherever an"
        " export or a restored copy has brought them back. The API is not asked: see syncer delete.",
    )
    add_id_arguments(parser)
    add_setting_flags(parser, ("destination", "state_dir", "signing_key"))
    parser.add_argument("--account", metavar="SID", help="needed when the destination holds several accounts")
    parser.add_argument("--reason", metavar="TEXT", default=_REASON, help=f"for the new manifests (default: {_REASON})")
    parser.add_argument("--yes", action="store_true", help="erase without asking; needed when nobody can answer")
    parser.add_argument("--dry-run", action="store_true", help="print what would change, and change nothing")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run, resumes=True)
    return parser


def run(args: argparse.Namespace) -> int:
    """Plan, confirm, remember, rewrite, report."""
    settings = settings_of(args, with_accounts=False)
    from syncer.bulk.ids import Chosen
    from syncer.commands.by_id import chosen_ids
    from syncer.commands.naming import account_meant, open_existing
    from syncer.lock import hold_lock
    from syncer.snapshot.store import open_store
    from syncer.state import AccountState

    chosen = chosen_ids(args) if args.ids or args.ids_file else Chosen((), 0)
    if not args.reason.isprintable():
        raise UsageError("--reason holds a character that cannot be printed")
    store = open_existing(settings.destination)
    sid = account_meant(store, args.account)
    state = AccountState(settings.state_dir / sid)
    store = open_store(settings.destination, state.folder / "staging")
    with hold_lock(state.lock, sid, datetime.now(UTC)):
        plan = _erase(store, settings, sid, chosen, args)
    write_out(_as_json(plan, args.dry_run) if args.json else _as_text(plan, args.dry_run))
    return 0


def _erase(store: Store, settings: Settings, sid: str, chosen: Chosen, args: argparse.Namespace) -> ErasePlan:
    from syncer.bulk.ledger import Ledger
    from syncer.snapshot.erase import Terms, erasure, plan_erase
    from syncer.snapshot.manifest import Tool
    from syncer.snapshot.signing import load_signer
    from syncer.version import VERSION

    signer = load_signer(settings.signing_key) if settings.signing_key else None
    ledger = Ledger(settings.state_dir / sid)
    try:
        given = frozenset(chosen.ids)
        plan = plan_erase(store, sid, lambda user_id: user_id in given or user_id in ledger)
        if args.dry_run:
            return plan
        _confirm(sid, chosen, plan, args)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        ledger.add(chosen.ids, now, args.reason)  # before anything changes: a run that is killed is finished by it
        for step in erasure(store, plan, Terms(args.reason, now, Tool("syncer", VERSION)), signer):
            step.run()
        return plan
    finally:
        ledger.close()


def _confirm(sid: str, chosen: Chosen, plan: ErasePlan, args: argparse.Namespace) -> None:
    if args.yes or not (chosen.ids or plan.rewrite):
        return
    words = f"erase {len(chosen.ids)} users of {sid}"
    if not sys.stdin.isatty() or args.ids_file == "-":
        raise UsageError(
            f"nobody confirmed this and nothing was changed: {words} from {len(plan.rewrite)} snapshots",
            hint="look at --dry-run, then add --yes",
        )
    write_error(f"{len(plan.rewrite)} snapshots are written anew. This cannot be undone.\nType `{words}` to go on:")
    if sys.stdin.readline().strip() != words:
        raise UsageError("this was not the confirmation, and nothing was changed", hint="run again")


def _as_json(plan: ErasePlan, dry_run: bool) -> str:
    """Without any id: a report is kept, and the erased are not."""
    report = {
        "version": 1,
        "account_sid": plan.account_sid,
        "dry_run": dry_run,
        "rewritten": [
            {"snapshot_id": r.old.manifest.snapshot_id, "users": len(r.held), "new_snapshot_id": r.new_id}
            for r in plan.rewrite
        ],
        "finished": list(plan.remove),
        "forgotten": list(plan.forget),
    }
    return json.dumps(report, indent=2) + "\n"


def _as_text(plan: ErasePlan, dry_run: bool) -> str:
    verb = "would be" if dry_run else "was"
    lines = [
        f"{r.old.manifest.snapshot_id} {verb} written anew as {r.new_id}, without {len(r.held)} users"
        for r in plan.rewrite
    ]
    lines += [f"what was left of {snapshot} {verb} removed" for snapshot in (*plan.remove, *plan.forget)]
    return harmless("\n".join(lines or ["no snapshot names any of these users"]) + "\n")
