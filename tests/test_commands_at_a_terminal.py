"""fetch, delete and erase as a person runs them: at a terminal of 80 columns, with typed words and Ctrl-C."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.processes import SID, Emulator, emulator, environment, export

PROMPT = "to go on:"
CTRL_C, CTRL_D = "\x03", "\x04"


@pytest.fixture(scope="module")
def service() -> Iterator[Emulator]:
    with emulator("--users", "60", "--deleted-share", "0", "--latency", "20") as running:
        yield running


def at_terminal(
    *args: str, typed: str = "", after: str = PROMPT, seconds: float = 60.0, program: Sequence[str] = ("-m", "syncer")
) -> tuple[int, str]:
    """Run a command at a terminal and type when it has said something; its exit code and all that was seen."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(
        [sys.executable, *program, *args], stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True,
        start_new_session=True, env=environment(TERM="xterm"), preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(theirs)
    seen, end = "", time.monotonic() + seconds
    while time.monotonic() < end and (piece := _read(ours)) is not None:
        seen += piece
        if typed and after in seen:
            os.write(ours, typed.encode())
            typed = ""
    os.close(ours)
    return process.wait(10), re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen).replace("\r\n", "\n")


def _read(terminal: int) -> str | None:
    """What has come, perhaps nothing yet; None when the other side is closed."""
    if not select.select([terminal], [], [], 0.2)[0]:
        return ""
    try:
        return os.read(terminal, 65536).decode() or None
    except OSError:
        return None


def where(service: Emulator, folder: Path) -> list[str]:
    return ["--base-url", service.url, "--state-dir", str(folder / "state"), "--rate", "1000"]


def test_words_that_are_typed_let_a_deletion_go_on(service: Emulator, tmp_path: Path) -> None:
    user_id = service.truth()[0]["id"]
    code, seen = at_terminal("delete", user_id, *where(service, tmp_path), typed=f"delete 1 user of {SID}\n")
    assert code == 0, seen
    assert seen.startswith(f"1 user of account {SID} to delete. This cannot be undone.\nType `delete 1 user of {SID}`")
    assert f"1 user of {SID}: 1 accepted; receipts in" in seen
    assert all(len(line) <= 80 for line in seen.splitlines() if "users/s" in line or ".." in line)


@pytest.mark.parametrize(
    ("typed", "code", "said"),
    [
        ("yes\n", 2, "this was not the confirmation, and nothing was sent"),
        (CTRL_D, 2, "this was not the confirmation, and nothing was sent"),
        (CTRL_C, 130, "interrupted by SIGINT\n"),
    ],
)
def test_anything_else_sends_nothing(service: Emulator, tmp_path: Path, typed: str, code: int, said: str) -> None:
    before = len(service.log())
    ended, seen = at_terminal("delete", service.truth()[1]["id"], *where(service, tmp_path), typed=typed)
    assert (ended, said in seen, len(service.log())) == (code, True, before), seen


def test_a_signal_that_another_thread_gets_ends_the_question_too(service: Emulator, tmp_path: Path) -> None:
    """As one does that comes just before the read begins: the read itself goes on."""
    program = (
        "import signal\nimport syncer.__main__ as program\nimport syncer.commands.confirming as confirming\n"
        "tell = confirming.tell\n"
        "def deaf(text):\n"
        "    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})\n"
        "    tell(text)\n"
        "confirming.tell = deaf\nprogram.main()\n"
    )
    args = ["delete", service.truth()[1]["id"], *where(service, tmp_path)]
    ended, seen = at_terminal(*args, typed=CTRL_C, program=("-c", program))
    assert (ended, "interrupted by SIGINT\n" in seen) == (130, True), seen


def test_an_erasure_is_confirmed_in_the_same_way(service: Emulator, tmp_path: Path) -> None:
    export(service.url, tmp_path)
    folders = ["--destination", str(tmp_path / "exports"), "--state-dir", str(tmp_path / "state")]
    ids = [user["id"] for user in service.truth()[2:4]]
    ended, seen = at_terminal("erase", *ids, *folders, typed=CTRL_C)
    assert (ended, "interrupted by SIGINT\n" in seen) == (130, True), seen
    assert not (tmp_path / "state" / SID / "erased.ndjson").exists()
    ended, seen = at_terminal("erase", *ids, *folders, typed=f"erase 2 users of {SID}\n")
    assert ended == 0, seen
    assert f"erase 2 users of {SID}: 1 snapshot to be written anew. This cannot be undone." in seen
    assert "without 2 users" in seen


def test_users_on_a_terminal_are_not_mixed_with_a_display(service: Emulator, tmp_path: Path) -> None:
    ids = [user["id"] for user in service.truth()[10:40]]
    code, seen = at_terminal("fetch", *ids, *where(service, tmp_path))
    lines = seen.splitlines()
    assert (code, len(lines), lines[-1]) == (0, 31, "30 found, 0 gone, 0 failed"), seen
    assert [re.findall(r'"id":"([^"]*)"', line) for line in lines[:-1]] == [[user_id] for user_id in ids]


def test_ctrl_c_ends_a_fetch_that_the_next_run_goes_on_with(service: Emulator, tmp_path: Path) -> None:
    ids = [user["id"] for user in service.truth()]
    slow = [*where(service, tmp_path)[:-1], "15", "--output", str(tmp_path / "users.ndjson")]
    code, seen = at_terminal("fetch", *ids, *slow, typed=CTRL_C, after="waiting for rate")
    assert (code, "interrupted by SIGINT; progress is kept, run again to resume" in seen) == (130, True), seen
    before = len(service.log())
    code, seen = at_terminal("fetch", *ids, *where(service, tmp_path), "--output", str(tmp_path / "users.ndjson"))
    assert (code, f"{len(ids)} found, 0 gone, 0 failed" in seen) == (0, True), seen
    assert len(service.log()) - before < len(ids)
