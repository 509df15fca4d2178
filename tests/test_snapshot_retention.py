"""What a policy keeps: restic's rules, on lists of ids."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.snapshot.layout import snapshot_id, snapshot_time
from syncer.snapshot.retention import LATEST, NOT_KEPT, Dated, Decision, Policy, plan_prune

SUNDAYS = [f"2019{day}T110000Z" for day in ("0901", "0908", "0915", "0922", "0929", "1006", "1013")]
"""One snapshot a week, as in the example of restic's documentation."""


NOW = datetime(2035, 1, 1, tzinfo=UTC)


def dated(ids: list[str]) -> list[Dated]:
    """Snapshots whose runs started when their ids say."""
    return [Dated(i, snapshot_time(i)) for i in ids]


def kept(policy: Policy, ids: list[str], latest: str | None = None) -> dict[str, tuple[str, ...]]:
    return {d.snapshot_id: d.reasons for d in plan_prune(policy, dated(ids), latest, NOW) if d.keep}


def test_daily_keeps_the_last_days_that_have_one() -> None:
    assert kept(Policy(daily=4), SUNDAYS) == dict.fromkeys(SUNDAYS[-4:], ("daily snapshot",))


def test_a_rule_keeps_the_newest_of_each_period() -> None:
    ids = ["20260101T010000Z", "20260101T230000Z", "20260102T010000Z", "20260102T020000Z"]
    assert kept(Policy(daily=2), [*SUNDAYS, *ids]) == {ids[1]: ("daily snapshot",), ids[3]: ("daily snapshot",)}
    assert kept(Policy(last=2), ids) == {ids[2]: ("last snapshot",), ids[3]: ("last snapshot",)}


def test_weeks_begin_on_monday_and_belong_to_the_year_of_their_thursday() -> None:
    ids = ["20201227T000000Z", "20201228T000000Z", "20210103T000000Z", "20210104T000000Z"]
    assert list(kept(Policy(weekly=3), ids)) == [ids[0], ids[2], ids[3]]


def test_months_and_years_are_counted_with_their_year() -> None:
    ids = ["20250115T000000Z", "20251231T000000Z", "20260101T000000Z", "20260115T000000Z"]
    assert list(kept(Policy(monthly=2), ids)) == [ids[1], ids[3]]
    assert kept(Policy(yearly=2), ids) == {ids[1]: ("yearly snapshot",), ids[3]: ("yearly snapshot",)}


def test_with_too_few_periods_the_oldest_is_kept_too() -> None:
    ids = ["20260101T000000Z", "20260102T000000Z", "20260103T000000Z"]
    assert kept(Policy(monthly=5), ids) == {ids[0]: ("oldest monthly snapshot",), ids[2]: ("monthly snapshot",)}


def test_within_counts_back_from_the_newest_and_not_from_now() -> None:
    assert list(kept(Policy(within=timedelta(days=14)), SUNDAYS)) == SUNDAYS[-2:]
    assert list(kept(Policy(within=timedelta(days=14, seconds=1)), SUNDAYS)) == SUNDAYS[-3:]


def test_a_night_with_a_wrong_clock_takes_no_other_night_with_it() -> None:
    """Ids never go back: the nights after it follow it by seconds, and their runs started when they did."""
    nights = [datetime(2026, 11, day, 2, tzinfo=UTC) for day in range(20, 27)]
    ids = ["20261120T020000Z", "20261121T020000Z", "20360101T000000Z"]
    ids += [f"20360101T00000{second}Z" for second in range(1, 5)]
    started = [*nights[:2], datetime(2036, 1, 1, tzinfo=UTC), *nights[3:]]
    history = [Dated(*one) for one in zip(ids, started, strict=True)]
    for policy, expected in (
        (Policy(daily=5), ids[2:]),
        (Policy(last=2), ids[-2:]),
        (Policy(within=timedelta(days=4)), ids[2:]),
        (Policy(within=timedelta(days=6, seconds=1)), ids),
    ):
        decisions = plan_prune(policy, history, ids[-1], NOW)
        assert [d.snapshot_id for d in decisions if d.keep] == expected


def test_reasons_add_up_and_the_latest_complete_one_is_never_removed() -> None:
    policy = Policy(last=1, daily=1)
    assert plan_prune(policy, dated(SUNDAYS[-3:]), SUNDAYS[-2], NOW) == [
        Decision(SUNDAYS[-3], False, (NOT_KEPT,)),
        Decision(SUNDAYS[-2], True, (LATEST,)),
        Decision(SUNDAYS[-1], True, ("last snapshot", "daily snapshot")),
    ]


def test_an_empty_policy_is_refused_and_no_snapshots_need_no_decision() -> None:
    with pytest.raises(ValueError, match="would remove everything"):
        plan_prune(Policy(), dated(SUNDAYS), None, NOW)
    assert plan_prune(Policy(last=1), [], None, NOW) == []


COUNTS = st.integers(0, 4)
TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2030, 1, 1)).map(lambda t: snapshot_id(t.astimezone()))


@given(st.lists(TIMES, unique=True).map(sorted), st.builds(Policy, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS))
def test_pruning_again_with_the_same_policy_removes_nothing_and_more_is_kept_by_more(
    ids: list[str], policy: Policy
) -> None:
    if policy.is_empty:
        return
    latest = ids[-1] if ids else None
    first = list(kept(policy, ids, latest))
    assert list(kept(policy, first, latest)) == first
    assert latest is None or latest in first
    wider = Policy(policy.last + 1, policy.daily, policy.weekly, policy.monthly, policy.yearly)
    assert set(first) <= set(kept(wider, ids, latest))
