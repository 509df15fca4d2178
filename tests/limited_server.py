"""A service with a limit that its clients do not know: so many requests at once, or so many a second. Virtual time."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

from syncer.api.throttle import Door


@dataclass
class LimitedServer:
    """Answers after ``latency_seconds``; refuses at once and asks for ``retry_after_seconds`` beyond its limits."""

    at_once: int | None = None
    per_second: float | None = None
    burst: float = 5.0
    latency_seconds: float = 0.1
    jitter_seconds: float = 0.0
    retry_after_seconds: float = 1.0
    stray: tuple[int, ...] = ()
    """Requests, counted from 1, that are refused for a reason that has nothing to do with this client."""
    rng: random.Random = field(default_factory=lambda: random.Random(1))
    accepted: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    early: int = 0
    busy: int = 0
    asked: int = 0
    _tokens: float = 5.0
    _filled_at: float = 0.0
    _closed_until: float = 0.0

    async def ask(self) -> bool:
        """One request; whether it was accepted."""
        now = asyncio.get_running_loop().time()
        self.asked += 1
        self.early += now < self._closed_until
        if self.asked in self.stray or not self._allows(now):
            self.refused.append(now)
            self._closed_until = now + self.retry_after_seconds
            return False
        self.accepted.append(now)
        self.busy += 1
        try:
            await asyncio.sleep(self.latency_seconds + self.rng.uniform(0, self.jitter_seconds))
        finally:
            self.busy -= 1
        return True

    def _allows(self, now: float) -> bool:
        if self.at_once is not None and self.busy >= self.at_once:
            return False
        if self.per_second is not None:
            self._tokens = min(self.burst, self._tokens + (now - self._filled_at) * self.per_second)
            self._filled_at = now
            if self._tokens < 1.0:
                return False
            self._tokens -= 1.0
        return True

    def capacity(self) -> float:
        """Requests a second that it could serve."""
        by_slots = float("inf")
        if self.at_once is not None:
            by_slots = self.at_once / (self.latency_seconds + self.jitter_seconds / 2)
        return min(by_slots, self.per_second or float("inf"))


async def crowd(server: LimitedServer, door: Door, walkers: int, seconds: float) -> None:
    """Walkers that ask without a pause until the time is over."""
    end = asyncio.get_running_loop().time() + seconds

    async def walker() -> None:
        while asyncio.get_running_loop().time() < end:
            async with door.permit() as permit:
                if await server.ask():
                    permit.went_well()
                else:
                    permit.throttled(server.retry_after_seconds)

    async with asyncio.TaskGroup() as group:
        for _ in range(walkers):
            group.create_task(walker())
