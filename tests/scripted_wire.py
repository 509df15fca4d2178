"""A ``Send`` that plays a script and writes down when each request left. For virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from syncer.api.backoff import RetryBudget
from syncer.api.client import Client
from syncer.api.throttle import Door
from syncer.model import Counters, WireFailed, WireFailure, WireRequest, WireResponse

Answer = WireResponse | WireFailed | Callable[[], WireResponse | WireFailed]


@dataclass
class ScriptedWire:
    """Plays ``script`` from the start; its last entry is repeated for ever."""

    script: Sequence[Answer]
    latency_seconds: float = 0.01
    requests: list[WireRequest] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    async def send(self, request: WireRequest) -> WireResponse:
        """The next answer of the script."""
        self.times.append(asyncio.get_running_loop().time())
        self.requests.append(request)
        answer = self.script[min(len(self.requests), len(self.script)) - 1]
        await asyncio.sleep(self.latency_seconds)
        if callable(answer):
            answer = answer()
        if isinstance(answer, WireFailed):
            raise answer
        return answer


def answer(status: int, body: bytes = b"", **headers: str) -> WireResponse:
    """An answer; an underscore in a header name stands for a hyphen."""
    return WireResponse(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


def failed(kind: WireFailure, *, sent: bool = True) -> WireFailed:
    """No answer."""
    return WireFailed(kind, f"the wire said {kind}", sent=sent)


def client_over(
    wire: ScriptedWire,
    *,
    counters: Counters | None = None,
    deadline_at: float | None = None,
    budget: RetryBudget | None = None,
    rate: float = 1000.0,
    concurrency: int = 8,
    hidden: tuple[str, ...] = (),
    seed: int = 5,
) -> Client:
    """A real client and a real door over the script."""
    rng = random.Random(seed)
    counters = counters or Counters()

    def report(text: str) -> None:
        counters.waiting_for = text

    return Client(
        wire.send,
        Door(rate, concurrency, rng=rng, report=report),
        counters=counters,
        rng=rng,
        budget=budget,
        deadline_at=deadline_at,
        hidden=hidden,
        wall_clock=lambda: 1_795_399_200.0 + asyncio.get_running_loop().time(),
    )
