from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from syncer.commands.interrupts import Interrupted, interruptible, run_async, within
from syncer.errors import GaveUp


def test_work_that_nothing_stops_gives_its_result() -> None:
    async def work() -> int:
        await asyncio.sleep(0)
        return 7

    assert run_async(work) == 7


def test_failures_come_through_as_they_are() -> None:
    async def work() -> None:
        raise ValueError("why")

    with pytest.raises(ValueError, match="why"):
        run_async(work)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_cancels_the_work_once_and_lets_it_clean_up(number: signal.Signals, code: int) -> None:
    steps = []

    async def work() -> None:
        try:
            os.kill(os.getpid(), number)
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            steps.append("cancelled")
            await asyncio.sleep(0.05)
            steps.append("cleaned up")
            raise

    with pytest.raises(Interrupted) as caught:
        run_async(work)
    assert (caught.value.exit_code, steps) == (code, ["cancelled", "cleaned up"])


def test_a_signal_that_comes_too_late_changes_nothing() -> None:
    async def work() -> str:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            return "published"
        return "not reached"

    assert run_async(work) == "published"


def test_handlers_are_put_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    async def work() -> None:
        await asyncio.sleep(0)

    run_async(work)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_an_interrupt_that_a_library_takes_for_its_own_failure_stays_one() -> None:
    def broken() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(30)
        except Interrupted:
            raise ValueError("the stream broke") from None

    with pytest.raises(Interrupted) as caught, interruptible():
        broken()
    assert caught.value.exit_code == 143


def test_work_without_a_loop_is_interrupted_where_it_stands() -> None:
    def block() -> None:
        with interruptible():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(30)

    with pytest.raises(Interrupted) as caught:
        block()
    assert caught.value.exit_code == 143


STUBBORN = """
import asyncio, sys
from syncer.commands import interrupts
interrupts.STOP_SECONDS = {stop_seconds}
async def work():
    print("ready", flush=True)
    while True:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            print("asked", flush=True)
interrupts.run_async(work)
"""


def stubborn(stop_seconds: float) -> subprocess.Popen[str]:
    """A process whose work does not stop when asked to."""
    code = STUBBORN.format(stop_seconds=stop_seconds)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_a_second_signal_ends_the_process_at_once() -> None:
    with stubborn(30) as process:
        process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        assert process.stdout.readline() == "asked\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 130


def test_work_that_does_not_stop_in_time_is_ended() -> None:
    with stubborn(0.2) as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 143


def test_what_is_not_done_in_time_ends_whatever_a_library_makes_of_it() -> None:
    def work() -> None:
        with within(0.05, GaveUp("too late")):
            try:
                time.sleep(30)
            except BaseException:
                raise OSError("a read failed") from None

    with pytest.raises(GaveUp, match="too late"):
        work()
    with within(0.05, GaveUp("too late")):
        pass
    time.sleep(0.1)  # nothing rings any more


def test_a_library_that_does_not_return_is_left_where_it_stands() -> None:
    program = (
        "import hashlib; from syncer.commands import interrupts; from syncer.errors import GaveUp\n"
        "interrupts.STOP_SECONDS = 0.2\n"
        "with interrupts.within(0.1, GaveUp('too late')):\n"
        "    hashlib.pbkdf2_hmac('sha256', b'', b'', 2_000_000_000)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (4, "syncer: error: too late\n")


def test_a_loop_that_is_held_by_a_library_ends_at_a_signal_and_after_a_deadline() -> None:
    program = (
        "import hashlib; from syncer.commands import interrupts; from syncer.errors import GaveUp\n"
        "interrupts.STOP_SECONDS = 0.3\n"
        "async def work():\n"
        "    print('begun', flush=True)\n"
        "    hashlib.pbkdf2_hmac('sha256', b'', b'', 2_000_000_000)\n"
        "with interrupts.ended_after({seconds}, GaveUp('too late')):\n"
        "    interrupts.run_async(work)\n"
    )
    for seconds, number, code in ((60, signal.SIGTERM, 143), (60, signal.SIGINT, 130), (0.1, None, 4)):
        command = [sys.executable, "-c", program.format(seconds=seconds)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "begun\n"
            if number is not None:
                process.send_signal(number)
            assert process.wait(20) == code
            assert process.stderr is not None
            assert process.stderr.read() == ("" if number else "syncer: error: too late\n")


def test_an_interrupt_before_there_is_a_command_leaves_no_traceback() -> None:
    code = (
        "import os, signal\nimport syncer.__main__ as program\nimport syncer.commands.main as commands\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "commands.main = lambda _: os.kill(os.getpid(), signal.SIGINT)\nprogram.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("late", ["atexit.register(lambda: os.kill(os.getpid(), NUMBER))", "thread.start()"])
def test_a_signal_after_the_end_of_a_command_leaves_its_exit_code(number: signal.Signals, late: str) -> None:
    code = (
        "import atexit, os, threading, time\n"
        "import syncer.__main__ as program\nimport syncer.commands.main as commands\n"
        "class Late:\n"
        "    def __del__(self, kill=os.kill, pid=os.getpid()): kill(pid, NUMBER)\n"
        "late, thread = Late(), threading.Thread(target=lambda: print('still here', time.sleep(0.1)))\n"
        f"{late}\n"
        "commands.main = lambda _: 9\nprogram.main()\n"
    ).replace("NUMBER", str(int(number)))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (9, "still here None\n" if "thread" in late else "", "")


def test_words_that_cannot_be_written_at_the_end_are_no_success() -> None:
    code = (
        "import sys\nimport syncer.__main__ as program\nimport syncer.commands.main as commands\n"
        "commands.main = lambda _: sys.stdout.write('said') and 0\nprogram.main()\n"
    )
    with open("/dev/full", "wb") as full:
        buffered = {**os.environ, "PYTHONUNBUFFERED": ""}
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, timeout=30, env=buffered)
    assert done.returncode == 120  # the interpreter's own


def test_a_process_ends_with_all_that_was_to_be_done_and_said() -> None:
    code = (
        "import atexit, sys\nimport syncer.__main__ as program\nimport syncer.commands.main as commands\n"
        "atexit.register(lambda: print('done'))\n"
        "commands.main = lambda _: sys.stdout.write('said ') and 3\nprogram.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (3, "said done\n", "")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("signals", [1, 2])
def test_a_signal_ends_the_process_also_where_a_library_does_not_return(
    number: signal.Signals, code: int, signals: int
) -> None:
    program = (
        "import hashlib; from syncer.commands import interrupts\n"
        f"interrupts.STOP_SECONDS = {0.3 if signals == 1 else 60}\n"
        "with interrupts.interruptible():\n"
        "    print('begun', flush=True)\n"
        "    hashlib.pbkdf2_hmac('sha256', b'', b'', 2_000_000_000)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        for _ in range(signals):
            time.sleep(0.2)
            process.send_signal(number)
        assert process.wait(20) == code


def test_a_block_that_ends_in_time_after_a_signal_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncer.commands.interrupts.STOP_SECONDS", 0.2)
    threads = threading.active_count()
    with pytest.raises(Interrupted), interruptible():
        os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.5)
    assert threading.active_count() == threads
