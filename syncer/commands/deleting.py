"""Deletes users through the account's one door. No request leaves before the receipt of the one before is kept."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime

from syncer.accounts import Account
from syncer.blocking import BlockingThread
from syncer.bulk.plan import DeletePlan
from syncer.bulk.receipts import Receipt, Receipts
from syncer.bulk.runner import Ended, Failed, Run
from syncer.bulk.waiting import wait_until_gone
from syncer.client import Client, Deleted
from syncer.commands.by_id import connect
from syncer.config import Settings
from syncer.model import Counters
from syncer.progress import Mode, Progress

_TO_BE_SEEN_GONE = ("accepted", "presumed")


@dataclass(frozen=True, slots=True)
class Deletion:
    """How it went. ``still_there`` and ``seen_gone`` only after a wait."""

    ended: Ended
    still_there: list[str]
    seen_gone: int
    requests: int
    retries: int


async def delete_all(
    settings: Settings,
    account: Account,
    plan: DeletePlan,
    ids: tuple[str, ...],
    receipts: Receipts,
    wait_seconds: float | None,
    progress: Mode,
) -> Deletion:
    """Carry out the plan, then wait for all ``ids`` if that is asked for. Raises SyncerError."""
    counters = Counters(users_expected=len(plan.send), phase="deleting", by_id=True)
    still_there: list[str] = []
    awaited: list[str] = []
    with BlockingThread() as thread:
        async with Progress({account.sid: counters}, progress, sys.stderr):
            async with connect(settings, account, counters) as client:
                ended = await _send(client, plan, receipts, thread, counters, settings.concurrency)
                if wait_seconds is not None and ended.stopped_by is None:
                    counters.phase = "waiting until they are gone"
                    awaited = [user_id for user_id in ids if receipts.outcome(user_id) in _TO_BE_SEEN_GONE]
                    still_there = await wait_until_gone(awaited, client.fetch, wait_seconds, settings.concurrency)
    return Deletion(ended, still_there, len(awaited) - len(still_there), counters.requests, counters.retries)


async def _send(
    client: Client, plan: DeletePlan, receipts: Receipts, thread: BlockingThread, counters: Counters, workers: int
) -> Ended:
    async def work(user_id: str) -> Deleted:
        await receipts.about_to_send(user_id, thread.run)
        return await client.delete(user_id)

    async def keep(_: int, user_id: str, result: Deleted | Failed) -> None:
        await receipts.keep(_receipt(user_id, receipts, result), thread.run)
        counters.users += 1

    return await Run(work, keep, workers).go(enumerate(plan.send))


def _receipt(user_id: str, receipts: Receipts, result: Deleted | Failed) -> Receipt:
    in_doubt = receipts.is_in_doubt(user_id)
    time = datetime.now(UTC).isoformat(timespec="milliseconds")
    if isinstance(result, Failed):
        error = result.error
        return Receipt(
            user_id,
            "failed",
            receipts.account_sid,
            receipts.base_url,
            time,
            error.attempts,
            request_id=error.request_id,
            error=str(error),
            ambiguous=error.ambiguous or in_doubt,
        )
    was_ours = result.outcome == "already_absent" and in_doubt
    return Receipt(
        user_id,
        "presumed" if was_ours else result.outcome,
        receipts.account_sid,
        receipts.base_url,
        time,
        result.attempts,
        result.resource_id,
        result.resource_location,
        result.request_id,
    )
