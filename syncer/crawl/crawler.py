"""Walks all stretches with bounded concurrency: asks what the walk says, records what was served.

No HTTP, no file formats, no waiting of its own: pacing and retries are inside ``list_page``, decisions inside ``Walk``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from syncer.crawl.page_size import PageSize
from syncer.crawl.recorder import Recorder
from syncer.crawl.spool import Entry, Spool
from syncer.crawl.walk import FIRST_IDS_MAX, Ask, Broken, Ended, Follow, Step, Unstable, Walk
from syncer.errors import ContractBroken, CoverageNotProven, GaveUp, SyncerError
from syncer.model import (
    Counters,
    Encode,
    EncodedPage,
    EndSpelling,
    ListPage,
    Page,
    PageRecord,
    Struggling,
    Token,
    TokenRefused,
)

STRUGGLES_MAX = 3
"""Rounds of attempts for one token at the smallest page size."""


class ListUnstable(CoverageNotProven):
    """Users did not keep their places in the list while the run lasted: stretches cannot be stitched."""


class WalkLost(CoverageNotProven):
    """No remembered token of a stretch is accepted any more: only a new walk from the start can help."""


@dataclass(frozen=True, slots=True)
class Served:
    """A page as columns. Its body and its parsed users are twenty times as large, so they are gone before it waits."""

    encoded: EncodedPage
    next: Token | None
    end: EndSpelling | None


@dataclass(slots=True)
class Flight:
    """One page that is being asked for. At most two of a stretch: the page in hand and the one after it."""

    ask: Ask
    page_size: int
    task: asyncio.Task[Served | TokenRefused | Struggling | SyncerError]
    is_current: bool = False
    guess: Token | None = None
    ahead: Flight | None = None


@dataclass(frozen=True, slots=True)
class Ports:
    """What the crawler needs of the world."""

    list_page: ListPage
    encode: Encode
    recorder: Recorder
    spool: Spool
    """Only used through the recorder."""


class Crawler:
    """Runs walkers over a walk until it is finished. Everything it learns is in the spool when it returns."""

    def __init__(
        self, walk: Walk, ports: Ports, counters: Counters, *, walkers: int, page_size: int, asked: int = 0
    ) -> None:
        self._walk = walk
        self._ports = ports
        self._counters = counters
        self._walkers = walkers
        self._size = PageSize(page_size, page_size)
        self._asked = asked
        self._changed = asyncio.Event()
        self._is_probed = sum(s.status != "dropped" for s in walk.stretches) < 2 or any(
            s.sequence for s in walk.stretches[1:]
        )
        self._is_size_bound = False
        self._struggles: dict[int, int] = {}
        self._served_size = 0
        """The largest page size at which a page was served in this run."""
        self.entries_refused = 0

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
        if not self._is_probed and sum(s.status == "walking" for s in self._walk.stretches) >= 2:
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
                _cancel(flight)
            raise

    async def _advance(self, flight: Flight, tasks: asyncio.TaskGroup) -> Flight | None:
        flight.is_current = True
        self._run_ahead(flight, tasks)
        answer = await flight.task
        if isinstance(answer, Served):
            return await self._take_page(flight, answer, tasks)
        _cancel(flight.ahead)
        if isinstance(answer, ContractBroken) and flight.ask.is_entry:  # it is not a page: the entry is worth nothing
            self._drop_entry(flight.ask)
            return None
        if isinstance(answer, SyncerError):
            raise answer
        again = await self._after_trouble(flight, answer)
        return self._launch(again, tasks) if again else None

    async def _take_page(self, flight: Flight, page: Served, tasks: asyncio.TaskGroup) -> Flight | None:
        encoded = page.encoded
        stretch = self._walk.stretches[flight.ask.stretch]
        known = len(stretch.first_ids)
        step = self._walk.settle(flight.ask, encoded.ids, page.next, page.end)
        following = self._next_flight(flight, step, tasks)
        if isinstance(step, (Broken, Unstable)):
            raise _refusal(step)
        fresh = tuple(stretch.first_ids) if known < FIRST_IDS_MAX and encoded.ids else None
        try:
            await self._ports.recorder.record(Entry(self._record(flight, page, encoded, step), encoded, fresh))
        except BaseException:
            _cancel(following)
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
            _cancel(ahead)
            return self._launch(step.ask, tasks)
        _cancel(ahead)
        if isinstance(step, Ended):  # the next stretch's first page is asked for while this stretch's last is written
            self._changed.set()
            ask = self._take()
            return self._launch(ask, tasks) if ask else None
        return None

    def _launch(self, ask: Ask, tasks: asyncio.TaskGroup) -> Flight:
        size = self._size.now
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
        if ask.stretch > 0 and not self._is_probed:
            self._is_probed = True
            self._changed.set()
            await asyncio.sleep(0)  # all other walkers wait for this: they go before the page takes the processor
        return Served(self._ports.encode(answer), answer.next, answer.end)

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
        self._size = self._size.after_clean_page()
        self._served_size = max(self._served_size, flight.page_size)
        self._struggles.pop(flight.ask.stretch, None)

    async def _after_trouble(self, flight: Flight, answer: TokenRefused | Struggling) -> Ask | None:
        if isinstance(answer, Struggling):
            if flight.ask.is_entry and flight.page_size <= self._served_size:
                return self._entry_again(flight.ask)
            return self._smaller_page(flight, answer)
        if flight.ask.sequence > 0:
            return await self._after_lost_token(flight, answer)
        self._drop_entry(flight.ask)
        return None

    def _entry_again(self, ask: Ask) -> Ask | None:
        """Pages of this size are served, so a smaller one is no help: the service may answer a stale token by 500."""
        if self._is_worth_a_round(ask):
            return ask
        self._drop_entry(ask)
        return None

    def _is_worth_a_round(self, ask: Ask) -> bool:
        rounds = self._struggles[ask.stretch] = self._struggles.get(ask.stretch, 0) + 1
        return rounds < STRUGGLES_MAX

    def _smaller_page(self, flight: Flight, answer: Struggling) -> Ask:
        if flight.page_size > self._size.now:
            return flight.ask  # another walker stepped down meanwhile: try that step first
        if self._size.is_smallest or self._is_size_bound:
            if self._is_worth_a_round(flight.ask):
                return flight.ask
            raise GaveUp(
                f"the API keeps failing at {self._size.now} users a page: {answer.error.message}",
                hint="progress is kept, run again to resume; --fresh begins anew, should it fail there again",
                request_id=answer.error.request_id,
            )
        self._size = self._size.smaller()
        return flight.ask

    def _drop_entry(self, ask: Ask) -> None:
        """A refused entry costs nothing but its share of the speed: the stretch before it goes on."""
        self.entries_refused += 1
        self._walk.drop(ask.stretch)
        if not self._is_probed:  # the others are of the same night
            self._is_probed = True
            for stretch in self._walk.stretches[1:]:
                if stretch.status == "waiting" and stretch.sequence == 0:
                    self._walk.drop(stretch.index)

    async def _after_lost_token(self, flight: Flight, answer: TokenRefused) -> Ask | None:
        """The token that a page of this run named is refused: bound to another page size, or expired."""
        ask = flight.ask
        before = await self._recorded(ask.stretch, ask.sequence - 1)
        if before.page_size != flight.page_size and not self._is_size_bound:
            self._is_size_bound = True
            self._size = PageSize(before.page_size, before.page_size)
            return ask
        back = 1
        while True:
            sequence = max(ask.sequence - back, 0)
            found = await self._still_accepted(ask.stretch, sequence)
            if found is not None:
                return await self._rewind(found)
            if sequence == 0:
                raise WalkLost(
                    f"the API no longer accepts the page tokens of this run: {answer.error.message}",
                    hint="nothing was published; run again, it begins anew",
                    request_id=answer.error.request_id,
                )
            back = back * 2 + 1

    async def _still_accepted(self, stretch: int, sequence: int) -> Ask | None:
        """Whether a page can be asked for again, and the answer shares a user with what it was: the join is proven by
        ids."""
        old = await self._recorded(stretch, sequence)
        ask = Ask(stretch, sequence, old.token)
        if old.token is None:
            return ask
        answer = await self._ports.list_page(old.token, old.page_size)
        if not isinstance(answer, Page):
            return None
        ids = self._ports.encode(answer).ids
        is_same = old.first_id is None or old.first_id in ids or old.last_id in ids
        return ask if is_same else None

    async def _rewind(self, ask: Ask) -> Ask:
        await self._ports.recorder.call(lambda: self._drop_pages(ask))
        return self._walk.rewind(ask.stretch, ask.sequence, ask.token)

    def _drop_pages(self, ask: Ask) -> None:
        """Blocks. A walk from the start is counted in the spool: a resumed run has no more of them than another."""
        spool, is_restart = self._ports.spool, ask.token is None
        if is_restart and not spool.may_restart:
            raise WalkLost(
                "the API's page tokens expire faster than the list can be walked",
                hint="nothing was published; more walkers, a higher rate or larger pages read it in less time",
            )
        spool.rewind(ask.stretch, ask.sequence, is_restart=is_restart)

    async def _recorded(self, stretch: int, sequence: int) -> PageRecord:
        record: PageRecord | None = None

        def read() -> None:
            nonlocal record
            record = self._ports.spool.page(stretch, sequence)

        await self._ports.recorder.call(read)
        assert record is not None, "a stretch's pages are recorded before the next one is asked for"
        return record


def _cancel(flight: Flight | None) -> None:
    while flight is not None:
        flight.task.cancel()
        flight = flight.ahead


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
