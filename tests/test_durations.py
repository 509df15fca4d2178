from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.durations import parse_duration, parse_size, show_duration, show_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("5m", 300), ("1h30m", 5400), ("2h", 7200), ("1d", 86400), ("0.5s", 0.5), ("1m5s250ms", 65.25)],
)
def test_durations_are_read_as_people_write_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "m", "5x", "-5s", "5m1h", "1s1s", " 5s", "5 s", "٥s", "1e3s", "inf"])
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration such as 30s"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"), [("0B", 0), ("512MB", 512_000_000), ("1 GB", 10**9), ("1.5kB", 1500), ("2MiB", 2 * 1024**2)]
)
def test_sizes_are_read_in_thousands_or_in_1024s(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "512", "MB", "5 mb", "1iB", "-1MB", "1e3MB"])
def test_anything_else_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="expected a size such as 512MB"):
        parse_size(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.00 s"), (0.414, "0.41 s"), (12.34, "12.3 s"), (125, "2m 05s"), (3720, "1h 02m"), (90000, "1d 01h")],
)
def test_durations_are_shown_with_two_units_at_most(seconds: float, text: str) -> None:
    assert show_duration(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (2_234_567, "2.2 MB"),
        (31_000_000_000, "31 GB"),
        (10**16, "10000 TB"),
    ],
)
def test_sizes_are_shown_short(size: int, text: str) -> None:
    assert show_size(size) == text


@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59))
def test_units_add_up(hours: int, minutes: int, seconds: int) -> None:
    assert parse_duration(f"{hours}h{minutes}m{seconds}s") == hours * 3600 + minutes * 60 + seconds
