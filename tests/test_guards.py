"""Guards before publishing: which figures are held back, and that each names figure, limit and what accepts it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from syncer.guards import Before, Limits, Now, Tripped, find_tripped

LIMITS = Limits(max_vanished_share=0.2, max_rejects=0)
BEFORE = Before(users=100, deleted_users=0, fields=("related",))
NOW = Now(users=100, rejects=0, fields=("related",), vanished=0)


def test_a_run_like_the_last_one_passes() -> None:
    assert find_tripped(NOW, BEFORE, LIMITS) is None
    assert find_tripped(NOW, None, LIMITS) is None
    assert find_tripped(replace(NOW, users=0), Before(0, 0, ()), LIMITS) is None


def test_rejects_beyond_the_limit_trip_whatever_else_is_allowed() -> None:
    now = replace(NOW, rejects=3, users=0)
    tripped = Tripped(
        "rejects",
        "3 users break the contract, and guards.max_rejects allows 2",
        "max_rejects = 3 below [guards], or SYNCER_MAX_REJECTS=3, accepts it",
    )
    assert find_tripped(now, BEFORE, replace(LIMITS, max_rejects=2, allow_shrink=True)) == tripped
    assert find_tripped(now, None, replace(LIMITS, max_rejects=3)) is None


def test_an_empty_list_trips_after_a_snapshot_with_users() -> None:
    now = replace(NOW, users=0, vanished=100)
    sentence = "the list is empty now, and the last snapshot holds 100 users"
    assert find_tripped(now, BEFORE, LIMITS) == Tripped("empty", sentence, "--allow-shrink accepts it")
    assert find_tripped(now, BEFORE, replace(LIMITS, allow_shrink=True)) is None


@pytest.mark.parametrize(
    ("now", "before", "words"),
    [
        (replace(NOW, vanished=20), BEFORE, None),
        (replace(NOW, vanished=21), BEFORE, "21.0% of the 100 users of the last snapshot are gone"),
        (replace(NOW, vanished=11, purged=10), BEFORE, "21.0% of the 100 users of the last snapshot are gone"),
        (replace(NOW, vanished=None, users=80), BEFORE, None),
        (replace(NOW, vanished=None, users=79), BEFORE, "21.0% of the 100 users of the last snapshot are gone"),
        (replace(NOW, vanished=None, users=300), BEFORE, None),
        (
            replace(NOW, vanished=11, confirmed=4),
            replace(BEFORE, deleted_users=50),
            "22.0% of the 50 users without a tombstone of the last snapshot are gone"
            " (4 of them were fetched and do not exist)",
        ),
        (replace(NOW, vanished=0, purged=5), replace(BEFORE, deleted_users=100), None),
    ],
)
def test_the_share_that_vanished_is_counted_by_ids_or_by_users_when_ids_cannot_be_read(
    now: Now, before: Before, words: str | None
) -> None:
    tripped = find_tripped(now, before, LIMITS)
    if words is None:
        assert tripped is None
    else:
        assert tripped == Tripped(
            "vanished", f"{words}, and guards.max_vanished_share allows 20.0%", "--allow-shrink accepts it"
        )


def test_more_missing_users_than_may_be_confirmed_trip_even_below_the_share() -> None:
    limits = replace(LIMITS, confirm_max=5)
    assert find_tripped(replace(NOW, vanished=5), BEFORE, limits) is None
    assert find_tripped(replace(NOW, vanished=None), BEFORE, limits) is None
    assert find_tripped(replace(NOW, vanished=6), BEFORE, limits) == Tripped(
        "unconfirmed",
        "6 users of the last snapshot are missing, and --confirm-vanished 5 does not allow to fetch so many one by one",
        "--confirm-vanished 6 fetches them, --allow-shrink accepts it without",
    )


def test_a_field_more_or_less_trips_under_a_strict_contract_only() -> None:
    now = replace(NOW, fields=("a", "b", "c", "d", "e", "f"))
    strict = replace(LIMITS, contract="strict")
    assert find_tripped(now, BEFORE, LIMITS) is None
    assert find_tripped(now, BEFORE, replace(strict, allow_drift=True)) is None
    assert find_tripped(now, replace(BEFORE, fields=None), strict) is None
    assert find_tripped(replace(now, users=0), Before(0, 0, ("x",)), strict) is None
    assert find_tripped(NOW, BEFORE, strict) is None
    assert find_tripped(now, BEFORE, strict) == Tripped(
        "drift",
        "the fields of users have changed since the last snapshot: 6 new ('a', 'b', 'c', 'd', 'e', …) and 1 missing"
        " ('related'), and guards.contract = \"strict\" allows no change",
        "--allow-drift accepts it",
    )
    tripped = find_tripped(replace(NOW, fields=()), BEFORE, strict)
    assert tripped is not None
    assert "1 missing ('related'), and" in tripped.sentence
