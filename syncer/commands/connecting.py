"""From the settings to the client of an account. Loads aiohttp: import it only to really talk."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager

from syncer.accounts import Account
from syncer.api.account import open_client
from syncer.api.client import Client
from syncer.api.transport import Timeouts
from syncer.config import Settings
from syncer.model import Counters, FindUsers
from syncer.version import VERSION


def connect_account(
    settings: Settings,
    account: Account,
    counters: Counters,
    *,
    concurrency: int,
    deadline_at: float | None,
    places: asyncio.Semaphore | None = None,
    find_users: FindUsers | None = None,
) -> AbstractAsyncContextManager[Client]:
    """The account's client behind its door; the arguments are those of ``open_client``."""
    return open_client(
        settings.base_url,
        account.credentials,
        rate=settings.rate,
        concurrency=concurrency,
        user_agent=f"syncer/{VERSION}",
        counters=counters,
        deadline_at=deadline_at,
        timeouts=timeouts_of(settings),
        ca_file=settings.ca_file,
        compression=settings.compressed_answers,
        places=places,
        find_users=find_users,
    )


def timeouts_of(settings: Settings) -> Timeouts:
    """How long each request may take."""
    return Timeouts(settings.request_timeout, settings.connect_timeout, settings.read_timeout)
