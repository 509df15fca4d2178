"""The clock of the simulation is itself under test: it jumps, keeps order and never hangs."""

from __future__ import annotations

import asyncio

import pytest
from aiolimiter import AsyncLimiter

from tests.virtual_time import NothingLeft, run_virtual


def test_hours_of_sleep_pass_at_once_and_in_order() -> None:
    woken: list[tuple[int, float]] = []

    async def sleeper(seconds: int) -> None:
        await asyncio.sleep(seconds)
        woken.append((seconds, round(asyncio.get_running_loop().time(), 1)))

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for seconds in (7200, 1, 60):
                group.create_task(sleeper(seconds))

    run_virtual(main())
    assert woken == [(1, 1.0), (60, 60.0), (7200, 7200.0)]


def test_a_wait_that_nothing_can_end_is_an_error_and_not_a_hang() -> None:
    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(NothingLeft):
        run_virtual(main())


def test_a_task_that_spins_is_an_error_and_not_a_hang() -> None:
    async def main() -> None:
        while True:  # noqa: ASYNC110 - spinning is the case
            await asyncio.sleep(0)

    with pytest.raises(NothingLeft):
        run_virtual(main(), turns_max=1000)


@pytest.mark.parametrize("rate", [3, 7, 10, 20, 100])
def test_the_limiter_does_not_spin_on_rounding(rate: int) -> None:
    async def main() -> float:
        limiter = AsyncLimiter(1, 1 / rate)
        for _ in range(200):
            await limiter.acquire()
        return asyncio.get_running_loop().time()

    assert run_virtual(main(), turns_max=20_000) == pytest.approx(199 / rate, rel=0.01)


def test_a_timeout_fires_on_the_virtual_clock() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await asyncio.sleep(60)
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == pytest.approx(30, abs=0.001)
