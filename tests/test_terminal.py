from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncer.terminal import harmless

HOSTILE = "\x1b[2J\x9b31m\x7f\u202e\u2028\0\r\x08\U0001f600\ud800"


@settings(max_examples=1000)
@given(st.text(st.characters()))
def test_nothing_but_printable_ascii_and_line_ends_comes_through(text: str) -> None:
    assert re.fullmatch(r"[\x20-\x7e\n]*", harmless(text))


def test_what_is_harmless_stays_and_what_is_not_is_shown_as_its_escape() -> None:
    assert harmless("two\nlines ~ here") == "two\nlines ~ here"
    assert harmless(HOSTILE) == r"\x1b[2J\x9b31m\x7f\u202e\u2028\x00\r\x08\U0001f600\ud800"


def write_to(stdout: int | None) -> subprocess.CompletedProcess[str]:
    code = (
        "from syncer.terminal import write_out\nfrom syncer.errors import SyncerError\nimport sys\n"
        "try:\n    write_out('x' * 200000 + '\\n')\nexcept SyncerError as e:\n    sys.exit(f'{e.exit_code} {e}')\n"
    )
    return subprocess.run([sys.executable, "-c", code], stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=30)


def test_a_reader_that_has_left_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = write_to(writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_full_disk_behind_standard_output_is_a_failure_of_storage() -> None:
    with open("/dev/full", "w") as full:
        done = write_to(full.fileno())
    told = "6 standard output cannot be written: No space left on device; check where it leads\n"
    assert (done.returncode, done.stderr) == (1, told)


@pytest.mark.parametrize("redirection", [">&-", "<&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_standard_stream_is_no_bug_and_no_file_takes_its_place(redirection: str, tmp_path: Path) -> None:
    code = (
        "import os\nfrom syncer.terminal import *\nprepare_streams()\n"
        "assert os.open('data', os.O_WRONLY | os.O_CREAT) > 2\nwrite_error('an error')\n"
        "try:\n    write_out('data\\n')\nexcept Exception as e:\n    os._exit(e.exit_code)\n"
    )
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" -c "$1" {redirection}', sys.executable, code],
        capture_output=True,
        text=True,
        timeout=30,
        cwd=tmp_path,
    )
    out_closed, errors_closed = ">&-" in redirection.split(), "2>&-" in redirection
    assert done.returncode == (6 if out_closed else 0)
    assert (done.stdout, done.stderr) == ("" if out_closed else "data\n", "" if errors_closed else "an error\n")
    assert (tmp_path / "data").read_bytes() == b""


def test_data_is_utf_8_whatever_the_locale_says() -> None:
    code = "from syncer.terminal import *\nprepare_streams()\nwrite_out('é \u4f60\\n')\n"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, timeout=30)
    assert (done.stdout.decode("utf-8"), done.stderr) == ("é \u4f60\n", b"")
