"""Which account, which snapshot and which file a command line means."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from syncer.accounts import is_account_sid
from syncer.errors import StorageFailed, UsageError
from syncer.snapshot.catalog import list_accounts
from syncer.snapshot.destination import open_store
from syncer.snapshot.local_store import LocalStore
from syncer.snapshot.store import Store


def open_existing(destination: str) -> Store:
    """The store of a destination that holds snapshots. Raises UsageError for one that holds none."""
    store = open_store(destination)
    if not list_accounts(store):
        raise UsageError(
            f"the destination {destination} holds no snapshots",
            hint="check --destination, or run `syncer export` first",
        )
    return store


def open_any(destination: str) -> Store:
    """The store of a destination that may be empty yet. Raises UsageError for a folder that is not there."""
    store = open_store(destination)
    if isinstance(store, LocalStore) and not store.root.is_dir():
        raise UsageError(f"the destination {destination} is not there", hint="check --destination")
    return store


def accounts_meant(store: Store, sid: str | None) -> list[str]:
    """The account named, else all that the destination holds. Raises UsageError for one that it does not hold."""
    held = list_accounts(store)
    if sid is None:
        return held
    if not is_account_sid(sid) or sid not in held:
        raise UsageError(
            f"--account = {sid[:40]!a}: this destination does not hold it", hint=f"it holds {', '.join(held)}"
        )
    return [sid]


def account_meant(store: Store, sid: str | None) -> str:
    """The one account meant. Raises UsageError when the destination holds several and none was named."""
    accounts = accounts_meant(store, sid)
    if len(accounts) > 1:
        raise UsageError("the destination holds several accounts", hint=f"give --account, one of {', '.join(accounts)}")
    return accounts[0]


@contextmanager
def output_file(flag: str, text: str) -> Iterator[Path]:
    """The file that a flag names, while it is written. Raises UsageError for a folder; what fails does not resume."""
    path = Path(os.path.expanduser(text))
    if path.is_dir():
        raise UsageError(f"{flag} = {text!a}: this is a folder", hint="name a file")
    try:
        yield path
    except StorageFailed as error:
        raise StorageFailed(error.message, hint=error.hint.replace("run again: it resumes", "run again")) from None
