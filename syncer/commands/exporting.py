"""The export of every configured account, side by side: each with its own door, spool, lock and snapshot.

One that fails does not hold back the others. What they share is the process: its bound on requests at once, its
deadline.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from syncer.accounts import Account
from syncer.api.client import Client
from syncer.api.protocol import Gone
from syncer.blocking import BlockingThread
from syncer.bulk.ledger import read_erased
from syncer.commands.connecting import connect_account
from syncer.config import Settings
from syncer.durations import show_duration
from syncer.errors import GaveUp, SyncerError
from syncer.export import export_account
from syncer.model import Counters
from syncer.run import ExportPorts, ExportRequest, ExportResult
from syncer.snapshot.destination import open_store
from syncer.snapshot.page_text import find_users
from syncer.snapshot.signing import load_signer
from syncer.state import AccountState
from syncer.summary import Failure
from syncer.watchdog import watch_progress

log = logging.getLogger("syncer.export")


@dataclass(frozen=True, slots=True)
class Choices:
    """What the command line says about one run and no configuration does."""

    fresh: bool = False
    sequential: bool = False
    allow_shrink: bool = False
    allow_drift: bool = False
    changes: bool = False
    confirm_vanished: int | None = None


async def export_accounts(
    settings: Settings, choices: Choices, counters: Mapping[str, Counters]
) -> tuple[list[ExportResult], list[Failure]]:
    """Export all accounts at once and return what became of each, in the order of the configuration."""
    open_store(settings.destination)  # wrong usage is found before any request
    places = asyncio.Semaphore(settings.process_concurrency)
    async with asyncio.TaskGroup() as tasks:
        running = [
            tasks.create_task(_one(settings, choices, account, counters[account.sid], places))
            for account in settings.accounts
        ]
    outcomes = [task.result() for task in running]
    results = [outcome for outcome in outcomes if isinstance(outcome, ExportResult)]
    return results, [outcome for outcome in outcomes if isinstance(outcome, Failure)]


async def _one(
    settings: Settings, choices: Choices, account: Account, counters: Counters, places: asyncio.Semaphore
) -> ExportResult | Failure:
    try:
        return await _within_deadline(settings, choices, account, counters, places)
    except SyncerError as error:
        return Failure(account.sid, error.exit_code, str(error))
    except Exception as error:
        log.exception("this is a bug in syncer: the export of account %s failed", account.sid)
        return Failure(account.sid, 1, f"this is a bug in syncer: {type(error).__name__}; the log has the traceback")


async def _within_deadline(
    settings: Settings, choices: Choices, account: Account, counters: Counters, places: asyncio.Semaphore
) -> ExportResult:
    try:
        async with asyncio.timeout(settings.deadline) as deadline:
            return await _export(settings, choices, account, counters, places, deadline.when())
    except TimeoutError:
        if not deadline.expired():
            raise
        raise GaveUp(
            f"the deadline of {show_duration(settings.deadline)} has passed while {counters.phase}",
            hint="progress is kept, run again to resume",
        ) from None


async def _export(
    settings: Settings,
    choices: Choices,
    account: Account,
    counters: Counters,
    places: asyncio.Semaphore,
    deadline_at: float | None,
) -> ExportResult:
    connection = connect_account(
        settings,
        account,
        counters,
        concurrency=settings.concurrency,
        deadline_at=deadline_at,
        places=places,
        find_users=find_users,
    )
    signer = load_signer(settings.signing_key) if settings.signing_key else None
    with BlockingThread() as thread:
        async with connection as client:
            ports = ExportPorts(
                client.list_page,
                open_store(settings.destination, settings.state_dir / account.sid / "staging", thread.stoppable),
                counters,
                _now,
                thread.run,
                thread.stoppable,
                fetch_user=partial(_fetch, client),
                signer=signer,
                read_erased=partial(read_erased, settings.state_dir / account.sid),
            )
            return await _watched(_request(settings, choices, account), ports, client)


async def _fetch(client: Client, user_id: str) -> bytes | None:
    user = await client.fetch_json(user_id)
    return None if isinstance(user, Gone) else user


async def _watched(request: ExportRequest, ports: ExportPorts, client: Client) -> ExportResult:
    try:
        async with asyncio.TaskGroup() as tasks:
            watch = tasks.create_task(watch_progress(ports.counters, lambda: client.closed_until))
            result = await export_account(request, ports)
            watch.cancel()
            return result
    except BaseExceptionGroup as group:
        raise _only(group) from None


def _only(group: BaseExceptionGroup[BaseException]) -> BaseException:
    return next((e for e in group.exceptions if isinstance(e, SyncerError)), group.exceptions[0])


def _request(settings: Settings, choices: Choices, account: Account) -> ExportRequest:
    return ExportRequest(
        account_sid=account.sid,
        base_url=settings.base_url,
        destination=settings.destination,
        state=AccountState(settings.state_dir / account.sid),
        formats=settings.formats,
        page_size=settings.page_size,
        walkers=settings.concurrency,
        sequential=choices.sequential,
        fresh=choices.fresh,
        allow_shrink=choices.allow_shrink,
        allow_drift=choices.allow_drift,
        with_changes=choices.changes,
        confirm_vanished=choices.confirm_vanished,
        contract=settings.guards.contract,
        max_vanished_share=settings.guards.max_vanished_share,
        max_rejects=settings.guards.max_rejects,
        resume_max_age=timedelta(seconds=settings.resume_max_age),
        parquet_profile=settings.parquet_profile,
        ndjson_compression=settings.ndjson_compression,
    )


def _now() -> datetime:
    return datetime.now(UTC)
