"""The door in virtual time: order, rate, slots, closures, and what a cancelled waiter leaves behind."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncer.api.throttle import Door, Permit
from tests.virtual_time import VirtualLoop, run_virtual


def door(rate: float = 20.0, concurrency: int = 64, reports: list[str] | None = None) -> Door:
    return Door(rate, concurrency, rng=random.Random(3), report=(reports if reports is not None else []).append)


def now() -> float:
    return asyncio.get_running_loop().time()


def busiest_second(times: list[float]) -> int:
    return max(sum(start <= at < start + 1 for at in times) for start in times)


async def leave_times(gate: Door, requests: int, hold_seconds: float = 0.0) -> list[float]:
    times: list[float] = []

    async def one() -> None:
        async with gate.permit():
            times.append(now())
            await asyncio.sleep(hold_seconds)

    async with asyncio.TaskGroup() as group:
        for _ in range(requests):
            group.create_task(one())
    return times


@pytest.mark.parametrize("rate", [0.5, 1, 3, 7, 20, 50, 51, 200, 997])
def test_the_rate_is_smooth_from_the_first_request(rate: float) -> None:
    times = run_virtual(leave_times(door(rate), 120))
    assert busiest_second(times) <= rate + 1
    assert times[-1] == pytest.approx(119 / rate, rel=0.03)


class LateLoop(VirtualLoop):
    """Every timer rings a little late, as those of real machines do."""

    def call_at(self, when: float, *args: Any, **more: Any) -> asyncio.TimerHandle:
        return super().call_at(when + 0.002, *args, **more)


@pytest.mark.parametrize("rate", [5, 20, 50])
def test_late_timers_do_not_lower_the_rate(rate: float) -> None:
    with asyncio.Runner(loop_factory=LateLoop) as runner:
        times = runner.run(leave_times(door(rate), 200))
    assert busiest_second(times) <= rate + 1
    assert times[-1] == pytest.approx(199 / rate, rel=0.003)


def test_after_a_long_pause_there_is_no_burst() -> None:
    async def main() -> list[float]:
        gate = door(20)
        await leave_times(gate, 20)
        await asyncio.sleep(60)
        return await leave_times(gate, 60)

    assert busiest_second(run_virtual(main())) <= 21


def test_no_more_than_the_bound_are_in_flight() -> None:
    async def main() -> int:
        gate, most = door(1000, 3), 0

        async def one() -> None:
            nonlocal most
            async with gate.permit():
                most = max(most, gate.in_flight)
                await asyncio.sleep(1)

        async with asyncio.TaskGroup() as group:
            for _ in range(30):
                group.create_task(one())
        return most

    assert run_virtual(main()) == 3


def test_waiters_pass_in_the_order_of_arrival() -> None:
    async def main() -> list[int]:
        gate, order = door(1000, 2), []

        async def one(number: int) -> None:
            async with gate.permit():
                order.append(number)
                await asyncio.sleep(0.1 * (number % 3))

        async with asyncio.TaskGroup() as group:
            for number in range(50):
                group.create_task(one(number))
        return order

    assert run_virtual(main()) == list(range(50))


def test_a_429_closes_the_door_for_everybody_and_then_the_rate_goes_on_smoothly() -> None:
    async def main() -> tuple[float, list[float]]:
        gate = door(20)
        async with gate.permit() as refused:
            refused.throttled(30)
        return gate.resume_at, await leave_times(gate, 40)

    resume_at, times = run_virtual(main())
    assert 30 <= resume_at < 31.001
    assert resume_at <= times[0] < resume_at + 1
    assert busiest_second(times) <= 11  # half of the rate that was refused, and one


def test_a_longer_closure_is_not_shortened_and_its_jitter_is_below_a_second() -> None:
    async def main() -> tuple[float, float]:
        gate = door()
        gate.close(60, "503")
        before = gate.resume_at
        gate.close(5, "429")
        return before, gate.resume_at

    before, after = run_virtual(main())
    assert before == after
    assert 60 <= before < 61.001


def test_a_closure_that_comes_while_a_request_waits_for_its_rate_holds_it_back() -> None:
    async def main() -> float:
        gate = door(0.5)
        await leave_times(gate, 1)
        waiting = asyncio.create_task(leave_times(gate, 1))
        await asyncio.sleep(1)
        gate.close(10, "503")
        return (await waiting)[0]

    assert run_virtual(main()) >= 11


def test_refusals_of_requests_that_left_before_the_closure_are_one_event() -> None:
    async def main() -> tuple[int, int, float, float]:
        gate = door(1000, 64)
        permits = [gate.permit() for _ in range(8)]
        for permit in permits:
            await permit.__aenter__()
        permits[4].throttled(1)
        once = gate.pace
        for permit in permits[5:]:
            permit.throttled(9)
        return once.concurrency, gate.pace.concurrency, once.rate, gate.resume_at

    concurrency, later, rate, resume_at = run_virtual(main())
    assert (concurrency, later, rate) == (4, 4, 1000)
    assert resume_at >= 9


def test_an_answer_from_before_the_closure_proves_nothing_after_it() -> None:
    async def main() -> tuple[int, int]:
        gate = door(1000, 64)
        permits = [gate.permit() for _ in range(8)]
        for permit in permits:
            await permit.__aenter__()
        permits[4].throttled(1)
        before = gate.pace.proven
        permits[7].went_well()
        return before, gate.pace.proven

    assert run_virtual(main()) == (4, 4)


def test_what_it_waits_for_is_said_in_words_and_taken_back() -> None:
    reports: list[str] = []

    async def main() -> None:
        gate = door(4, 1, reports)
        gate.close(2, "503")
        await leave_times(gate, 3, hold_seconds=1)

    run_virtual(main())
    assert reports[0].startswith("503: closed for 2.")
    assert "one of 1 requests at once" in reports
    assert reports[-1] == ""


def test_the_rate_in_words() -> None:
    reports: list[str] = []
    run_virtual(leave_times(door(4, 8, reports), 2))
    assert reports == ["rate 4/s", ""]


def test_a_changed_rate_takes_effect_without_a_burst() -> None:
    async def main() -> list[float]:
        gate = door(100)
        first = await leave_times(gate, 50)
        gate._pace = replace(gate.pace, rate=10.0)
        return [first[-1], *await leave_times(gate, 30)]

    times = run_virtual(main())
    assert [later - earlier for earlier, later in pairwise(times)] == [pytest.approx(0.1, abs=0.001)] * 30


def test_accounts_share_their_places_and_a_closed_door_holds_none() -> None:
    reports: list[str] = []

    async def main() -> tuple[int, list[float], list[float]]:
        places = asyncio.Semaphore(2)
        closed, other = (Door(100, 8, rng=random.Random(3), report=reports.append, places=places) for _ in range(2))
        holding = asyncio.create_task(leave_times(other, 2, hold_seconds=1))
        await asyncio.sleep(0.1)
        waiting = asyncio.create_task(leave_times(closed, 3, hold_seconds=1))
        await asyncio.sleep(0.1)  # the first of them waits for a place by now
        closed.close(30, "429")
        await holding
        return places._value, await leave_times(other, 6, hold_seconds=1), await waiting

    free, others, late = run_virtual(main())
    assert (free, len(others), max(others) < 5, min(late) >= 30) == (2, 6, True, True)
    assert "a place among the requests of all accounts" in reports


def test_a_cancelled_wait_for_a_place_gives_nothing_away() -> None:
    async def main() -> tuple[int, int]:
        places = asyncio.Semaphore(1)
        gate = Door(100, 8, rng=random.Random(3), places=places)
        async with gate.permit():
            waiting = asyncio.create_task(leave_times(gate, 1))
            await asyncio.sleep(1)
            waiting.cancel()
            await asyncio.sleep(1)
        return places._value, gate.in_flight

    assert run_virtual(main()) == (1, 0)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4))
def test_cancelled_requests_leave_the_door_sound(seed: int, concurrency: int) -> None:
    rng = random.Random(seed)

    async def one(gate: Door) -> None:
        async with gate.permit() as permit:
            await asyncio.sleep(rng.random() * 0.2)
            if rng.random() < 0.1:
                permit.throttled(rng.random())
            else:
                permit.went_well()

    async def main() -> tuple[int, int]:
        gate = door(200, concurrency)
        tasks = [asyncio.create_task(one(gate)) for _ in range(30)]
        for task in rng.sample(tasks, 15):
            await asyncio.sleep(rng.random() * 0.05)
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        after = await leave_times(gate, 5)
        return gate.in_flight, len(after)

    assert run_virtual(main()) == (0, 5)


RETRY_AFTER = (0.0, 0.0, 1.0, 2.0, 5.0, 30.0, 0.5, 120.0, 3.0, 10.0, 60.0, 1.0)


@pytest.mark.parametrize("storm", range(40))
def test_in_a_storm_of_429s_nobody_is_early_and_no_second_is_too_full(storm: int) -> None:
    rng = random.Random(storm)
    rate, concurrency = rng.choice([2.0, 5.0, 20.0, 80.0]), rng.choice([1, 4, 16])
    times: list[float] = []
    early: list[float] = []
    refusals_left = rng.randrange(3, 60)

    async def walker(gate: Door) -> None:
        nonlocal refusals_left
        for _ in range(6):
            async with gate.permit() as permit:
                times.append(now())
                if now() < closed_until[0]:
                    early.append(now())
                if refused := refusals_left > 0 and rng.random() < 0.7:
                    refusals_left -= 1
                    wait_seconds = rng.choice(RETRY_AFTER)
                    closed_until[0] = max(closed_until[0], now() + wait_seconds)
                    permit.throttled(wait_seconds)
                await asyncio.sleep(0.05 * rng.random())
                if not refused:
                    permit.went_well()

    closed_until = [0.0]

    async def main() -> None:
        gate = door(rate, concurrency)
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(walker(gate))

    run_virtual(main())
    assert early == []
    assert busiest_second(times) <= rate + 1


def test_a_permit_shows_when_its_request_left() -> None:
    async def main() -> Permit:
        gate = door()
        async with gate.permit() as permit:
            await asyncio.sleep(1)
        return permit

    sample = run_virtual(main()).sample
    assert (sample.at < 0.001, sample.in_flight, sample.accepted) == (True, 1, 0)
