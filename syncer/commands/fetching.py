"""Fetches users through the account's one door, to standard output or into a file that a later run can go on with."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from syncer.accounts import Account
from syncer.blocking import BlockingThread
from syncer.bulk.fetched import SUFFIX, PartialFetch
from syncer.bulk.fetched import Run as Belongs
from syncer.bulk.ordered import InOrder
from syncer.bulk.runner import Ended, Failed, Run
from syncer.client import Client
from syncer.commands.by_id import connect
from syncer.config import Settings
from syncer.model import Counters
from syncer.progress import Mode, Progress
from syncer.snapshot.exact import one_line
from syncer.snapshot.user_file import write_user_file
from syncer.terminal import write_error, write_out

AHEAD_MAX = 4096
"""Users that may wait in memory for an earlier one on its way to standard output."""


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

    def give(result: tuple[str, bytes | Failed | None]) -> None:
        user_id, line = result
        if line is None:
            gone.append(user_id)
        elif not isinstance(line, Failed):
            write_out(line.decode() + "\n")

    in_order = InOrder[tuple[str, "bytes | Failed | None"]](give, AHEAD_MAX)
    index_of = {user_id: index for index, user_id in enumerate(ids)}
    # A display that is drawn again and again would run into users that are written to the same terminal.
    progress: Mode = "never" if args.progress == "auto" and sys.stdout.isatty() else args.progress
    async with Progress({account.sid: counters}, progress, sys.stderr):
        async with connect(settings, account, counters) as client:

            async def work(user_id: str) -> bytes | None:
                await in_order.wait_for_turn(index_of[user_id])
                return await _line(client, user_id)

            async def keep(index: int, user_id: str, result: bytes | Failed | None) -> None:
                counters.users += 1
                await in_order.put(index, (user_id, result))

            ended = await Run(work, keep, settings.concurrency).go(enumerate(ids))
    return Fetched(ended, ended.done - len(gone), gone, counters.requests, counters.retries)


async def fetch_to_file(settings: Settings, account: Account, ids: Sequence[str], args: argparse.Namespace) -> Fetched:
    """Users into ``args.output``. Answers are kept beside it, until every id has one."""
    counters, output = _counters(len(ids)), Path(args.output)
    belongs = Belongs(account.sid, settings.base_url, datetime.now(UTC).isoformat(timespec="seconds"))
    kept = PartialFetch(
        output.absolute().with_name(output.name + SUFFIX),
        belongs,
        age_max=timedelta(seconds=settings.resume_max_age),
        fresh=args.fresh,
    )
    try:
        if kept.note:
            write_error(f"the answers of an unfinished run are not used: {kept.note}")
        return await _fetch_rest(settings, account, ids, kept, counters, args)
    finally:
        kept.close()


async def _fetch_rest(
    settings: Settings,
    account: Account,
    ids: Sequence[str],
    kept: PartialFetch,
    counters: Counters,
    args: argparse.Namespace,
) -> Fetched:
    rest = [(index, user_id) for index, user_id in enumerate(ids) if user_id not in kept]
    counters.users = len(ids) - len(rest)
    with BlockingThread() as thread:
        async with Progress({account.sid: counters}, args.progress, sys.stderr):
            async with connect(settings, account, counters) as client:

                async def keep(_: int, user_id: str, result: bytes | Failed | None) -> None:
                    counters.users += 1
                    if not isinstance(result, Failed):
                        await kept.keep(user_id, result, thread.run)

                ended = await Run(partial(_line, client), keep, settings.concurrency).go(rest)
            gone = [user_id for user_id in ids if user_id in kept and kept.is_gone(user_id)]
            found = sum(user_id in kept for user_id in ids) - len(gone)
            if ended.stopped_by is None:
                counters.phase = "writing"
                await thread.run(lambda: write_user_file(Path(args.output), kept.users(ids)))
                if not ended.failures:
                    kept.remove()
    return Fetched(ended, found, gone, counters.requests, counters.retries, len(ids) - len(rest))


async def _line(client: Client, user_id: str) -> bytes | None:
    """The user on one line, numbers as served; None for a 404."""
    body = await client.fetch_json(user_id)
    return None if body is None else one_line(body)


def _counters(ids: int) -> Counters:
    return Counters(users_expected=ids, phase="fetching", by_id=True)
