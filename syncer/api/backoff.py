"""How long to wait before a retry, and how many retries a run may make. Pure: no I/O, no clock, no randomness."""

from __future__ import annotations

from dataclasses import dataclass, replace

_EXPONENT_MAX = 30  # 2.0 ** 1024 overflows; the cap has won long before

BUDGET_CAPACITY = 50.0
BUDGET_PER_GOOD_ANSWER = 0.1


def backoff_seconds(attempt: int, rng_value: float, base: float = 0.5, cap: float = 20.0) -> float:
    """Full jitter: a random share of a bound that doubles with each attempt (from 1), up to ``cap`` seconds.

    ``rng_value`` is uniform in [0, 1). Source: AWS Architecture Blog, "Exponential Backoff And Jitter".
    """
    return rng_value * min(cap, base * 2.0 ** min(attempt - 1, _EXPONENT_MAX))


@dataclass(frozen=True, slots=True)
class RetryBudget:
    """Retries that the run may still make: each costs one token, each good answer gives back a tenth.

    So a run makes at most ``capacity`` retries plus a tenth of its good answers, however long an outage lasts.
    """

    tokens: float = BUDGET_CAPACITY
    capacity: float = BUDGET_CAPACITY

    def spent(self) -> RetryBudget | None:
        """The budget after one retry, or None when there is nothing left for it."""
        return None if self.tokens < 1.0 else replace(self, tokens=self.tokens - 1.0)

    def earned(self) -> RetryBudget:
        """The budget after one good answer."""
        if self.tokens >= self.capacity:
            return self
        return replace(self, tokens=min(self.capacity, self.tokens + BUDGET_PER_GOOD_ANSWER))
