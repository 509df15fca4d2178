"""What a person sees while a run lasts: a live display on a terminal, a log line now and then elsewhere.

Reads counters, changes nothing, writes nothing to standard output. rich is loaded only for the live display.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, TextIO

from syncer.durations import show_duration
from syncer.model import Counters
from syncer.terminal import harmless

Mode = Literal["auto", "always", "never"]
LINE_SECONDS = 30.0
REDRAW_SECONDS = 0.25
WINDOW_SECONDS = 10.0
"""Speeds are means over this long."""
_log = logging.getLogger("syncer.progress")


@dataclass(frozen=True, slots=True)
class Sample:
    """The counters that speeds are made of, at one moment of the loop's clock."""

    at: float
    users: int
    requests: int


@dataclass(frozen=True, slots=True)
class Speeds:
    """Per second."""

    users: float
    requests: float


def speeds_between(first: Sample, last: Sample) -> Speeds:
    """Mean speeds between two moments; zero when no time has passed."""
    seconds = last.at - first.at
    if seconds <= 0:
        return Speeds(0.0, 0.0)
    return Speeds((last.users - first.users) / seconds, (last.requests - first.requests) / seconds)


def seconds_left(counters: Counters, users_per_second: float) -> float | None:
    """An estimate from the last snapshot's number of users; None when there is nothing to estimate from."""
    if not counters.users_expected or users_per_second <= 0 or counters.users >= counters.users_expected:
        return None
    return (counters.users_expected - counters.users) / users_per_second


def progress_line(account_sid: str, counters: Counters, speeds: Speeds, seconds: float) -> str:
    """One account in one log line."""
    parts = [
        f"{account_sid}: {counters.phase}",
        f"{_users(counters)} users",
        *([] if counters.by_id else [f"{counters.pages:,} pages"]),
        f"{speeds.users:,.0f} users/s",
        f"{speeds.requests:.1f} requests/s",
    ]
    parts += [f"{counters.throttled:,} answers 429"] if counters.throttled else []
    parts += [f"{counters.rejects:,} rejects"] if counters.rejects else []
    left = seconds_left(counters, speeds.users)
    parts += [f"about {show_duration(left)} left"] if left is not None else []
    parts += [f"waiting for {counters.waiting_for}"] if counters.waiting_for else []
    return ", ".join([*parts, f"{show_duration(seconds)} so far"])


HEADER = f"{'account':11} {'users':>20} {'pages':>9} {'users/s':>9} {'req/s':>7} {'429':>5} {'left':>8}"


def display_rows(account_sid: str, counters: Counters, speeds: Speeds, width: int) -> list[str]:
    """One account in the live display: its figures, and below them what it is doing; no row is wider than that."""
    left = seconds_left(counters, speeds.users)
    name = f"{account_sid[:4]}..{account_sid[-5:]}"
    pages = "-" if counters.by_id else f"{counters.pages:,}"
    figures = (
        f"{name:11} {_users(counters):>20} {pages:>9} {speeds.users:>9,.0f} {speeds.requests:>7.1f} "
        f"{counters.throttled:>5,} {show_duration(left) if left is not None else '-':>8}"
    )
    doing = f"  {counters.phase}" + (f": waiting for {counters.waiting_for}" if counters.waiting_for else "")
    return [_fit(figures, width), _fit(doing, width)]


class Progress:
    """Shows the counters of all accounts while the ``async with`` block lasts."""

    def __init__(self, counters_by_account: Mapping[str, Counters], mode: Mode, stream: TextIO) -> None:
        self._counters = counters_by_account
        self._mode = mode
        self._stream = stream
        self._samples: dict[str, deque[Sample]] = {sid: deque() for sid in counters_by_account}
        self._task: asyncio.Task[None] | None = None
        self._started = 0.0

    async def __aenter__(self) -> Progress:
        self._started = self._now()
        self._take_samples()
        if self._mode == "always" or (self._mode == "auto" and self._stream.isatty()):
            self._task = asyncio.create_task(self._draw())
        elif self._mode == "auto":
            self._task = asyncio.create_task(self._tell())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is None:
            return
        self._task.cancel()
        # Its own cancellation ends here; one of ours that arrives meanwhile is not swallowed: wait() raises it.
        await asyncio.wait([self._task])
        if not self._task.cancelled() and (failure := self._task.exception()):
            _log.warning("the progress display stopped: %s", type(failure).__name__)

    async def _draw(self) -> None:
        display = _LiveDisplay(self._stream)
        try:
            while True:
                self._take_samples()
                display.show(self._rows)
                await asyncio.sleep(REDRAW_SECONDS)
        finally:
            display.close()

    async def _tell(self) -> None:
        try:
            while True:
                await asyncio.sleep(LINE_SECONDS)
                self._tell_once()
        finally:
            self._tell_once()

    def _tell_once(self) -> None:
        self._take_samples()
        for sid, counters in self._counters.items():
            _log.info("%s", progress_line(sid, counters, self._speeds(sid), self._now() - self._started))

    def _rows(self, width: int) -> list[str]:
        rows = [_fit(HEADER, width)]
        for sid, counters in self._counters.items():
            rows += display_rows(sid, counters, self._speeds(sid), width)
        return rows

    def _take_samples(self) -> None:
        now = self._now()
        for sid, counters in self._counters.items():
            samples = self._samples[sid]
            users, requests = counters.users - counters.users_before, counters.requests - counters.requests_before
            samples.append(Sample(now, users, requests))
            while len(samples) > 2 and now - samples[1].at >= WINDOW_SECONDS:
                samples.popleft()

    def _speeds(self, sid: str) -> Speeds:
        return speeds_between(self._samples[sid][0], self._samples[sid][-1])

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


class _LiveDisplay:
    """rich's part: drawing over the same lines again. Log lines meanwhile appear above."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = Console(file=stream, force_terminal=True, highlight=False)
        self._live = Live(console=self._console, auto_refresh=False, redirect_stdout=False, transient=True)
        self._live.start()

    def show(self, rows: Callable[[int], list[str]]) -> None:
        """Draw the rows."""
        from rich.text import Text

        self._live.update(Text("\n".join(rows(self._console.width)), no_wrap=True), refresh=True)

    def close(self) -> None:
        """Take the display away."""
        self._live.stop()


def _users(counters: Counters) -> str:
    expected = counters.users_expected
    if not expected or counters.users > expected:
        return f"{counters.users:,}"
    return f"{counters.users:,} ({100 * counters.users // expected}%)"


def _fit(line: str, width: int) -> str:
    line = harmless(line)
    return line if len(line) <= width else line[: max(0, width - 2)] + ".."
