"""What one seed stands for: a list, its habits, its faults, and what happens to the run. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scenario:
    """One simulated account over some nights."""

    seed: int
    users: int
    nights: int
    page_sizes: tuple[int, ...]
    """One for each night."""
    walkers: tuple[int, ...]
    newest_first: bool
    random_places: bool
    """Whether places in the list have nothing to do with ids."""
    token_kind: str
    """``key`` or ``offset``."""
    token_ttl_seconds: float | None
    tokens_bound_to_size: bool
    moves_on_update: bool
    end: str
    short_pages: float
    empty_pages: float
    changes_between: int
    """Changes between two nights."""
    churn: float
    """Probability of a change before an answer."""
    faults: float
    burst: float
    """Probability that a fault is followed by another."""
    kills: int
    latency_seconds: float
    rate_limit: float | None
    concurrency_limit: int | None
    size_that_fails: int | None
    tombstones: bool
    liar: str
    """What the service does against its contract: empty for most."""

    @property
    def is_sound(self) -> bool:
        """Whether places are kept and the contract holds: then a run must end complete."""
        return self.token_kind == "key" and not self.moves_on_update and not self.liar


LIARS = ("loop", "self_loop", "repeat_page", "endless_empty", "drop_pagination", "next_number", "page_one_for_ever")


def scenario(seed: int) -> Scenario:
    """Draw a scenario; the same seed gives the same one."""
    r = random.Random(f"scenario {seed}")
    nights = r.choice([1, 2, 2, 3])
    size = r.choice([1, 2, 3, 5, 8, 13, 20, 50])
    users = r.choice([0, 1, size, size + 1, r.randrange(60), r.randrange(60), r.randrange(300)])
    size = max(size, users // 60 + 1)
    same_size = r.random() < 0.8
    ideal = r.random() < 0.2
    liar = r.choice(LIARS) if r.random() < 0.08 else ""
    ttl = None if r.random() < 0.85 else r.choice([1.0, 30.0, 600.0, 3600.0])
    return Scenario(
        seed=seed,
        users=users,
        nights=nights,
        page_sizes=tuple(size if same_size else r.choice([size, size + 1, size * 2]) for _ in range(nights)),
        walkers=tuple(r.choice([1, 2, 3, 4, 8, 12]) for _ in range(nights)),
        newest_first=r.random() < 0.5,
        random_places=r.random() < 0.1,
        token_kind="offset" if r.random() < 0.08 else "key",
        token_ttl_seconds=ttl,
        tokens_bound_to_size=r.random() < 0.1,
        moves_on_update=r.random() < 0.05,
        end=r.choice(["null", "null", "null", "absent", "empty", "empty_page"]),
        short_pages=0.0 if ideal else r.choice([0.0, 0.0, 0.1, 0.5]),
        empty_pages=0.0 if ideal else r.choice([0.0, 0.0, 0.05, 0.3]),
        changes_between=0 if ideal else r.randrange(60),
        churn=0.0 if ideal else r.choice([0.0, 0.0, 0.05, 0.2, 0.8]),
        faults=0.0 if ideal else r.choice([0.0, 0.02, 0.1, 0.3]),
        burst=r.choice([0.0, 0.3, 0.6]),
        kills=0 if ideal else r.choice([0, 0, 1, 2, 4]),
        latency_seconds=r.choice([0.0, 0.01, 0.1, 1.0]),
        rate_limit=None if r.random() < 0.8 else r.choice([2.0, 10.0]),
        concurrency_limit=None if r.random() < 0.8 else r.choice([1, 2, 5]),
        size_that_fails=None if r.random() < 0.95 or size < 50 else 50,
        tombstones=r.random() < 0.5,
        liar=liar,
    )
