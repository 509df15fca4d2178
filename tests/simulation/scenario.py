"""What one seed stands for: a list, its habits, its faults, and what happens to the run. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

DAY_SECONDS = 86_400.0
FAULTS_BORNE = 0.1
"""The share of failing answers at which a run of any scenario comes to its end by itself, if perhaps not the first."""
EPOCH = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
"""When simulations begin, in seconds since 1970."""
Blow = Literal["request", "turn", "store", "work", "cancel"]
"""Where a run is ended: at a request, at a turn of the event loop, at a call of the store, around a piece of blocking
work (all as by ``kill -9``), or by a cancellation at a turn, as by SIGTERM."""
BLOWS: tuple[Blow, ...] = ("request", "turn", "store", "work", "cancel")
_REACH = {"request": 40, "turn": 500, "store": 40, "work": 60, "cancel": 500}
"""How far into a run a blow may come: few runs are longer."""


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What ends one run from outside, and when: at the ``at``-th event of its kind."""

    blow: Blow
    at: int


@dataclass(frozen=True, slots=True)
class Scenario:
    """One simulated account over some nights."""

    seed: int
    users: int = 20
    nights: int = 1
    page_sizes: tuple[int, ...] = (5,)
    """One for each night."""
    walkers: tuple[int, ...] = (1,)
    newest_first: bool = False
    random_places: bool = False
    """Whether places in the list have nothing to do with ids."""
    token_kind: str = "key"
    """``key`` or ``offset``."""
    token_ttl_seconds: float | None = None
    tokens_bound_to_size: bool = False
    moves_on_update: bool = False
    end: str = "null"
    short_pages: float = 0.0
    page_users_max: int = 1000
    """What the service puts on a page at most, whatever is asked for."""
    empty_pages: float = 0.0
    changes_between: int = 0
    """Changes between two nights."""
    leave_in_a_row: int = 0
    """Neighbours in the list who are removed between two nights."""
    churn: float = 0.0
    """Probability of a change before an answer."""
    faults: float = 0.0
    burst: float = 0.0
    """Probability that a fault is followed by another."""
    disturbances: tuple[Disturbance, ...] = ()
    """One for each of the first runs of a night."""
    clock_jumps: tuple[float, ...] = ()
    """Seconds by which the machine's wall clock is wrong, from one run to the next, and from one jump to the next."""
    jump_turns: tuple[int, ...] = (60,)
    """Turns of the loop at which it jumps in a run."""
    begins_at: int = EPOCH
    """The true time when all begins, in seconds since 1970."""
    uptime_seconds: int = 0
    """What the monotonic clock shows then."""
    zone: str = ""
    """The machine's time zone; empty for that of the tests."""
    latency_seconds: float = 0.1
    pause_seconds: float = 600.0
    """Between a run that gave up and the next; hours also pass after one that was ended from outside."""
    rate: float = 100.0
    """The rate that the client is set to."""
    rate_limit: float | None = None
    concurrency_limit: int | None = None
    size_that_fails: int | None = None
    """Pages of so many users or more are answered with 500 …"""
    size_fails_share: float = 1.0
    """… at this share of the places in the list."""
    storm: int = 0
    """A row of so many 429s."""
    storm_at: int = 0
    outage_at: int = 0
    """From this request on the service is gone."""
    outage_seconds: float = 0.0
    outage_kind: str = "connect"
    """How it shows: ``connect``, ``timeout``, ``disconnected``, or a status."""
    tombstones: bool = False
    dated: bool = True
    """Whether answers say what time it is, as HTTP demands of all that have a clock."""
    liar: str = ""
    """What the service does against its contract: empty for most."""
    lies: int = 10**9
    """How often it does so."""

    never_unstable: bool = False
    """Whether a list taken for unstable is a failure, although it costs speed only."""
    forgives_offsets: bool = True
    """Whether a user lost by an offset token is an outcome that is counted, and no failure."""

    def wall(self, loop_seconds: float) -> float:
        """The true time at a time of the loop, in seconds since 1970."""
        return self.begins_at + (loop_seconds - self.uptime_seconds)

    @property
    def is_sound(self) -> bool:
        """Whether places are kept and the contract holds: then a run must end complete."""
        return self.token_kind == "key" and not self.moves_on_update and not self.liar

    @property
    def keeps_tokens(self) -> bool:
        """Whether it is sound and its tokens do not expire: then it may be down, but is never refused."""
        return self.is_sound and self.token_ttl_seconds is None

    @property
    def must_complete(self) -> bool:
        """Whether every night has to end with a snapshot.

        Where so much fails that most runs give up, only together can they come to an end: not when each begins anew, as
        the one before is too old.
        """
        goes_on = self.pause_seconds <= DAY_SECONDS or self.faults <= FAULTS_BORNE
        return self.keeps_tokens and self.outage_seconds <= 3600 and goes_on

    @property
    def keeps_progress(self) -> bool:
        """Whether an outage is all that happens: nothing that was fetched is then fetched again by the next run."""
        is_alone = not self.disturbances and not self.clock_jumps and self.pause_seconds <= 3600
        return self.keeps_tokens and bool(self.outage_at) and is_alone


