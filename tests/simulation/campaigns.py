"""Scenarios of one trouble each, over the whole range in which a promise names it. Pure: drawn from the seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from tests.simulation.scenario import BLOWS, DAY_SECONDS, Disturbance, Scenario

HOUR_SECONDS = 3600.0
SECONDS_2038 = 2**31
"""Where a signed 32-bit count of seconds ends: 2038-01-19, 03:14:08 UTC."""
UPTIME_MIN, UPTIME_MAX = 2**24, 2**31
"""Seconds from which 32-bit floats cannot count on, and those in which whole machines have never been up."""
SWITCHES = {
    "Europe/Berlin": (datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)),
    "America/New_York": (datetime(2026, 3, 8, 7, tzinfo=UTC), datetime(2026, 11, 1, 6, tzinfo=UTC)),
    "Australia/Lord_Howe": (datetime(2026, 4, 4, 15, tzinfo=UTC), datetime(2026, 10, 3, 15, 30, tzinfo=UTC)),
}
"""When clocks are set there in 2026."""
CLOCKS = ("day", "switch", "steps", "2038", "uptime")
OUTAGES = ("connect", "timeout", "disconnected", "500", "502", "503")


def with_offsets(s: Scenario) -> Scenario:
    """Tokens that are offsets, in a list from which users are removed while it is read."""
    churn = (0.02, 0.05, 0.2, 0.8)[s.seed % 4]
    return replace(s, token_kind="offset", liar="", churn=churn, tombstones=False, outage_at=0, storm=0)


def with_changes(s: Scenario) -> Scenario:
    """A change before up to a fifth of the answers, of tokens that name places and of offsets in turn."""
    r = random.Random(f"changes {s.seed}")
    kind = "offset" if s.seed % 2 else "key"
    return replace(s, token_kind=kind, liar="", churn=r.uniform(0.0, 0.2), outage_at=0, storm=0)


def with_expiry(s: Scenario) -> Scenario:
    """Tokens that live from a second to an hour; runs that are ended and started again after one to 72 hours."""
    r = random.Random(f"expiry {s.seed}")
    blows = tuple(Disturbance(r.choice(BLOWS), r.randrange(1, 60)) for _ in range(r.choice([1, 1, 2, 3])))
    return replace(
        _keeping_its_contract(s),
        token_ttl_seconds=_log_uniform(r, 1.0, HOUR_SECONDS),
        pause_seconds=_log_uniform(r, HOUR_SECONDS, 72 * HOUR_SECONDS),
        latency_seconds=r.choice([0.01, 0.1, 1.0, 5.0]),
        disturbances=blows,
    )


def with_outage(s: Scenario) -> Scenario:
    """The service is gone for a minute to a day, from anywhere in one of two walks on; no other trouble."""
    r = random.Random(f"outage {s.seed}")
    pages = s.users // s.page_sizes[0] + 1
    large = r.random() < 0.5
    return replace(
        _keeping_its_contract(s),
        page_sizes=(r.choice([100, 250, 1000]) if large else s.page_sizes[0],) * 2,
        page_users_max=s.page_sizes[0],
        walkers=(r.choice([1, 4, 12, 64]),) * 2,
        nights=2,
        faults=0.0,
        burst=0.0,
        storm=0,
        rate_limit=None,
        concurrency_limit=None,
        size_that_fails=None,
        disturbances=(),
        clock_jumps=(),
        outage_at=r.randrange(1, 3 * pages + 3),
        outage_seconds=_log_uniform(r, 60.0, DAY_SECONDS),
        outage_kind=r.choice(OUTAGES),
        pause_seconds=600.0,
    )


def with_departures(s: Scenario) -> Scenario:
    """Up to a third of the users leave the list between two nights, evenly or in a row; it rests while it is read."""
    r = random.Random(f"departures {s.seed}")
    size = r.choice([10, 20, 50])
    return Scenario(
        seed=s.seed,
        users=r.randrange(20, 60) * size,
        nights=3,
        page_sizes=(size,) * 3,
        walkers=(1, r.choice([2, 3, 4, 8]), r.choice([2, 4, 8])),
        newest_first=s.newest_first,
        changes_between=r.randrange(600),
        leave_in_a_row=r.choice([0, 0, r.randrange(10 * size)]),
        latency_seconds=r.choice([0.01, 0.1]),
        never_unstable=True,
    )


def with_sizes(s: Scenario) -> Scenario:
    """Pages that are too large for the service, at some places of the list or at all of them."""
    r = random.Random(f"sizes {s.seed}")
    size, share = r.choice([100, 250, 500]), r.choice([0.02, 0.1, 0.5, 1.0])
    return replace(
        _keeping_its_contract(s),
        users=r.randrange(1, 30) * size,
        nights=3,
        page_sizes=(size,) * 3,
        page_users_max=1000,
        walkers=tuple(r.choice([1, 2, 4, 8]) for _ in range(3)),
        size_that_fails=r.choice([60, 110, size]),
        size_fails_share=share,
        # A bound token of such a place leads nowhere, whatever size is asked for.
        tokens_bound_to_size=share == 1.0 and r.random() < 0.5,
        faults=r.choice([0.0, 0.0, 0.02]),
        storm=0,
        rate_limit=None,
        concurrency_limit=None,
        outage_at=0,
    )


def with_clock(s: Scenario) -> Scenario:
    """A clock that is wrong in one of five ways: set by a day, switched between summer and winter, stepped by
    seconds, past 2038, or a monotonic one beyond 2^24 seconds."""
    r = random.Random(f"clock {s.seed}")
    kind = CLOCKS[s.seed % len(CLOCKS)]
    steady = replace(_keeping_its_contract(s), nights=2, page_sizes=s.page_sizes[:1] * 2, walkers=s.walkers[:1] * 2)
    steady = replace(steady, jump_turns=(5, 60, 150, 400), outage_at=0)
    if kind == "day":
        return replace(steady, clock_jumps=tuple(r.choice([-1, 0, 1]) * DAY_SECONDS for _ in range(5)))
    if kind == "switch":
        zone = r.choice(sorted(SWITCHES))
        at = int(r.choice(SWITCHES[zone]).timestamp())
        hours = tuple(r.choice([-1, 0, 1]) * HOUR_SECONDS for _ in range(5))
        return replace(steady, zone=zone, begins_at=at - r.randrange(120), clock_jumps=hours)
    if kind == "steps":
        return replace(steady, clock_jumps=tuple(r.uniform(-5.0, 5.0) for _ in range(5)))
    if kind == "2038":
        ahead = r.choice([0, SECONDS_2038 - s.begins_at])
        begins_at = s.begins_at if ahead else SECONDS_2038 - r.randrange(60)
        return replace(steady, begins_at=begins_at, clock_jumps=(0.0, float(ahead), -1.0, 1.0, 0.0))
    return replace(steady, uptime_seconds=r.randrange(UPTIME_MIN - 30, UPTIME_MAX))


def _keeping_its_contract(s: Scenario) -> Scenario:
    return replace(s, token_kind="key", liar="", moves_on_update=False, token_ttl_seconds=None)


def _log_uniform(r: random.Random, least: float, most: float) -> float:
    return float(least * (most / least) ** r.random())


CAMPAIGNS: dict[str, Callable[[Scenario], Scenario]] = {
    "all": lambda s: s,
    "offsets": with_offsets,
    "changes": with_changes,
    "expiry": with_expiry,
    "outage": with_outage,
    "departures": with_departures,
    "sizes": with_sizes,
    "clock": with_clock,
}
