from __future__ import annotations

import asyncio
import io
import logging
import re
import sys

import pytest

from syncer.model import Counters
from syncer.progress import (
    HEADER,
    Progress,
    Sample,
    Speeds,
    display_rows,
    progress_line,
    seconds_left,
    speeds_between,
)
from tests.virtual_time import run_virtual

SID = "AC" + "0123456789abcdef" * 2
BUSY = Counters(
    pages=1234, users=1_234_567, requests=1250, retries=16, throttled=12, users_expected=2_000_000, phase="crawling"
)


class Terminal(io.StringIO):
    """A stream that says it is one."""

    def isatty(self) -> bool:
        return True


def test_speeds_are_means_between_two_samples() -> None:
    assert speeds_between(Sample(1.0, 100, 10), Sample(3.0, 500, 14)) == Speeds(200.0, 2.0)
    assert speeds_between(Sample(1.0, 100, 10), Sample(1.0, 100, 10)) == Speeds(0.0, 0.0)


@pytest.mark.parametrize(
    ("counters", "speed", "left"),
    [
        (Counters(users=50, users_expected=150), 10.0, 10.0),
        (Counters(users=50, users_expected=None), 10.0, None),
        (Counters(users=50, users_expected=150), 0.0, None),
        (Counters(users=151, users_expected=150), 10.0, None),
    ],
)
def test_an_estimate_needs_a_last_snapshot_and_a_speed(counters: Counters, speed: float, left: float | None) -> None:
    assert seconds_left(counters, speed) == left


def test_a_line_tells_everything_that_matters() -> None:
    BUSY.waiting_for = "429: closed for 12.3 s more"
    assert progress_line(SID, BUSY, Speeds(10_000.4, 10.04), 125.0) == (
        f"{SID}: crawling, 1,234,567 (61%) users, 1,234 pages, 10,000 users/s, 10.0 requests/s, 12 answers 429, "
        "about 1m 17s left, waiting for 429: closed for 12.3 s more, 2m 05s so far"
    )
    quiet = progress_line(SID, Counters(rejects=2), Speeds(0, 0), 0.5)
    assert quiet == f"{SID}: starting, 0 users, 0 pages, 0 users/s, 0.0 requests/s, 2 rejects, 0.50 s so far"


@pytest.mark.parametrize("width", [80, 60, 20])
def test_the_display_fits_its_terminal_even_with_huge_numbers(width: int) -> None:
    huge = Counters(
        pages=1_000_000,
        users=999_999_999,
        throttled=9999,
        users_expected=10**9,
        waiting_for="x" * 200,
        phase="crawling",
    )
    rows = display_rows(SID, huge, Speeds(1_000_000, 9999.9), width)
    assert len(rows) == 2
    assert max(map(len, rows)) <= width
    if width == 80:
        assert rows[0] == "AC01..bcdef    999,999,999 (99%) 1,000,000 1,000,000  9999.9 9,999   0.00 s"
        assert len(HEADER) == len(rows[0])


def test_elsewhere_than_on_a_terminal_a_line_comes_every_half_minute_and_at_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stream = io.StringIO()
    counters = Counters(phase="crawling")

    async def work() -> None:
        async with Progress({SID: counters}, "auto", stream):
            for _ in range(65):
                await asyncio.sleep(1)
                counters.users += 100
                counters.pages += 1
                counters.requests += 1

    with caplog.at_level(logging.INFO, "syncer.progress"):
        run_virtual(work())
    told = [re.sub(r"^.*?, ", "", record.getMessage()) for record in caplog.records]
    assert [text.partition(" users")[0] for text in told] == ["2,900", "5,900", "6,500"]
    assert [text.rpartition(", ")[2] for text in told] == ["30.0 s so far", "1m 00s so far", "1m 05s so far"]
    assert stream.getvalue() == ""


def test_on_a_terminal_the_figures_are_drawn_and_taken_away(capsys: pytest.CaptureFixture[str]) -> None:
    stream = Terminal()
    counters = Counters(users=4321, phase="crawling", waiting_for="rate 20/s")

    async def work() -> None:
        async with Progress({SID: counters}, "auto", stream):
            await asyncio.sleep(0.3)

    asyncio.run(work())
    drawn = stream.getvalue()
    assert "4,321" in drawn
    assert "crawling: waiting for rate 20/s" in drawn
    assert "\x1b[2K" in drawn  # rich takes its lines away
    assert capsys.readouterr().out == ""


def test_never_means_never(caplog: pytest.LogCaptureFixture) -> None:
    stream = Terminal()

    async def work() -> None:
        async with Progress({SID: Counters()}, "never", stream):
            await asyncio.sleep(100)

    with caplog.at_level(logging.INFO):
        run_virtual(work())
    assert (stream.getvalue(), caplog.records) == ("", [])


def test_always_draws_without_a_terminal_too() -> None:
    stream = io.StringIO()

    async def work() -> None:
        async with Progress({SID: Counters()}, "always", stream):
            await asyncio.sleep(0)

    asyncio.run(work())
    assert "AC01..bcdef" in stream.getvalue()


def test_a_failing_display_does_not_fail_the_run(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Terminal):
        def write(self, text: str) -> int:
            raise OSError("gone")

    async def work() -> str:
        async with Progress({SID: Counters()}, "auto", Broken()):
            await asyncio.sleep(0.01)
        return "done"

    assert asyncio.run(work()) == "done"
    assert [record.getMessage() for record in caplog.records] == ["the progress display stopped: OSError"]


def test_cancellation_passes_through() -> None:
    async def work() -> None:
        async with Progress({SID: Counters()}, "auto", io.StringIO()):
            await asyncio.sleep(100)

    async def cancelled() -> None:
        task = asyncio.create_task(work())
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_virtual(cancelled())


def test_the_module_does_not_load_rich() -> None:
    code = "import sys, syncer.progress; sys.exit('rich' in sys.modules)"
    import subprocess

    assert subprocess.run([sys.executable, "-c", code], timeout=30).returncode == 0


def test_what_an_earlier_process_fetched_says_nothing_about_today(caplog: pytest.LogCaptureFixture) -> None:
    counters = Counters()

    async def work() -> None:
        async with Progress({SID: counters}, "auto", io.StringIO()):
            counters.users = counters.users_before = 100_000
            counters.requests = counters.requests_before = 100
            await asyncio.sleep(10)
            counters.users += 2_000
            counters.requests += 20

    with caplog.at_level(logging.INFO, "syncer.progress"):
        run_virtual(work())
    assert "102,000 users" in caplog.records[-1].getMessage()
    assert "200 users/s, 2.0 requests/s" in caplog.records[-1].getMessage()


def test_where_users_are_asked_for_by_id_no_pages_are_told_of() -> None:
    counters = Counters(users=3, users_expected=10, phase="fetching", by_id=True)
    assert progress_line(SID, counters, Speeds(0, 0), 1.0) == (
        f"{SID}: fetching, 3 (30%) users, 0 users/s, 0.0 requests/s, 1.0 s so far"
    )
    assert display_rows(SID, counters, Speeds(0, 0), 80)[0].split() == [
        "AC01..bcdef", "3", "(30%)", "-", "0", "0.0", "0", "-",
    ]  # fmt: skip
