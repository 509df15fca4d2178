"""Results that come in any order, given on in the order of their indexes. Pure but for the waiting.

What waits for its turn is bounded: whoever is too far ahead waits before it begins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

R = TypeVar("R")


class InOrder(Generic[R]):
    """Calls ``give`` for index 0, 1, 2 and so on, each once."""

    def __init__(self, give: Callable[[R], None], ahead_max: int) -> None:
        self._give = give
        self._ahead_max = ahead_max
        self._next = 0
        self._waiting: dict[int, R] = {}
        self._moved = asyncio.Condition()

    async def wait_for_turn(self, index: int) -> None:
        """Return once ``index`` is less than ``ahead_max`` ahead of the next one to give."""
        async with self._moved:
            await self._moved.wait_for(lambda: index - self._next < self._ahead_max)

    async def put(self, index: int, result: R) -> None:
        """A result; it and all that waited for it are given on."""
        self._waiting[index] = result
        async with self._moved:
            while self._next in self._waiting:
                self._give(self._waiting.pop(self._next))
                self._next += 1
            self._moved.notify_all()
