"""The limits of an account in made-up time."""

from syncer.emulator.limits import Limits


def test_a_burst_is_let_through_and_then_the_rate() -> None:
    limits = Limits(rate=10.0, burst=3, concurrency=None)
    assert [limits.refuse_for(100.0) for _ in range(4)] == [None, None, None, 0.1]
    let_in = sum(limits.refuse_for(100.0 + tick / 1000) is None for tick in range(1, 1001))
    assert let_in == 10


def test_permits_do_not_pile_up_above_the_burst() -> None:
    limits = Limits(rate=10.0, burst=3, concurrency=None)
    limits.refuse_for(0.0)
    assert [limits.refuse_for(1000.0) for _ in range(4)] == [None, None, None, 0.1]


def test_too_many_at_once_are_refused_without_using_a_permit() -> None:
    limits = Limits(rate=1.0, burst=1, concurrency=2, active=3)
    assert limits.refuse_for(0.0) == 1.0
    limits.active = 2
    assert limits.refuse_for(0.0) is None


def test_without_limits_everyone_is_let_in() -> None:
    limits = Limits(rate=None, burst=1, concurrency=None, active=1000)
    assert [limits.refuse_for(0.0) for _ in range(100)] == [None] * 100


def test_a_request_is_early_between_the_word_and_its_end() -> None:
    limits = Limits(rate=None, burst=1, concurrency=None)
    limits.told_to_wait(100.0, 2.0)
    limits.told_to_wait(101.0, 0.5)
    assert [limits.is_early(now) for now in (99.0, 100.01, 100.1, 101.99, 102.0)] == [False, False, True, True, False]
