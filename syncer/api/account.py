"""Wires transport, door and client of one account together. Imports aiohttp: import it only to really talk."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from syncer.api.backoff import BUDGET_CAPACITY, RetryBudget
from syncer.api.client import Client
from syncer.api.redact import secret_forms
from syncer.api.throttle import Door
from syncer.api.transport import Timeouts, Transport
from syncer.credentials import Credentials
from syncer.model import Counters, FindUsers


@asynccontextmanager
async def open_client(
    base_url: str,
    credentials: Credentials,
    *,
    rate: float,
    concurrency: int,
    user_agent: str,
    counters: Counters,
    rng: random.Random | None = None,
    deadline_at: float | None = None,
    timeouts: Timeouts | None = None,
    ca_file: Path | None = None,
    compression: bool = False,
    places: asyncio.Semaphore | None = None,
    find_users: FindUsers | None = None,
) -> AsyncIterator[Client]:
    """A client that is ready to ask.

    ``rate`` in requests a second, ``deadline_at`` in loop time; ``places`` bounds the requests at once of several
    accounts of one process. Raises ``UsageError`` for a base URL or CA file that cannot be used.
    """

    def report(text: str) -> None:
        counters.waiting_for = text

    rng = rng or random.Random()
    door = Door(rate, concurrency, rng=rng, report=report, places=places)
    transport = Transport(
        base_url,
        credentials,
        concurrency=concurrency,
        user_agent=user_agent,
        timeouts=timeouts,
        ca_file=ca_file,
        compression=compression,
    )
    # One blip fails everything in flight at once: the budget must outlast two such for each request at once.
    capacity = max(BUDGET_CAPACITY, 2.0 * concurrency)
    async with transport:
        yield Client(
            transport.send,
            door,
            counters=counters,
            rng=rng,
            budget=RetryBudget(capacity, capacity),
            deadline_at=deadline_at,
            hidden=secret_forms(credentials),
            find_users=find_users,
        )
