"""What the commands that work on single users share: the ids, the one account, and its client."""

from __future__ import annotations

import argparse
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from syncer.commands.settings import add_setting_flags
from syncer.errors import UsageError

if TYPE_CHECKING:
    from syncer.accounts import Account
    from syncer.bulk.ids import Chosen
    from syncer.client import Client
    from syncer.config import Settings
    from syncer.model import Counters
    from syncer.snapshot.store import Store


def add_id_arguments(parser: argparse.ArgumentParser) -> None:
    """The ways to give ids."""
    parser.add_argument("ids", nargs="*", metavar="ID", help="ids of users")
    parser.add_argument(
        "--ids-file",
        metavar="FILE",
        help="one id a line, or NDJSON or Parquet with an id column; - is standard input",
    )


def add_request_flags(parser: argparse.ArgumentParser) -> None:
    """How the API is asked."""
    add_setting_flags(parser, ("base_url", "ca_file", "state_dir", "rate", "deadline"))
    parser.add_argument("--concurrency", metavar="N", help="requests at once (default: 8)")
    parser.add_argument("--account", metavar="SID", help="needed when several accounts are configured")
    parser.add_argument(
        "--progress", choices=("auto", "always", "never"), default="auto", help="live display (default: on a terminal)"
    )


def chosen_ids(args: argparse.Namespace) -> Chosen:
    """The ids given as arguments or in a file. Raises UsageError."""
    from syncer.bulk.ids import choose, of_arguments, of_file, of_stream

    if args.ids and args.ids_file:
        raise UsageError("ids were given in two ways at once", hint="give them as arguments, or in --ids-file FILE")
    if not args.ids and not args.ids_file:
        raise UsageError("no ids were given", hint="give them as arguments, or in --ids-file FILE")
    if args.ids:
        return choose(of_arguments(args.ids))
    if args.ids_file == "-":
        return choose(of_stream(open(0, "rb", closefd=False), "standard input"))
    return choose(of_file(Path(args.ids_file)))


def ids_of_snapshot(store: Store, account_sid: str, name: str, state_folder: Path) -> Chosen:
    """Every id of a snapshot: served by the API once, so their form is not judged. Raises DataRefused for an erased
    user."""
    from syncer.bulk.ids import Chosen
    from syncer.bulk.ledger import read_erased
    from syncer.commands.erased import refusing_erased
    from syncer.snapshot.catalog import find_snapshot
    from syncer.snapshot.reading import read_users

    manifest = find_snapshot(store, account_sid, name).manifest
    users = read_users(store, manifest, ("id",))
    batches = refusing_erased(users, read_erased(state_folder), manifest.snapshot_id, "nothing was asked for")
    return Chosen(tuple(user_id for batch in batches for user_id in batch.column("id").to_pylist()), 0)


def account_chosen(settings: Settings, sid: str | None) -> Account:
    """The one account to work on. Raises UsageError."""
    known = ", ".join(account.sid for account in settings.accounts)
    if sid is None:
        if len(settings.accounts) > 1:
            raise UsageError("several accounts are configured", hint=f"give --account, one of {known}")
        return settings.accounts[0]
    for account in settings.accounts:
        if account.sid == sid:
            return account
    raise UsageError(f"--account = {sid[:40]!a}: no such account is configured", hint=f"there is {known}")


def connect(settings: Settings, account: Account, counters: Counters) -> AbstractAsyncContextManager[Client]:
    """The account's client, with the settings' limits."""
    from syncer.api.redact import secret_forms
    from syncer.client import Client
    from syncer.commands.connecting import timeouts_of
    from syncer.logs import hide_from_logs

    hide_from_logs(secret_forms(account.credentials))
    return Client(
        account_sid=account.sid,
        credentials=account.credentials,
        base_url=settings.base_url,
        rate=settings.rate,
        concurrency=settings.concurrency,
        deadline_seconds=settings.deadline,
        timeouts=timeouts_of(settings),
        ca_file=settings.ca_file,
        counters=counters,
    )
