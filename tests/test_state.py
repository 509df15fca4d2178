"""What an account remembers between runs: for a week, and never so that a damaged memory stops a run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from syncer.state import AccountState

HERE, ELSEWHERE = "https://api.invalid/v1", "http://127.0.0.1:1/v1"
NOW = datetime(2026, 11, 26, 2, tzinfo=UTC)
ALMOST_A_WEEK = timedelta(days=7, seconds=-1)


def test_what_was_learnt_of_the_order_and_of_the_page_size_stand_side_by_side(tmp_path: Path) -> None:
    state = AccountState(tmp_path)
    state.remember_page_size(HERE, 1000, 250, NOW)
    state.remember_unstable(HERE, "users moved", NOW)
    assert (state.served_page_size(HERE, 1000, NOW), state.unstable_reason(HERE, NOW)) == (250, "users moved")
    state.remember_page_size(HERE, 1000, 100, NOW)
    assert (state.served_page_size(HERE, 1000, NOW), state.unstable_reason(HERE, NOW)) == (100, "users moved")


def test_both_are_forgotten_after_a_week(tmp_path: Path) -> None:
    state = AccountState(tmp_path)
    state.remember_unstable(HERE, "users moved", NOW)
    state.remember_page_size(HERE, 1000, 250, NOW + timedelta(days=1))
    later = NOW + ALMOST_A_WEEK
    assert (state.served_page_size(HERE, 1000, later), state.unstable_reason(HERE, later)) == (250, "users moved")
    later += timedelta(seconds=1)
    assert (state.served_page_size(HERE, 1000, later), state.unstable_reason(HERE, later)) == (250, "")
    later += timedelta(days=1)
    assert (state.served_page_size(HERE, 1000, later), state.unstable_reason(HERE, later)) == (1000, "")


def test_a_page_size_is_remembered_for_the_configured_one_it_stood_in_for(tmp_path: Path) -> None:
    state = AccountState(tmp_path)
    assert state.served_page_size(HERE, 1000, NOW) == 1000
    state.remember_page_size(HERE, 1000, 250, NOW)
    assert (state.served_page_size(HERE, 500, NOW), state.served_page_size(HERE, 200, NOW)) == (500, 200)


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"unstable_at": 7, "reason": "x", "page_size_at": 7, "configured_page_size": 1000, "served_page_size": 100}',
        b'{"unstable_at": "2026-11-26", "configured_page_size": 1000, "page_size_at": "today", "served_page_size": 1}',
        b'{"configured_page_size": 1000, "page_size_at": "2026-11-26T02:00:00+00:00", "served_page_size": "100"}',
        b'{"configured_page_size": 1000, "page_size_at": "2026-11-26T02:00:00+00:00", "served_page_size": 0}',
        b'{"configured_page_size": 1000, "page_size_at": "2026-11-26T02:00:00+00:00", "served_page_size": 5000}',
    ],
)
def test_a_damaged_memory_is_none(tmp_path: Path, damaged: bytes) -> None:
    state = AccountState(tmp_path)
    (tmp_path / "account.json").write_bytes(damaged)
    assert (state.served_page_size(HERE, 1000, NOW), state.unstable_reason(HERE, NOW)) == (1000, "")
    state.remember_unstable(HERE, "users moved", NOW)
    assert state.unstable_reason(HERE, NOW) == "users moved"


def test_what_was_learnt_of_one_service_says_nothing_of_another(tmp_path: Path) -> None:
    state = AccountState(tmp_path)
    state.remember_unstable(HERE, "users moved", NOW)
    state.remember_page_size(HERE, 1000, 250, NOW)
    assert (state.served_page_size(ELSEWHERE, 1000, NOW), state.unstable_reason(ELSEWHERE, NOW)) == (1000, "")
    state.remember_page_size(ELSEWHERE, 1000, 50, NOW)
    assert (state.served_page_size(ELSEWHERE, 1000, NOW), state.unstable_reason(ELSEWHERE, NOW)) == (50, "")


@pytest.mark.parametrize(("ahead", "is_known"), [(timedelta(hours=23), True), (timedelta(days=2), False)])
def test_what_was_written_under_a_clock_far_ahead_is_not_kept_until_then(
    tmp_path: Path, ahead: timedelta, is_known: bool
) -> None:
    state = AccountState(tmp_path)
    state.remember_unstable(HERE, "users moved", NOW + ahead)
    assert bool(state.unstable_reason(HERE, NOW)) is is_known
