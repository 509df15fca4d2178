"""Blocking work in its thread: order, errors, and cancellation that closes nothing under it."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from syncer.blocking import BlockingThread, Stopped


async def test_work_runs_in_another_thread_and_its_error_comes_back() -> None:
    seen: list[str] = []

    def fail() -> None:
        raise OSError("no room")

    with BlockingThread() as thread:
        await thread.run(lambda: seen.append(threading.current_thread().name))
        with pytest.raises(OSError, match="no room"):
            await thread.run(fail)
    assert seen[0].startswith("syncer-disk")


async def test_a_cancelled_caller_waits_for_the_piece_in_hand() -> None:
    done: list[str] = []

    def slow() -> None:
        time.sleep(0.2)
        done.append("whole")

    with BlockingThread() as thread:
        task = asyncio.create_task(thread.run(slow))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert done == ["whole"]


async def test_a_long_piece_ends_soon_after_its_caller_is_cancelled() -> None:
    reached: list[int] = []

    def long() -> None:
        for n in thread.stoppable(range(10_000)):
            reached.append(n)
            time.sleep(0.01)

    with BlockingThread() as thread:
        task = asyncio.create_task(thread.run(long))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert 0 < len(reached) < 100
        with pytest.raises(Stopped):
            list(thread.stoppable([1]))


async def test_work_after_a_cancelled_piece_runs_to_its_end() -> None:
    seen: list[int] = []
    with BlockingThread() as thread:
        task = asyncio.create_task(thread.run(lambda: time.sleep(0.1)))
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await thread.run(lambda: seen.extend(thread.stoppable([1, 2])))
    assert seen == [1, 2]
