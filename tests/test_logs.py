from __future__ import annotations

import json
import logging
import re

import pytest

from syncer.logs import hide_from_logs, set_up_logging, tell

log = logging.getLogger("syncer.test")


def test_text_lines_have_time_level_and_message(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("text", "info")
    log.debug("not shown")
    log.warning("two\nlines \x1b[2J")
    out, errors = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ warning two\\nlines \\x1b\[2J\n", errors)


def test_json_lines_are_one_object_each_tracebacks_included(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("json", "debug")
    log.info("one")
    try:
        raise ValueError("why")
    except ValueError:
        log.exception("two")
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert {k: first[k] for k in ("level", "logger", "message")} == {
        "level": "info",
        "logger": "syncer.test",
        "message": "one",
    }
    assert second["traceback"].endswith("ValueError: why")


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_what_is_hidden_shows_in_no_line_and_no_traceback(log_format: str, capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(log_format, "debug")
    hide_from_logs(["hunter2", "hunter2%21", "abc"])
    try:
        raise ValueError("hunter2%21")
    except ValueError:
        log.exception("with %s, but abc is too short to hide", "hunter2")
    told = capsys.readouterr().err
    assert "hunter2" not in told
    assert "%21" not in told
    assert "with (hidden), but abc is too short to hide" in told


def test_libraries_that_tell_urls_are_quiet_even_when_debugging() -> None:
    set_up_logging("text", "debug")
    assert [logging.getLogger(name).getEffectiveLevel() for name in ("aiohttp.client", "asyncio")] == [30, 30]


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_words_for_a_person_are_a_json_line_where_the_log_is_one(
    log_format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging(log_format, "info")
    tell("two\nlines\x1b[2J\n", "warning")
    told = capsys.readouterr().err
    if log_format == "text":
        assert told == "two\nlines\\x1b[2J\n\n"
    else:
        [line] = [json.loads(line) for line in told.splitlines()]
        assert (line["level"], line["message"], set(line)) == (
            "warning",
            "two\nlines\x1b[2J",
            {"time", "level", "message"},
        )
