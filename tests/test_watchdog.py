"""A run that no longer moves is ended; one that waits at a closed door is not."""

from __future__ import annotations

import asyncio

import pytest

from syncer.errors import GaveUp
from syncer.model import Counters
from syncer.watchdog import watch_progress
from tests.virtual_time import run_virtual


def ended_after(
    counters: Counters, *, closed_until: float = 0.0, moves_until: float = 0.0, seconds: float = 5000.0
) -> float:
    async def main() -> float:
        loop = asyncio.get_running_loop()

        async def move() -> None:
            while loop.time() < moves_until:
                counters.requests += 1
                await asyncio.sleep(50)

        mover = asyncio.ensure_future(move())
        try:
            async with asyncio.timeout(seconds):
                await watch_progress(counters, lambda: closed_until, 600)
        except GaveUp:
            return loop.time()
        finally:
            mover.cancel()
        raise AssertionError("unreachable")

    return run_virtual(main())


@pytest.mark.parametrize("phase", ["crawling", "looking back", "confirming"])
def test_a_run_without_requests_or_pages_is_ended_soon_after_the_limit(phase: str) -> None:
    assert 600 <= ended_after(Counters(phase=phase)) <= 611


def test_the_error_says_what_the_run_was_waiting_for() -> None:
    with pytest.raises(GaveUp, match="nothing has happened for 9 s; the run was waiting for rate 20/s"):
        run_virtual(watch_progress(Counters(phase="crawling", waiting_for="rate 20/s"), lambda: 0.0, 9))


def test_requests_are_progress() -> None:
    assert 1540 <= ended_after(Counters(phase="crawling"), moves_until=1000) <= 1661


def test_time_at_a_closed_door_does_not_count() -> None:
    assert 3590 <= ended_after(Counters(phase="crawling"), closed_until=3000) <= 3611


def test_writing_a_large_snapshot_is_not_watched() -> None:
    with pytest.raises(TimeoutError):
        ended_after(Counters(phase="writing"))
