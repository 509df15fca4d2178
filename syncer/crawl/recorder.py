"""The way from the event loop into the spool: first come, first written, one transaction for all that wait together.

Order matters: a stretch may only be recorded as stitched after the page it was stitched to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

from syncer.crawl.spool import Entry, Spool
from syncer.model import Counters

RunBlocking = Callable[[Callable[[], None]], Awaitable[None]]
"""Runs a blocking call somewhere and waits for it: a thread in the product, in line where time is simulated."""


Work = Entry | Callable[[], None]


class Recorder:
    """Records pages durably, in the order of the calls, also between walkers."""

    def __init__(self, spool: Spool, run_blocking: RunBlocking, counters: Counters) -> None:
        self._spool = spool
        self._run_blocking = run_blocking
        self._counters = counters
        self._waiting: list[tuple[Work, asyncio.Future[None]]] = []
        self._wake = asyncio.Event()

    async def record(self, entry: Entry) -> None:
        """Return when the page is durable. Waits for ever if ``write_all`` has failed: its error ends the run."""
        await self.call(entry)

    async def call(self, work: Work) -> None:
        """Do another piece of work on the spool, after all that was asked for before it."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((work, done))
        self._wake.set()
        await done

    async def write_all(self) -> None:
        """Write whatever waits, until cancelled. The queue is bounded by the walkers: each waits for its page.

        Raises what the spool raises.
        """
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch, self._waiting = self._waiting, []
            numbers = {
                "requests": self._counters.requests,
                "retries": self._counters.retries,
                "throttled": self._counters.throttled,
            }
            for works in _runs([work for work, _ in batch]):
                await self._run_blocking(partial(self._do, works, numbers))
            for _, done in batch:
                if not done.done():
                    done.set_result(None)

    def _do(self, works: list[Work], numbers: dict[str, int]) -> None:
        if isinstance(works[0], Entry):
            self._spool.record([work for work in works if isinstance(work, Entry)], numbers)
        else:
            works[0]()


def _runs(works: list[Work]) -> Iterator[list[Work]]:
    """Neighbouring pages together, everything else alone."""
    pages: list[Work] = []
    for work in works:
        if isinstance(work, Entry):
            pages.append(work)
            continue
        if pages:
            yield pages
        yield [work]
        pages = []
    if pages:
        yield pages
