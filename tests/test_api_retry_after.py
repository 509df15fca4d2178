"""``Retry-After`` in every documented, undocumented and hostile form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.api.retry_after import parse_retry_after

NOW = 1_795_399_200.0  # 2026-11-23 02:00:00 UTC, a Monday
DATE = "Mon, 23 Nov 2026 02:00:00 GMT"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        ("120", 120.0),
        ("999999999", 999999999.0),
        ("Mon, 23 Nov 2026 02:00:30 GMT", 30.0),
        ("Monday, 23-Nov-26 02:00:30 GMT", 30.0),
        ("Mon Nov 23 02:00:30 2026", 30.0),
        ("Tue Dec  1 02:00:00 2026", 8 * 86400.0),
        ("Mon, 23 Nov 2026 02:00:60 GMT", 59.0),
        ("Mon, 23 Nov 2026 01:00:00 GMT", 0.0),
        ("Wednesday, 01-Jan-70 00:00:00 GMT", 1_360_360_800.0),  # 2070: less than 50 years ahead
        ("Sunday, 06-Nov-94 08:49:37 GMT", 0.0),
    ],
)
def test_a_form_of_the_standard(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, DATE, NOW) == seconds


@pytest.mark.parametrize(
    "value",
    [
        "", "-1", "+5", " 120", "120 ", "1_0", "1.5", "1e3", "nan", "inf", "0x10", "1234567890", "١٢٣", "soon",
        "Mon, 23 Nov 2026 02:00:30", "Mon, 23 Nov 2026 02:00:30 +0000", "Mon, 23 Nov 2026 02:00:30 CET",
        "Mon, 31 Feb 2026 02:00:30 GMT", "Mon, 23 Nov 2026 25:00:30 GMT", "2026-11-23T02:00:30Z",
        "mon, 23 nov 2026 02:00:30 gmt",
    ],
)  # fmt: skip
def test_nonsense_is_as_good_as_no_header(value: str) -> None:
    assert parse_retry_after(value, DATE, NOW) is None


def test_a_date_counts_from_the_service_s_own_clock() -> None:
    until = "Mon, 23 Nov 2026 02:00:30 GMT"
    skewed = [parse_retry_after(until, date, NOW + 3600) for date in (DATE, None, "nonsense")]
    assert skewed == [30.0, 0.0, 0.0]


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_text_raises_or_gives_a_negative_wait(value: str, date: str) -> None:
    seconds = parse_retry_after(value, date, NOW)
    assert seconds is None or seconds >= 0
