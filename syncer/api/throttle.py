"""The door that every request of an account passes: smooth rate, bound on concurrency, closed for all after a 429.

Loop time only. Must not know what a request is, nor retry anything. The order at the door is the order of arrival.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from types import TracebackType

from aiolimiter import AsyncLimiter

from syncer.api.pacing import Pace, Sample, grown, reopened, slowed, started, timed

_PAIRS_ABOVE_RATE = 50.0
"""Timers are late by up to a millisecond: two at a time keep a high rate that a spacing of one loses."""
_LATENESS = 0.1
"""They are late at low rates too: so much of a request may be made up for, or a rate of 20 a second loses 2 %. Not
where a refusal taught the rate: what was learnt is held exactly."""
_RATE_DRIFT = 0.1
"""A change of the rate below this share is not worth a new limiter."""
_REPORT_SECONDS = 1.0


class Permit:
    """One request's leave to go. ``async with`` waits for it and gives the slot back."""

    __slots__ = ("_door", "_epoch", "sample")

    def __init__(self, door: Door) -> None:
        self._door = door
        self._epoch = -1
        self.sample = Sample(0.0, 0, 0)

    async def __aenter__(self) -> Permit:
        self.sample, self._epoch = await self._door._enter()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._door._leave()

    def throttled(self, wait_seconds: float) -> None:
        """Tell the door that this request was refused (429): closed for all, then slower."""
        self._door._throttled(self.sample, self._epoch, wait_seconds)

    def went_well(self) -> None:
        """Tell the door that this request was answered."""
        self._door._went_well(self.sample, self._epoch)


class Door:
    """``rate`` in requests a second and ``concurrency`` are the most it will ever allow; a 429 teaches it less.

    ``report`` hears in words what the requests wait for now, and the empty string when they do not. ``places`` bounds
    the requests at once of several accounts; each takes its place last, so that none waits inside a closed door.
    """

    def __init__(
        self,
        rate: float,
        concurrency: int,
        *,
        rng: random.Random,
        report: Callable[[str], None] = lambda _: None,
        places: asyncio.Semaphore | None = None,
    ) -> None:
        self._pace = started(rate, concurrency)
        self._rng = rng
        self._report = report
        self._limiter: AsyncLimiter | None = None
        self._limiter_rate = 0.0
        self._turn = asyncio.Lock()
        self._slot: asyncio.Future[None] | None = None
        self._in_flight = 0
        self._left = 0
        self._left_at = 0.0
        self._refused = 0
        self._epoch = 0
        self._resume_at = 0.0
        self._reason = ""
        self._marked = False
        self._waiting = False
        self._places = places

    @property
    def pace(self) -> Pace:
        """The limits in force, and what was learnt."""
        return self._pace

    @property
    def resume_at(self) -> float:
        """Loop time until which the door is closed; in the past when it is open."""
        return self._resume_at

    @property
    def in_flight(self) -> int:
        """Permits given out and not yet returned."""
        return self._in_flight

    def permit(self) -> Permit:
        """A permit, to be entered with ``async with``."""
        return Permit(self)

    def close(self, wait_seconds: float, reason: str) -> None:
        """Let nobody pass for so long; a longer closure that stands already is not shortened.

        Up to a second of jitter is added, so that the clients of one service do not return together.
        """
        until = asyncio.get_running_loop().time() + wait_seconds + self._rng.random()
        if until > self._resume_at:
            self._resume_at, self._reason = until, reason

    def _throttled(self, sample: Sample, epoch: int, wait_seconds: float) -> None:
        self._refused += 1
        self.close(wait_seconds, "429")
        if epoch == self._epoch:  # refusals of other requests that left before the closure are the same event
            self._epoch += 1
            self._marked = False
            self._pace = slowed(self._pace, sample)

    def _went_well(self, sample: Sample, epoch: int) -> None:
        self._pace = timed(self._pace, asyncio.get_running_loop().time() - sample.at)
        if epoch == self._epoch:
            self._pace = grown(self._pace, sample)
            self._wake()

    def _leave(self) -> None:
        self._in_flight -= 1
        self._give_place_back()
        self._wake()

    async def _enter(self) -> tuple[Sample, int]:
        async with self._turn:
            await self._pass()
            self._in_flight += 1
            self._left += 1
            self._left_at = asyncio.get_running_loop().time()
            sample = Sample(self._left_at, self._in_flight, self._left - 1 - self._refused)
            if not self._marked:
                self._mark(sample)
            return sample, self._epoch

    def _mark(self, first: Sample) -> None:
        self._marked = True
        refused = self._pace.refused
        self._pace = reopened(self._pace, first, self._resume_at - refused.at if refused else 0.0)

    async def _pass(self) -> None:
        """Wait until slot, gate, rate and place allow it at one moment; nothing is awaited after the last look."""
        try:
            while True:
                await self._slot_free()
                await self._opened()
                await self._paced()
                await self._place_free()
                if self._has_slot() and not self._closed_seconds():
                    return
                self._give_place_back()  # not held while the door is closed: other accounts can use it
        finally:
            if self._waiting:
                self._waiting = False
                self._report("")

    def _wait_for(self, what: str) -> None:
        self._waiting = True
        self._report(what)

    async def _slot_free(self) -> None:
        while not self._has_slot():
            self._wait_for(f"one of {self._pace.concurrency} requests at once")
            self._slot = asyncio.get_running_loop().create_future()
            await self._slot

    async def _opened(self) -> None:
        while seconds := self._closed_seconds():
            self._wait_for(f"{self._reason}: closed for {seconds:.1f} s more")
            await asyncio.sleep(min(seconds, _REPORT_SECONDS))

    async def _paced(self) -> None:
        limiter = await self._current_limiter()
        if not limiter.has_capacity():
            self._wait_for(f"rate {self._limiter_rate:.3g}/s")
        await limiter.acquire()

    async def _place_free(self) -> None:
        if self._places is not None:
            if self._places.locked():
                self._wait_for("a place among the requests of all accounts")
            await self._places.acquire()

    def _give_place_back(self) -> None:
        if self._places is not None:
            self._places.release()

    def _has_slot(self) -> bool:
        return self._in_flight < self._pace.concurrency

    def _closed_seconds(self) -> float:
        return max(0.0, self._resume_at - asyncio.get_running_loop().time())

    def _wake(self) -> None:
        """Only the first in the queue waits for a slot: the others wait for their turn."""
        if self._slot is not None and not self._slot.done() and self._has_slot():
            self._slot.set_result(None)

    async def _current_limiter(self) -> AsyncLimiter:
        """The limiter for the rate in force: a limiter keeps the rate that it was made with."""
        rate = self._pace.smooth_rate
        drift = _RATE_DRIFT * rate if rate < self._pace.rate else 0.0
        if self._limiter is None or abs(rate - self._limiter_rate) > drift:
            first = self._limiter is None
            spare = _LATENESS if self._pace.refused is None else 0.0
            at_once = 2.0 if rate > _PAIRS_ABOVE_RATE else 1.0 + spare
            self._limiter, self._limiter_rate = AsyncLimiter(at_once, at_once / rate), rate
            if not first and asyncio.get_running_loop().time() - self._left_at < 1 / rate:
                await self._limiter.acquire(at_once)  # a new limiter is empty: it would let a request go at once
        return self._limiter
