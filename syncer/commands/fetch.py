"""`syncer fetch`: many users by id, in the order of the ids."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from syncer.commands.by_id import add_id_arguments, add_request_flags
from syncer.commands.settings import Subparsers, settings_of
from syncer.errors import UsageError
from syncer.logs import tell
from syncer.terminal import write_out

if TYPE_CHECKING:
    from syncer.bulk.ids import Chosen
    from syncer.commands.fetching import Fetched
    from syncer.config import Settings


def add_parser(subparsers: Subparsers[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "fetch",
        help="get many users by id",
        description="Get users by id, as NDJSON on standard output or into a file, in the order of the ids. Ids that"
        " the API does not know (404) are named on standard error; they are no failures.",
    )
    add_id_arguments(parser)
    parser.add_argument("--from", dest="snapshot", metavar="SNAPSHOT", help="all ids of a snapshot: an id or latest")
    parser.add_argument("--destination", metavar="PATH_OR_URI", help="where that snapshot is (default: exports)")
    parser.add_argument(
        "--output",
        metavar="FILE",
        help="write .parquet, .ndjson or .ndjson.zst; it appears when it is whole, and a run that ended early goes on",
    )
    parser.add_argument("--gone", metavar="FILE", help="write the ids that do not exist there, one a line")
    add_request_flags(parser)
    parser.add_argument("--fresh", action="store_true", help="ask for everything again, whatever an unfinished run got")
    parser.add_argument("--json", action="store_true", help="print a report as JSON; needs --output")
    parser.set_defaults(run=run, resumes=True)
    return parser


def run(args: argparse.Namespace) -> int:
    """Fetch, report, and raise what speaks for the run."""
    settings = settings_of(args, with_accounts=True)
    _check(args)
    from syncer.bulk.runner import verdict
    from syncer.commands.by_id import account_chosen
    from syncer.commands.fetching import fetch_to_file, fetch_to_out
    from syncer.commands.interrupts import run_async

    account = account_chosen(settings, args.account)
    chosen = _ids(args, settings, account.sid)
    if args.output:
        fetched = run_async(lambda: fetch_to_file(settings, account, chosen.ids, args))
    else:
        fetched = run_async(lambda: fetch_to_out(settings, account, chosen.ids, args))
    _report(args, account.sid, chosen, fetched)
    if (error := verdict(fetched.ended, fetched.done_before)) is not None:
        raise error
    return 0


def _check(args: argparse.Namespace) -> None:
    if args.json and not args.output:
        raise UsageError("--json needs --output: standard output holds the users", hint="add --output FILE")
    if args.output:
        from syncer.snapshot.change_files import change_format

        change_format(Path(args.output).name)


def _ids(args: argparse.Namespace, settings: Settings, sid: str) -> Chosen:
    from syncer.commands.by_id import chosen_ids, ids_of_snapshot
    from syncer.commands.naming import open_existing

    if args.snapshot is None:
        return chosen_ids(args)
    if args.ids or args.ids_file:
        raise UsageError("ids were given in two ways at once", hint="give ids, or --ids-file, or --from")
    return ids_of_snapshot(open_existing(settings.destination), sid, args.snapshot, settings.state_dir / sid)


def _report(args: argparse.Namespace, sid: str, chosen: Chosen, fetched: Fetched) -> None:
    gone, failures = fetched.gone, fetched.ended.failures
    if args.gone:
        _write_gone(Path(args.gone), gone)
    if args.json:
        report = {
            "version": 1,
            "account_sid": sid,
            "ids": len(chosen.ids),
            "repeated": chosen.repeated,
            "found": fetched.found,
            "gone": gone,
            "failed": [{"id": i, "exit_code": e.exit_code, "error": str(e)} for i, e in failures],
            "untried": fetched.ended.untried,
            "requests": fetched.requests,
            "retries": fetched.retries,
            "output": args.output,
        }
        write_out(json.dumps(report, indent=2) + "\n")
        return
    for user_id in gone if not args.gone else ():
        tell(f"gone: {user_id}")
    for user_id, error in failures:
        tell(f"failed: {user_id}: {error}")
    untried = f", {fetched.ended.untried:,} not tried" if fetched.ended.untried else ""
    if sys.stderr.isatty() or len(chosen.ids) > 1:
        tell(f"{fetched.found:,} found, {len(gone):,} gone, {len(failures):,} failed{untried}")


def _write_gone(path: Path, gone: list[str]) -> None:
    from syncer.snapshot.files import put_file

    put_file(path.absolute(), "".join(f"{user_id}\n" for user_id in gone).encode(), replace=True)
