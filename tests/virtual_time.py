"""An event loop whose clock jumps to the next timer, so that minutes of waiting take milliseconds.

For code without sockets and without threads: the selector never blocks and never reports anything.
"""

from __future__ import annotations

import asyncio
import heapq
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_NS = 1_000_000_000
_TURN_NS = 1_000  # a clock that stands still within a turn lets rounding spin a limiter for ever


class NothingLeft(RuntimeError):
    """Tasks wait, but nothing is scheduled that could ever wake them, or they spin without end."""


class _DeafSelector(selectors.SelectSelector):
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """A selector loop on an integer nanosecond clock that gains a microsecond each turn.

    It starts at 0, or where the monotonic clock of a machine stands that has been up for so long.
    """

    def __init__(self, turns_max: int = 20_000_000, uptime_seconds: int = 0) -> None:
        self._ns = uptime_seconds * _NS
        self._turns_left = self._turns_max = turns_max
        super().__init__(_DeafSelector())
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self._ns / _NS

    def _run_once(self) -> None:
        base: Any = super()
        ready, scheduled = self._queues()
        while scheduled and scheduled[0]._cancelled:
            heapq.heappop(scheduled)._scheduled = False
            # The base class counts cancelled timers; it sweeps them itself once they are many.
            self._timer_cancelled_count = max(0, getattr(self, "_timer_cancelled_count", 1) - 1)
        self._turns_left -= 1
        if self._turns_left < 0 or not (ready or scheduled or getattr(self, "_stopping", False)):
            self._turns_left = self._turns_max
            raise NothingLeft(f"nothing can happen any more, or nothing ends, at {self.time():.6f} s")
        if not ready and scheduled:
            self._ns = max(self._ns, -int(-scheduled[0]._when * _NS // 1))
        self._ns += _TURN_NS
        base._run_once()

    def _queues(self) -> tuple[Any, list[Any]]:
        inner: Any = self
        return inner._ready, inner._scheduled


def run_virtual(coroutine: Coroutine[Any, Any, T], *, turns_max: int = 20_000_000) -> T:
    """Run to the end on a fresh virtual clock. Raises ``NothingLeft`` instead of hanging."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(turns_max)) as runner:
        return runner.run(coroutine)


async def in_later_turn(work: Callable[[], None]) -> None:
    """Blocking work, without a thread; others have a turn before it."""
    await asyncio.sleep(0)
    work()
