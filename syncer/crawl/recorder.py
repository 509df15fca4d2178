"""The way from the event loop into the spool: first come, first written, each page durable before it counts.

Order matters: a stretch may only be recorded as stitched after the page it was stitched to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from syncer.crawl.spool import Entry, Spool
from syncer.crawl.spool_tables import COUNTERS
from syncer.model import Counters, RunBlocking


async def in_line(work: Callable[[], None]) -> None:
    """Run the work at once: for what takes less time than to hand it to a thread, and never waits for a disk."""
    work()


class Recorder:
    """Records pages durably, in the order of the calls, also between walkers. Raises what the spool raises.

    ``append`` runs the commit of a page, ``run_blocking`` everything that may wait for the disk.
    """

    def __init__(
        self, spool: Spool, run_blocking: RunBlocking, counters: Counters, *, append: RunBlocking = in_line
    ) -> None:
        self._spool = spool
        self._run_blocking = run_blocking
        self._append = append
        self._counters = counters
        self._turn = asyncio.Lock()

    async def record(self, entry: Entry) -> None:
        """Return when the page is durable."""
        async with self._turn:
            await self._append(lambda: self._spool.record([entry], self._kept_counters()))
            if self._spool.is_checkpoint_due:
                await self._run_blocking(self._spool.checkpoint)

    async def call(self, work: Callable[[], None]) -> None:
        """Do another piece of work on the spool, after all that was asked for before it."""
        async with self._turn:
            await self._run_blocking(work)

    def _kept_counters(self) -> dict[str, int]:
        return {name: getattr(self._counters, name) for name in COUNTERS}
