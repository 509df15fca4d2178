"""Whether there is another attempt, as plain values."""

from __future__ import annotations

import pytest

from syncer.api.attempts import Again, Stop, Tries, plan_next, retry_of_wire
from syncer.api.protocol import Operation, Retry, RetryKind
from syncer.model import ApiError, WireFailure

ERROR = ApiError(500, "x")


def plan(kind: RetryKind, times: int, operation: Operation = "list", after: float | None = None) -> list[Again | Stop]:
    tries = Tries(operation)
    return [plan_next(tries, Retry(kind, ERROR, after), 0.5) for _ in range(times)]


def test_faults_of_a_list_end_in_a_wish_for_a_smaller_page() -> None:
    assert plan("fault", 3) == [Again(0.25), Again(0.5), Stop("struggling", "failed 3 times")]


@pytest.mark.parametrize(
    ("kind", "operation"), [("fault", "fetch"), ("fault", "delete"), ("unavailable", "list"), ("unavailable", "delete")]
)
def test_other_failures_use_all_attempts(kind: RetryKind, operation: Operation) -> None:
    assert plan(kind, 8, operation) == [
        *(Again(seconds) for seconds in (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 10.0)),
        Stop("gave_up", "failed 8 times"),
    ]


def test_damaged_answers_give_up_soon_and_breaches_are_named() -> None:
    assert [plan("garbled", 3)[2], plan("contract", 3)[2]] == [
        Stop("gave_up", "failed 3 times"),
        Stop("contract", "failed 3 times"),
    ]


def test_kinds_count_together_towards_the_last_attempt() -> None:
    tries = Tries("list")
    kinds: list[RetryKind] = ["fault", "garbled", "contract", "unavailable", "fault"]
    steps = [plan_next(tries, Retry(kind, ERROR), 0.0, 5) for kind in kinds]
    assert steps == [Again(0.0)] * 4 + [Stop("gave_up", "failed 5 times")]


def test_the_first_repeat_on_a_connection_that_was_closed_meanwhile_does_not_wait() -> None:
    tries = Tries("fetch")
    steps = [plan_next(tries, Retry("fault", ERROR), 0.5, immediate=True) for _ in range(2)]
    assert steps == [Again(0.0), Again(0.5)]


def test_a_wait_that_the_service_asks_for_closes_the_door_and_is_never_shortened() -> None:
    assert plan("unavailable", 2, after=30.0) == [Again(30.0, closes=True)] * 2
    assert plan("unavailable", 1, after=0.0) == [Again(0.25, closes=True)]


def test_429_costs_no_attempt_and_no_budget() -> None:
    assert plan("throttled", 2, after=3.0) == [Again(3.0, closes=True, costs=False)] * 2
    assert plan("throttled", 2) == [Again(seconds, closes=True, costs=False) for seconds in (0.25, 0.5)]
    assert plan("throttled", 100, after=1.0)[98:] == [
        Again(10.0, closes=True, costs=False),
        Stop("gave_up", "refused (429) 100 times in a row"),
    ]


def test_absurd_waits_end_the_request() -> None:
    assert plan("throttled", 1, after=3601.0) == [Stop("gave_up", "asked to wait 3601 s")]
    assert plan("throttled", 3, after=1500.0)[2] == Stop("gave_up", "asked to wait 4500 s")
    assert plan("unavailable", 1, after=999999999.0) == [Stop("gave_up", "asked to wait 999999999 s")]


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        ("connect", "unavailable"),
        ("disconnected", "fault"),
        ("timeout", "fault"),
        ("truncated", "fault"),
        ("too_large", "fault"),
        ("protocol", "garbled"),
    ],
)
def test_each_failure_of_the_wire_has_its_kind(failure: WireFailure, kind: RetryKind) -> None:
    assert retry_of_wire(failure, "text") == Retry(kind, ApiError(None, "text"))
