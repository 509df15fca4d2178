"""The one place of blocking work: a thread for a run's spool and files, so that the event loop never waits for a
disk."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

T = TypeVar("T")


class Stopped(Exception):
    """The run was cancelled while its thread was at work; raised in the thread, never seen by anyone else."""


class BlockingThread:
    """Runs one piece of work after another. A cancelled caller still waits for the piece in hand, so that nothing
    is closed under it; long pieces look at ``stoppable`` often enough to end within a second.
    """

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="syncer-disk")
        self._stop = threading.Event()

    async def run(self, work: Callable[[], None]) -> None:
        """Run the work and wait for it. Raises what it raises.

        A new piece of work means that the run goes on, whatever was cancelled before: one that walks again has ended
        its walkers first.
        """
        self._stop.clear()
        future = asyncio.get_running_loop().run_in_executor(self._executor, work)
        try:
            await asyncio.shield(future)
        except asyncio.CancelledError:
            self._stop.set()
            with contextlib.suppress(Exception):
                await future
            raise

    def stoppable(self, items: Iterable[T]) -> Iterator[T]:
        """The same items, until the run is cancelled."""
        for item in items:
            if self._stop.is_set():
                raise Stopped
            yield item

    def __enter__(self) -> BlockingThread:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._executor.shutdown(wait=True)