LIARS = ("loop", "self_loop", "repeat_page", "endless_empty", "drop_pagination", "next_number", "page_one_for_ever")


def scenario(seed: int) -> Scenario:
    """Draw a scenario; the same seed gives the same one."""
    r = random.Random(f"scenario {seed}")
    nights = r.choice([1, 2, 2, 3])
    size = r.choice([1, 2, 3, 5, 8, 13])
    users = r.choice([0, 1, size, size + 1, r.randrange(30), r.randrange(50), r.randrange(120)])
    size = max(size, users // r.choice([12, 12, 24, 48]) + 1)
    is_large = r.random() < 0.02
    if is_large:
        size, users = 120, r.randrange(120, 800)
    same_size = r.random() < 0.85
    ideal = r.random() < 0.2
    outage = r.random() < 0.03
    storm = 0 if r.random() < 0.93 else r.choice([3, 10, 30, 200])
    beside = random.Random(f"beside {seed}")  # what was thought of later: every seed keeps what it drew before
    drawn = Scenario(
        seed=seed,
        users=users,
        nights=nights,
        page_sizes=tuple(size if same_size else r.choice([size, size + 1, size * 2]) for _ in range(nights)),
        walkers=tuple(r.choice([1, 2, 3, 4, 8, 12]) for _ in range(nights)),
        newest_first=r.random() < 0.5,
        random_places=r.random() < 0.15,
        token_kind="offset" if r.random() < 0.1 else "key",
        token_ttl_seconds=None if r.random() < 0.88 else r.choice([1.0, 30.0, 600.0, 3600.0]),
        tokens_bound_to_size=r.random() < 0.1,
        moves_on_update=r.random() < 0.05,
        end=r.choice(["null", "null", "null", "absent", "empty", "empty_page"]),
        changes_between=r.randrange(40),
        latency_seconds=r.choice([0.0, 0.01, 0.1, 1.0]),
        rate=r.choice([5.0, 100.0, 100.0]),
        rate_limit=None if r.random() < 0.85 else r.choice([2.0, 10.0]),
        concurrency_limit=None if r.random() < 0.85 else r.choice([1, 2, 5]),
        size_that_fails=60 if is_large and r.random() < 0.3 else None,
        storm=storm,
        storm_at=r.randrange(30),
        outage_at=r.randrange(1, 30) if outage else 0,
        outage_seconds=r.choice([60.0, 600.0, 3600.0, DAY_SECONDS]) if outage else 0.0,
        tombstones=r.random() < 0.5,
        liar=r.choice(LIARS) if r.random() < 0.08 else "",
        lies=r.choice([1, 10**9]),
        dated=beside.random() < 0.9,
        pause_seconds=600.0 if beside.random() < 0.8 else 3600.0 * beside.choice([1, 5, 23, 72]),
    )
    return replace(drawn, changes_between=0) if ideal else _troubled(drawn, r)


def _troubled(s: Scenario, r: random.Random) -> Scenario:
    jumps = [r.choice([-DAY_SECONDS, 0.0, 0.0, DAY_SECONDS]) for _ in range(4)] if r.random() < 0.08 else []
    kills = r.choice([0, 0, 0, 1, 1, 2, 4])
    return replace(
        s,
        short_pages=r.choice([0.0, 0.0, 0.1, 0.5]),
        empty_pages=r.choice([0.0, 0.0, 0.05, 0.3]),
        churn=r.choice([0.0, 0.0, 0.05, 0.2, 0.8]),
        faults=r.choice([0.0, 0.0, 0.02, 0.1, 0.3]),
        burst=r.choice([0.0, 0.3, 0.6]),
        disturbances=tuple(_disturbance(r) for _ in range(kills)),
        clock_jumps=tuple(jumps),
    )


def _disturbance(r: random.Random) -> Disturbance:
    blow = r.choice(BLOWS)
    return Disturbance(blow, int(_REACH[blow] ** r.random()) + 1)
