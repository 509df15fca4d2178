"""Walks all stretches with bounded concurrency: asks what the walk says, records what was served.

No HTTP, no file formats, no waiting of its own: pacing and retries are inside ``list_page``, decisions inside ``Walk``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from syncer.crawl.flight import Flight, Served, cancel
from syncer.crawl.recovery import Ports, Recovery
from syncer.crawl.spool import Entry
from syncer.crawl.stretch import Ask, Broken, Covered, Ended, Follow, Step, Unstable
from syncer.crawl.walk import FIRST_IDS_MAX, Walk
from syncer.errors import ContractBroken, CoverageNotProven, SyncerError
from syncer.model import (
    ApiError,
    Counters,
    EncodedPage,
    Page,
    PageRecord,
    Struggling,
    Token,
    TokenRefused,
)


class ListUnstable(CoverageNotProven):
    """Users did not keep their places in the list while the run lasted: stretches cannot be stitched."""


class Crawler:
    """Runs walkers over a walk until it is finished. Everything it learns is in the spool when it returns."""

    def __init__(
        self, walk: Walk, ports: Ports, counters: Counters, *, walkers: int, page_size: int, asked: int = 0
    ) -> None:
        self._walk = walk
        self._ports = ports
        self._counters = counters
        self._walkers = walkers
        self._recovery = Recovery(walk, ports, page_size)
        self._asked = asked
        self._changed = asyncio.Event()
        self._started = asyncio.Event()
        """Set once the list's first page is known."""
        if walk.stretches[0].sequence:
            self._started.set()

    @property
    def entries_refused(self) -> int:
        """Entries of the last snapshot that the service did not accept."""
        return self._recovery.entries_refused

    @property
    def size_to_remember(self) -> int:
        """The page size to begin with next time, where larger ones were asked for in vain; 0 where not."""
        return self._recovery.size_to_remember

    async def run(self) -> None:
        """Walk to the end. Raises SyncerError; then the spool holds what was recorded, and a later run goes on
        there."""
        try:
            async with asyncio.TaskGroup() as tasks:
                walkers = [tasks.create_task(self._walker(tasks)) for _ in range(self._walkers)]
                # Inside the block: a group that fails while it is being left does not take its own cancellation back.
                await asyncio.wait(walkers, return_when=asyncio.FIRST_EXCEPTION)
        except BaseExceptionGroup as group:
            raise first_error(group) from None

    async def _walker(self, tasks: asyncio.TaskGroup) -> None:
        while not self._walk.is_finished:
            ask = self._take()
            if ask is None:
                self._changed.clear()
                await self._changed.wait()
                continue
            try:
                await self._follow(ask, tasks)
            finally:
                self._changed.set()

    def _take(self) -> Ask | None:
        """Until one entry is known to be accepted, only the start of the list and that one entry are asked for."""
        if not self._recovery.is_probed and sum(s.status == "walking" for s in self._walk.stretches) >= 2:
            return None
        return self._walk.take()

    async def _follow(self, ask: Ask, tasks: asyncio.TaskGroup) -> None:
        """Advance one stretch after the other until one pauses or is dropped, or none is left."""
        flight: Flight | None = self._launch(ask, tasks)
        try:
            while flight is not None:
                flight = await self._advance(flight, tasks)
        except BaseException:
            if flight is not None:
                cancel(flight)
            raise

    async def _advance(self, flight: Flight, tasks: asyncio.TaskGroup) -> Flight | None:
        flight.is_current = True
        self._run_ahead(flight, tasks)
        answer = await flight.task
        if isinstance(answer, Served):
            return await self._take_page(flight, answer, tasks)
        cancel(flight.ahead)
        if isinstance(answer, ContractBroken) and flight.ask.is_entry:  # it is not a page: the entry is worth nothing
            self._recovery.drop_entry(flight.ask)
            return None
        if isinstance(answer, SyncerError):
            raise answer
        again = await self._recovery.after(flight.ask, flight.page_size, answer)
        return self._launch(again, tasks) if again else None

    async def _take_page(self, flight: Flight, page: Served, tasks: asyncio.TaskGroup) -> Flight | None:
        encoded = page.encoded
        stretch = self._walk.stretches[flight.ask.stretch]
        known = len(stretch.first_ids)
        step = self._walk.settle(flight.ask, encoded.ids, page.next, page.end)
        if flight.ask.stretch == 0:
            self._started.set()
        following = self._next_flight(flight, step, tasks)
        if isinstance(step, (Broken, Unstable)):
            raise _refusal(step)
        if isinstance(step, Covered):
            return None
        fresh = tuple(stretch.first_ids) if known < FIRST_IDS_MAX and encoded.ids else None
        try:
            await self._ports.recorder.record(Entry(self._record(flight, page, encoded, step), encoded, fresh))
        except BaseException:
            cancel(following)
            raise
        self._count(encoded, flight)
        if not known:  # the stretch before this one may have waited for its first users
            self._changed.set()
        return following

    def _next_flight(self, flight: Flight, step: Step, tasks: asyncio.TaskGroup) -> Flight | None:
        ahead = flight.ahead
        if isinstance(step, Follow):
            if ahead is not None and ahead.ask == step.ask:
                return ahead
            cancel(ahead)
            return self._launch(step.ask, tasks)
        cancel(ahead)
        if isinstance(step, Ended):  # the next stretch's first page is asked for while this stretch's last is written
            self._changed.set()
            ask = self._take()
            return self._launch(ask, tasks) if ask else None
        return None

    def _launch(self, ask: Ask, tasks: asyncio.TaskGroup) -> Flight:
        size = self._recovery.page_size
        flight = Flight(ask, size, None)  # type: ignore[arg-type]  # the task needs the flight it reports to

        def on_next(guess: Token) -> None:
            flight.guess = guess
            self._run_ahead(flight, tasks)

        flight.task = tasks.create_task(self._list_page(ask, size, on_next))
        return flight

    def _run_ahead(self, flight: Flight, tasks: asyncio.TaskGroup) -> None:
        """Let the next request leave, once the page before this one is durable: a kill costs two pages a walker at
        most."""
        if not flight.is_current or flight.guess is None or flight.ahead is not None:
            return
        ask = self._walk.may_run_ahead(flight.ask, flight.guess)
        if ask is not None:
            flight.ahead = self._launch(ask, tasks)

    async def _list_page(
        self, ask: Ask, size: int, on_next: Callable[[Token], None]
    ) -> Served | TokenRefused | Struggling | SyncerError:
        """An error is handed over as a value: an early request that turns out to be unneeded must not end the run."""
        try:
            answer = await self._ports.list_page(ask.token, size, on_next)
        except SyncerError as error:
            return error
        if not isinstance(answer, Page):
            return answer
        page = Served(self._ports.encode(answer), answer.next, answer.end)
        return await self._probed(page) if ask.is_entry and not self._recovery.is_probed else page

    async def _probed(self, page: Served) -> Served | TokenRefused:
        """What the first entry led to: all others wait for this."""
        await self._started.wait()
        if (first := self._walk.stretches[0].first_ids[:1]) and list(page.encoded.ids[:1]) == first:
            # A service can treat a token that it does not know as none: each entry would cost a page for nothing.
            return TokenRefused(ApiError(200, "the first page of the list was served for a later page's token"))
        self._recovery.is_probed = True
        self._changed.set()
        return page

    def _record(self, flight: Flight, page: Served, encoded: EncodedPage, step: Step) -> PageRecord:
        self._asked += 1
        ids = encoded.ids
        return PageRecord(
            stretch=flight.ask.stretch,
            sequence=flight.ask.sequence,
            asked=self._asked,
            token=flight.ask.token,
            next=page.next,
            end=page.end,
            page_size=flight.page_size,
            users=encoded.users,
            rejects=len(encoded.rejects),
            first_id=ids[0] if ids else None,
            last_id=ids[-1] if ids else None,
            min_id=encoded.min_id,
            max_id=encoded.max_id,
            digest=encoded.digest,
            ending=step.ending if isinstance(step, Ended) else None,
            stitch=step.stitch if isinstance(step, Ended) else None,
            stitch_id=step.stitch_id if isinstance(step, Ended) else None,
        )

    def _count(self, encoded: EncodedPage, flight: Flight) -> None:
        self._counters.pages += 1
        self._counters.users += encoded.users
        self._counters.rejects += len(encoded.rejects)
        self._recovery.served(flight.ask, flight.page_size)


def _refusal(step: Broken | Unstable) -> CoverageNotProven:
    if isinstance(step, Unstable):
        return ListUnstable(f"the list's order is not stable: {step.reason}", hint="run again with --sequential")
    return CoverageNotProven(
        f"the list does not end: {step.reason}", hint="nothing was published; report it to the API's support"
    )


def first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that a person should see: of several at once, one of ours before a bug.

    A cancellation comes before all of them: a task group that is cancelled while one of its tasks fails tells of the
    failure only, and a caller that has an answer to that failure would go on.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        return asyncio.CancelledError()
    leaves: list[BaseException] = []
    stack: list[BaseException] = [group]
    while stack:
        error = stack.pop()
        if isinstance(error, BaseExceptionGroup):
            stack.extend(error.exceptions)
        else:
            leaves.append(error)
    return next((e for e in leaves if isinstance(e, SyncerError)), leaves[0])
