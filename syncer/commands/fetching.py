"""Fetches users through the account's one door, to standard output or into a file that a later run can go on with."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from syncer.accounts import Account
from syncer.blocking import BlockingThread
from syncer.bulk.fetched import SUFFIX, PartialFetch
from syncer.bulk.fetched import Run as Belongs
from syncer.bulk.ordered import InOrder
from syncer.bulk.runner import Ended, Failed, Run
from syncer.commands.by_id import connect
from syncer.config import Settings
from syncer.model import Counters
from syncer.progress import Progress
from syncer.snapshot.user_file import write_user_file
from syncer.terminal import write_error, write_out

AHEAD_MAX = 4096
"""Users that may wait in memory for an earlier one on its way to standard output."""

User = dict[str, object]


@dataclass(frozen=True, slots=True)
class Fetched:
    """What became of all ids."""

    ended: Ended
    found: int
    gone: list[str]
    """In the order of the ids."""
    requests: int
    retries: int
    done_before: int = 0
    """Answers that an unfinished run had got."""


async def fetch_to_out(settings: Settings, account: Account, ids: Sequence[str], args: argparse.Namespace) -> Fetched:
    """Users as NDJSON on standard output, in the order of the ids, as soon as it is their turn."""
    counters = _counters(len(ids))
    gone: list[str] = []

    def give(result: tuple[str, User | Failed | None]) -> None:
        user_id, user = result
        if user is None:
            gone.append(user_id)
        elif not isinstance(user, Failed):
            write_out(json.dumps(user, ensure_ascii=False, separators=(",", ":")) + "\n")

    in_order = InOrder[tuple[str, "User | Failed | None"]](give, AHEAD_MAX)
    index_of = {user_id: index for index, user_id in enumerate(ids)}
    async with Progress({account.sid: counters}, args.progress, sys.stderr):
        async with connect(settings, account, counters) as client:

            async def work(user_id: str) -> User | None:
                await in_order.wait_for_turn(index_of[user_id])
                return await client.fetch(user_id)

            async def keep(index: int, user_id: str, result: User | Failed | None) -> None:
                counters.users += 1
                await in_order.put(index, (user_id, result))

            ended = await Run(work, keep, settings.concurrency).go(enumerate(ids))
    return Fetched(ended, ended.done - len(gone), gone, counters.requests, counters.retries)


async def fetch_to_file(settings: Settings, account: Account, ids: Sequence[str], args: argparse.Namespace) -> Fetched:
    """Users into ``args.output``. Answers are kept beside it, until every id has one."""
    counters, output = _counters(len(ids)), Path(args.output)
    belongs = Belongs(account.sid, settings.base_url, datetime.now(UTC).isoformat(timespec="seconds"))
    partial = PartialFetch(
        output.absolute().with_name(output.name + SUFFIX),
        belongs,
        age_max=timedelta(seconds=settings.resume_max_age),
        fresh=args.fresh,
    )
    try:
        if partial.note:
            write_error(f"the answers of an unfinished run are not used: {partial.note}")
        return await _fetch_rest(settings, account, ids, partial, counters, args)
    finally:
        partial.close()


async def _fetch_rest(
    settings: Settings,
    account: Account,
    ids: Sequence[str],
    partial: PartialFetch,
    counters: Counters,
    args: argparse.Namespace,
) -> Fetched:
    rest = [(index, user_id) for index, user_id in enumerate(ids) if user_id not in partial]
    counters.users = len(ids) - len(rest)
    with BlockingThread() as thread:
        async with Progress({account.sid: counters}, args.progress, sys.stderr):
            async with connect(settings, account, counters) as client:

                async def keep(_: int, user_id: str, result: User | Failed | None) -> None:
                    counters.users += 1
                    if not isinstance(result, Failed):
                        await partial.keep(user_id, result, thread.run)

                ended = await Run(client.fetch, keep, settings.concurrency).go(rest)
            gone = [user_id for user_id in ids if user_id in partial and partial.is_gone(user_id)]
            found = sum(user_id in partial for user_id in ids) - len(gone)
            if ended.stopped_by is None:
                counters.phase = "writing"
                await thread.run(lambda: write_user_file(Path(args.output), partial.users(ids)))
                if not ended.failures:
                    partial.remove()
    return Fetched(ended, found, gone, counters.requests, counters.retries, len(ids) - len(rest))


def _counters(ids: int) -> Counters:
    return Counters(users_expected=ids, phase="fetching")
