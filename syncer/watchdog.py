"""Ends a run that no longer moves, and says what it was waiting for. Every single wait has a bound of its own; this is
for bugs
and for networks that neither answer nor fail.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from syncer.errors import GaveUp
from syncer.model import Counters

NO_PROGRESS_SECONDS = 600.0
LOOK_SECONDS = 5.0
ASKING = frozenset({"crawling", "looking back", "confirming"})
"""The phases in which a run asks; in all others it works on files."""


async def watch_progress(
    counters: Counters, closed_until: Callable[[], float], limit_seconds: float = NO_PROGRESS_SECONDS
) -> None:
    """Raise GaveUp when a run that should ask neither asks nor receives anything for so long.

    Time at a closed door does not count. ``closed_until`` gives loop time. Runs until cancelled.
    """
    loop = asyncio.get_running_loop()
    seen, since = (-1, -1), loop.time()
    while True:
        now = (counters.pages, counters.requests)
        if now != seen or counters.phase not in ASKING or loop.time() < closed_until():
            seen, since = now, loop.time()
        elif loop.time() - since > limit_seconds:
            waiting = counters.waiting_for or "an answer"
            raise GaveUp(
                f"nothing has happened for {limit_seconds:.0f} s; the run was waiting for {waiting}",
                hint="progress is kept, run again to resume",
            )
        await asyncio.sleep(LOOK_SECONDS)
