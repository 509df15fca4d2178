"""`syncer check`: is this set-up able to run tonight? Looks at everything an export needs, and publishes nothing."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from syncer.commands.settings import Subparsers, add_setting_flags, settings_of
from syncer.config import Settings, find_config
from syncer.durations import show_size
from syncer.errors import GaveUp, StorageFailed, SyncerError
from syncer.terminal import harmless, write_out

if TYPE_CHECKING:
    from syncer.accounts import Account
    from syncer.snapshot.store import Store

REQUEST_SECONDS_MAX = 30.0
"""A set-up that needs longer for one user is not able to run."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. ``exit_code`` is what an export would end with, 0 if it is well."""

    name: str
    detail: str
    exit_code: int = 0


def add_parser(subparsers: Subparsers[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "check",
        help="is this set-up able to run tonight?",
        description="Look at settings, secrets, folders, locks and credentials, and ask the API for one user.",
    )
    add_setting_flags(parser, ("base_url", "ca_file", "destination", "state_dir"))
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Print all findings; the exit code is that of the first one that is not well."""
    findings = list(_findings(args))
    write_out(_as_json(findings) if args.json else _as_text(findings))
    return next((finding.exit_code for finding in findings if finding.exit_code), 0)


def _findings(args: argparse.Namespace) -> Iterator[Finding]:
    """Settings first: without them there is nothing else to look at."""
    try:
        settings_of(args, with_accounts=False)
    except SyncerError as error:
        yield _bad("settings", error)
        return
    yield Finding("settings", f"read from {find_config(args.config, os.environ) or 'flags and environment'}")
    try:
        settings = settings_of(args, with_accounts=True)
    except SyncerError as error:
        yield _bad("secrets", error)
        return
    yield Finding("secrets", f"found for {len(settings.accounts)} account{'s' * (len(settings.accounts) != 1)}")
    yield _folder("state folder", settings.state_dir, settings.free_space_min)
    yield from _destination(settings)
    for account in settings.accounts:
        yield from _account(settings, account)


def _destination(settings: Settings) -> Iterator[Finding]:
    from syncer.snapshot.destination import open_store
    from syncer.snapshot.local_store import LocalStore

    try:
        store = open_store(settings.destination)
    except SyncerError as error:
        yield _bad("destination", error)
        return
    if isinstance(store, LocalStore):
        yield _folder("destination", store.root, settings.free_space_min)
    else:
        yield _bucket(store, settings.destination)


def _bucket(store: Store, destination: str) -> Finding:
    try:
        store.check_access()
    except SyncerError as error:
        return _bad("destination", error)
    return Finding("destination", f"{destination} can be listed, written and cleaned up")


def _folder(name: str, folder: Path, free_space_min: int) -> Finding:
    """Whether files can be written there, or where it would be made. Leaves nothing behind."""
    existing = next((place for place in (folder, *folder.absolute().parents) if place.exists()), Path("/"))
    try:
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(b"syncer")
        free = shutil.disk_usage(existing).free
    except OSError as error:
        return _bad(
            name, StorageFailed(f"{existing} cannot be written: {error.strerror}", hint="check its owner and mode")
        )
    if free < free_space_min:
        problem = f"{folder} has {show_size(free)} free, less than {show_size(free_space_min)}"
        return _bad(name, StorageFailed(problem, hint="free some space, or set free_space_min"))
    return Finding(name, f"{folder} can be written, {show_size(free)} free")


def _account(settings: Settings, account: Account) -> Iterator[Finding]:
    yield _lock(settings, account.sid)
    yield _service(settings, account)
    yield _last_snapshot(settings, account.sid)


def _lock(settings: Settings, sid: str) -> Finding:
    from syncer.lock import hold_lock
    from syncer.state import AccountState

    name, state = f"lock of {sid}", AccountState(settings.state_dir / sid)
    kept = "; an unfinished run is kept, the next export resumes it" if state.spool.exists() else ""
    if not state.lock.exists():
        return Finding(name, f"free{kept}")
    try:
        with hold_lock(state.lock, sid, datetime.now(UTC)):
            return Finding(name, f"free{kept}")
    except SyncerError as error:
        return _bad(name, error)


def _service(settings: Settings, account: Account) -> Finding:
    from syncer.commands.interrupts import run_async

    name = f"API for {account.sid}"
    try:
        run_async(lambda: _ask_for_one_user(settings, account))
    except SyncerError as error:
        return _bad(name, error)
    return Finding(name, f"{settings.base_url} accepts the credentials")


async def _ask_for_one_user(settings: Settings, account: Account) -> None:
    import asyncio

    from syncer.api.redact import secret_forms
    from syncer.commands.connecting import connect_account
    from syncer.logs import hide_from_logs
    from syncer.model import Counters, Page

    hide_from_logs(secret_forms(account.credentials))
    deadline_at = asyncio.get_running_loop().time() + REQUEST_SECONDS_MAX
    async with connect_account(settings, account, Counters(), concurrency=1, deadline_at=deadline_at) as client:
        try:
            async with asyncio.timeout(REQUEST_SECONDS_MAX):
                answer = await client.list_page(None, 1)
        except TimeoutError:
            raise GaveUp(f"no answer within {REQUEST_SECONDS_MAX:.0f} s", hint="try again later") from None
        if not isinstance(answer, Page):
            raise GaveUp(f"the API does not answer with users: {answer.error.message}", hint="try again later")


def _last_snapshot(settings: Settings, sid: str) -> Finding:
    from syncer.snapshot.catalog import load_latest
    from syncer.snapshot.destination import open_store

    name = f"last snapshot of {sid}"
    try:
        last = load_latest(open_store(settings.destination), sid)
    except SyncerError as error:
        return _bad(name, error)
    if last is None:
        return Finding(name, "none yet: the first export walks the list with one walker")
    return Finding(name, f"{last.manifest.snapshot_id}, {last.manifest.users:,} users")


def _bad(name: str, error: SyncerError) -> Finding:
    return Finding(name, str(error), error.exit_code)


def _as_json(findings: Iterable[Finding]) -> str:
    listed = [{"name": f.name, "ok": not f.exit_code, "detail": f.detail, "exit_code": f.exit_code} for f in findings]
    return json.dumps({"version": 1, "ok": all(f["ok"] for f in listed), "checks": listed}, indent=2) + "\n"


def _as_text(findings: Iterable[Finding]) -> str:
    return harmless("".join(f"{'FAILED' if f.exit_code else 'ok':6}  {f.name}: {f.detail}\n" for f in findings))
