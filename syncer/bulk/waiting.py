"""Waits until deleted users are seen to be gone: 404, or a ``deletedAt``. Loop time only; every wait is bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from syncer.bulk.runner import Failed, Run

FIRST_ROUND_SECONDS = 1.0
ROUND_SECONDS_MAX = 30.0

Fetch = Callable[[str], Awaitable["dict[str, object] | None"]]


async def wait_until_gone(ids: Sequence[str], fetch: Fetch, seconds: float, workers: int) -> list[str]:
    """Ask for the users again and again, at longer and longer intervals; those that were still there at the end.

    Raises the SyncerError that would fail for every id.
    """
    loop = asyncio.get_running_loop()
    end, pause = loop.time() + seconds, FIRST_ROUND_SECONDS
    there = list(ids)
    while there:
        there = await _round(there, fetch, workers)
        if not there or loop.time() + pause > end:
            break
        await asyncio.sleep(pause)
        pause = min(2 * pause, ROUND_SECONDS_MAX)
    return there


async def _round(ids: Sequence[str], fetch: Fetch, workers: int) -> list[str]:
    gone: set[str] = set()

    async def keep(_: int, user_id: str, result: dict[str, object] | Failed | None) -> None:
        if result is None or (not isinstance(result, Failed) and result.get("deletedAt") is not None):
            gone.add(user_id)

    ended = await Run(fetch, keep, workers).go(enumerate(ids))
    if ended.stopped_by is not None:
        raise ended.stopped_by
    return [user_id for user_id in ids if user_id not in gone]
