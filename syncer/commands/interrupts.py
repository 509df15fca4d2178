"""Signals: the first asks the work to stop and gives it five seconds, the second ends the process at once. And time.

Knows nothing of what the work is; it is cancelled, and what it wrote before stays.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

from syncer.errors import SyncerError
from syncer.terminal import write_error

STOP_SECONDS = 5.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
Result = TypeVar("Result")


class Interrupted(BaseException):
    """A signal ended the work; like KeyboardInterrupt, no ``except Exception`` may swallow it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


class _Stop:
    """What has happened so far: which signal came first, and the timer that ends a process which does not stop."""

    def __init__(self) -> None:
        self.number: int | None = None
        self._timer: threading.Timer | None = None

    def note(self, number: int) -> None:
        """Take one signal. A second one, or five seconds after the first, end the process where it stands."""
        if self.number is not None:
            os._exit(128 + number)
        self.number = number
        self._timer = threading.Timer(STOP_SECONDS, os._exit, (128 + number,))
        self._timer.daemon = True
        self._timer.start()

    def close(self) -> None:
        """The work has stopped in time."""
        if self._timer:
            self._timer.cancel()


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGINT and SIGTERM raise Interrupted in the block, which must run in the main thread to have an effect."""

    raised: list[Interrupted] = []

    def interrupt(number: int, _frame: FrameType | None) -> None:
        raised.append(Interrupted(number))
        raise raised[-1]

    with _watched(), _handling(interrupt):
        try:
            yield
        except Exception:
            if raised:  # a library in C took it for a failure of what it was reading, and told that instead
                raise raised[0] from None
            raise


@contextmanager
def _watched() -> Iterator[None]:
    """Ends the process five seconds after a signal, or at the second one, also where a library in C does not return to
    Python: no handler runs until it does, but a thread can hear of signals through a pipe."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    watcher = threading.Thread(target=_watch, args=(reader,), daemon=True)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    watcher.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(writer)
        watcher.join()
        os.close(reader)


def _watch(reader: int) -> None:
    first = _next_signal(reader, None)
    if first and (second := _next_signal(reader, STOP_SECONDS)) != 0:
        os._exit(128 + (second or first))


def _next_signal(reader: int, patience_seconds: float | None) -> int | None:
    """A number of ours; 0 when the pipe is closed, None when nothing comes in time."""
    until = time.monotonic() + (patience_seconds or 0)
    while select.select([reader], [], [], None if patience_seconds is None else max(0.0, until - time.monotonic()))[0]:
        number = int.from_bytes(os.read(reader, 1))
        if number == 0 or number in _SIGNALS:
            return number
    return None


class _Late(BaseException):
    """The time is over; like Interrupted, no ``except Exception`` may swallow it."""


@contextmanager
def within(seconds: float, too_late: SyncerError) -> Iterator[None]:
    """Raises ``too_late`` in the block when it is not done by then; in the main thread only.

    A library in C that does not return to Python has STOP_SECONDS more; then the process ends where it stands.
    """
    rung: list[int] = []

    def ring(number: int, _frame: FrameType | None) -> None:
        rung.append(number)
        raise _Late

    with ended_after(seconds, too_late), _handling(ring, (signal.SIGALRM,)):
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            yield
        except BaseException:
            if rung:
                raise too_late from None
            raise
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)


@contextmanager
def ended_after(seconds: float, too_late: SyncerError) -> Iterator[None]:
    """Ends the process where it stands, STOP_SECONDS after a deadline that the block keeps by itself if it can.

    A disk that never answers holds a thread, or the loop, and nothing in them can keep a deadline then.
    """
    last = threading.Timer(seconds + STOP_SECONDS, _end, (too_late,))
    last.daemon = True
    last.start()
    try:
        yield
    finally:
        last.cancel()


def _end(too_late: SyncerError) -> None:
    write_error(f"syncer: error: {too_late}")
    os._exit(too_late.exit_code)


def run_async(work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """Run the work to its end on a loop of its own; raises Interrupted if a signal stopped it.

    Handlers of ``signal`` and not of the loop: they run between any two steps of Python, also while the loop is busy.
    """
    import asyncio  # here, because `syncer --help` has no use for it

    stop = _Stop()
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        task = loop.create_task(work())

        def ask_to_stop(number: int, _frame: FrameType | None) -> None:
            stop.note(number)
            if not loop.is_closed():
                loop.call_soon_threadsafe(task.cancel)

        with _watched(), _handling(ask_to_stop):
            try:
                return loop.run_until_complete(task)
            except BaseException as error:
                if stop.number is None:
                    raise
                raise Interrupted(stop.number) from error
            finally:
                runner.close()
                stop.close()


@contextmanager
def _handling(
    handler: Callable[[int, FrameType | None], None], numbers: tuple[signal.Signals, ...] = _SIGNALS
) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
