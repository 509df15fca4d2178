"""Waits and the run's retry budget."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.api.backoff import RetryBudget, backoff_seconds


@pytest.mark.parametrize(("attempt", "bound"), [(1, 0.5), (2, 1.0), (3, 2.0), (6, 16.0), (7, 20.0), (5000, 20.0)])
def test_the_bound_doubles_up_to_the_cap(attempt: int, bound: float) -> None:
    assert [backoff_seconds(attempt, share) for share in (0.0, 0.5, 1.0)] == [0.0, bound / 2, bound]


def test_an_outage_of_any_length_costs_fifty_retries() -> None:
    budget: RetryBudget | None = RetryBudget()
    spent = -1
    while budget is not None:
        budget, spent = budget.spent(), spent + 1
    assert spent == 50


@given(st.lists(st.booleans(), max_size=400))
def test_retries_never_exceed_fifty_and_a_tenth_of_the_good_answers(good: list[bool]) -> None:
    budget, retries = RetryBudget(), 0
    for is_good in good:
        if is_good:
            budget = budget.earned()
        elif (after := budget.spent()) is not None:
            budget, retries = after, retries + 1
    assert 0 <= budget.tokens <= budget.capacity == 50
    assert retries <= 50 + 0.1 * sum(good)
