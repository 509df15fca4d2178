"""The learning pace: single decisions as plain values, and its three promises against services with unknown limits."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from syncer.api.pacing import Pace, Sample, grown, reopened, slowed, started, timed
from syncer.api.throttle import Door
from tests.limited_server import LimitedServer, crowd
from tests.virtual_time import run_virtual


def test_before_the_first_refusal_only_the_settings_count() -> None:
    pace = timed(grown(started(20.0, 8), Sample(5.0, 8, 100)), 0.3)
    assert (pace.smooth_rate, pace.concurrency, pace.latency_seconds, pace.proven) == (20.0, 8, 0.0, 8)


def test_a_refusal_above_what_was_proven_is_about_concurrency() -> None:
    refused = Sample(1.0, 6, 40)
    assert slowed(started(100.0, 64), refused) == Pace(100.0, 5, 100.0, 64, proven=5, refused=refused)


def test_a_refusal_among_as_many_as_were_proven_is_about_the_rate() -> None:
    pace = replace(started(100.0, 64), proven=6)
    refused = Sample(1.0, 6, 64)
    # 64 and a half in a second, less a saved burst of five, and two per cent for safety
    assert slowed(pace, refused) == replace(pace, rate=59.5 * 0.98, proven=5, refused=refused, failed_probes=1)


def test_a_lone_request_that_is_refused_can_only_be_about_the_rate() -> None:
    pace = slowed(started(100.0, 64), Sample(0.0, 1, 0))
    assert (pace.rate, pace.concurrency) == (50.0, 64)


def test_between_two_refusals_the_service_gave_all_it_had() -> None:
    pace = reopened(slowed(started(100.0, 64), Sample(10.0, 6, 50)), Sample(11.5, 1, 51), 1.5)
    assert slowed(pace, Sample(12.0, 3, 56)).rate == pytest.approx(6.5 / 2.0)


def test_a_rough_estimate_is_tried_out_soon_whatever_failed_before() -> None:
    firm = slowed(replace(started(100.0, 64), proven=6), Sample(1.0, 6, 64))
    rough = slowed(reopened(firm, Sample(2.5, 1, 64), 1.5), Sample(2.6, 1, 65))
    assert (firm.failed_probes, firm.rough, rough.failed_probes, rough.rough) == (1, False, 1, True)
    assert rough.rate == pytest.approx(1.5 / 1.6)
    again = reopened(rough, Sample(4.0, 1, 66), 1.4)
    assert grown(again, Sample(17.0, 1, 78)).rate == pytest.approx(rough.rate * 1.12)
    bound = replace(again, concurrency=5, proven=5)
    assert grown(bound, Sample(17.0, 5, 78)) == bound  # that so many at once are too many is as sure as before


def test_a_refusal_with_nothing_accepted_since_the_last_one_halves_the_rate() -> None:
    pace = reopened(slowed(started(100.0, 64), Sample(10.0, 1, 700)), Sample(11.5, 1, 700), 1.5)
    assert slowed(pace, Sample(11.5, 1, 700)).rate == pace.rate / 2


@pytest.mark.parametrize("stray", [(1000, 1001), (1000, 1003), (1000, 1001, 1002), (1000, 1100, 1101)])
def test_stray_refusals_in_a_row_hold_a_run_down_for_seconds_and_not_for_minutes(stray: tuple[int, ...]) -> None:
    server = LimitedServer(latency_seconds=0.005, stray=stray)

    async def main() -> None:
        await crowd(server, Door(200.0, 16, rng=random.Random(7)), 16, 60)

    run_virtual(main())
    assert len(server.refused) == len(stray)
    assert sum(at > 40 for at in server.accepted) >= 0.9 * 200 * 20


def test_refusals_at_one_instant_halve_the_rate_but_not_below_the_least() -> None:
    pace = started(1.0, 4)
    for _ in range(20):
        pace = slowed(pace, Sample(0.0, 1, 0))
    assert pace.rate == 0.1
    assert slowed(started(0.05, 1), Sample(0.0, 1, 0)).rate == 0.05


def test_a_learnt_bound_on_concurrency_spreads_its_requests() -> None:
    pace = replace(started(400.0, 64), concurrency=10, latency_seconds=0.1)
    assert pace.smooth_rate == pytest.approx((1.05 * 10 + 1) / 0.1)
    assert replace(pace, rate=50.0).smooth_rate == 50.0
    assert replace(pace, latency_seconds=0.0).smooth_rate == 400.0


def test_latency_is_smoothed() -> None:
    pace = timed(slowed(started(400.0, 64), Sample(0.0, 3, 2)), 0.2)
    assert pace.latency_seconds == 0.2
    assert timed(pace, 0.4).latency_seconds == pytest.approx(0.22)


LEARNT = replace(started(400.0, 64), concurrency=5, proven=5, marks=(Sample(0.0, 1, 0),), refused=Sample(-1.0, 6, 0))


@pytest.mark.parametrize(
    ("pace", "good", "concurrency", "rate"),
    [
        (LEARNT, Sample(1.9, 5, 100), 5, 400.0),  # too soon
        (LEARNT, Sample(9.0, 5, 11), 5, 400.0),  # too few
        (LEARNT, Sample(9.0, 4, 400), 5, 400.0),  # the bound was not felt
        (LEARNT, Sample(2.0, 5, 12), 6, 400.0),
        (replace(LEARNT, steps=3), Sample(1.0, 5, 10), 13, 400.0),  # each step is twice the one before
        (replace(LEARNT, concurrency=48, steps=9), Sample(1.0, 48, 10), 64, 400.0),  # never above the setting
        (replace(LEARNT, failed_probes=1), Sample(14.0, 5, 400), 5, 400.0),
        (replace(LEARNT, failed_probes=1), Sample(15.0, 5, 200), 6, 400.0),
        (replace(LEARNT, failed_probes=2), Sample(44.0, 5, 400), 5, 400.0),
        (replace(LEARNT, failed_probes=99), Sample(300.0, 5, 400), 6, 400.0),
        (replace(LEARNT, failed_probes=1, closed_seconds=2.0), Sample(39.0, 5, 400), 5, 400.0),
        (replace(LEARNT, concurrency=64, rate=10.0), Sample(2.0, 1, 19), 64, pytest.approx(11.2)),
        (replace(LEARNT, concurrency=64, rate=10.0), Sample(9.0, 1, 19), 64, 10.0),  # the rate was not felt
        (replace(LEARNT, concurrency=64, rate=10.0, failed_probes=1), Sample(20.0, 1, 200), 64, pytest.approx(10.4)),
        (replace(LEARNT, concurrency=64, rate=399.0), Sample(2.0, 1, 800), 64, 400.0),
    ],
)  # fmt: skip
def test_growth_needs_time_requests_and_a_limit_that_was_felt(
    pace: Pace, good: Sample, concurrency: int, rate: float
) -> None:
    after = grown(pace, good)
    assert (after.concurrency, after.rate) == (concurrency, rate)
    assert after.steps == pace.steps + (after.rate != pace.rate or after.concurrency != pace.concurrency)


def test_a_step_up_that_fails_at_once_makes_the_next_one_rare() -> None:
    probing = grown(LEARNT, Sample(2.0, 5, 12))
    assert slowed(probing, Sample(2.1, 6, 13)).failed_probes == 1
    assert slowed(replace(probing, steps=4), Sample(2.1, 9, 13)).failed_probes == 0


def outcome(server: LimitedServer, seconds: float, rate: float = 400.0, walkers: int = 64) -> tuple[int, float, float]:
    """Early requests, share refused and share of the capacity used, both after the first ten seconds."""

    async def main() -> None:
        await crowd(server, Door(rate, walkers, rng=random.Random(7)), walkers, seconds)

    run_virtual(main())
    refused = sum(at > 10 for at in server.refused)
    accepted = sum(10 < at < seconds for at in server.accepted)
    # one request may always be refused: against two a second, a single one is already a hundredth
    share = max(0, refused - 1) / (refused + accepted)
    return server.early, share, accepted / (server.capacity() * (seconds - 10))


@pytest.mark.parametrize("seconds", [60, 120])
@pytest.mark.parametrize(("at_once", "latency"), [(1, 0.1), (2, 0.1), (5, 0.1), (8, 0.2), (20, 0.2), (50, 0.5)])
def test_a_service_with_so_many_at_once_is_used_and_seldom_refuses(at_once: int, latency: float, seconds: int) -> None:
    early, refused, used = outcome(LimitedServer(at_once=at_once, latency_seconds=latency), seconds)
    assert early == 0
    assert refused <= 0.01
    assert used >= 0.9


@pytest.mark.parametrize("seconds", [60, 120])
@pytest.mark.parametrize("per_second", [2, 10, 50, 200])
def test_a_service_with_so_many_a_second_is_used_and_seldom_refuses(per_second: float, seconds: int) -> None:
    early, refused, used = outcome(LimitedServer(per_second=per_second), seconds)
    assert early == 0
    assert refused <= 0.01
    assert used >= 0.9


@pytest.mark.parametrize(
    ("server", "least"),
    [
        (LimitedServer(at_once=5, retry_after_seconds=5.0), 0.9),
        (LimitedServer(per_second=2, retry_after_seconds=5.0), 0.88),
        (LimitedServer(per_second=10, retry_after_seconds=5.0), 0.9),
        (LimitedServer(per_second=50, retry_after_seconds=5.0), 0.9),
        (LimitedServer(per_second=200, retry_after_seconds=5.0), 0.86),
    ],
)
def test_a_service_that_closes_its_door_for_long_is_asked_for_more_only_seldom(
    server: LimitedServer, least: float
) -> None:
    """The third refusal, by which a rate is known, comes after ten seconds here, and costs 5 % of this time."""
    early, refused, used = outcome(server, 120)
    assert early == 0
    assert refused <= 0.01
    assert used >= least


@pytest.mark.parametrize(("per_second", "at_once"), [(50, 3), (10, 20)])
def test_both_limits_at_once_are_learnt(per_second: float, at_once: int) -> None:
    early, refused, used = outcome(LimitedServer(per_second=per_second, at_once=at_once), 90)
    assert (early, refused <= 0.01, used >= 0.9) == (0, True, True)


@pytest.mark.parametrize("at_once", [1, 5, 20])
def test_varying_latency_costs_little(at_once: int) -> None:
    server = LimitedServer(at_once=at_once, latency_seconds=0.05, jitter_seconds=0.1)
    early, refused, used = outcome(server, 90)
    assert (early, refused <= 0.01, used >= 0.85) == (0, True, True)


def test_a_service_without_limits_gets_the_settings_from_the_first_second() -> None:
    server = LimitedServer(latency_seconds=0.1)

    async def main() -> None:
        await crowd(server, Door(50.0, 64, rng=random.Random(7)), 64, 10)

    run_virtual(main())
    assert sum(at < 1 for at in server.accepted) == pytest.approx(50, abs=1)
    assert server.refused == []
