"""A page on its way: what is asked for, by whom, and what came of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from syncer.crawl.stretch import Ask
from syncer.errors import SyncerError
from syncer.model import EncodedPage, EndSpelling, Struggling, Token, TokenRefused


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


def cancel(flight: Flight | None) -> None:
    """Give up a page and the one after it; nobody waits for them."""
    while flight is not None:
        flight.task.cancel()
        flight = flight.ahead
