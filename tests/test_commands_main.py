from __future__ import annotations

import argparse
import json
import subprocess
import sys

import pytest

from syncer.commands import check
from syncer.commands.interrupts import Interrupted
from syncer.commands.main import COMMANDS, main
from syncer.errors import GaveUp, SnapshotMismatch
from syncer.version import VERSION

NO_SECRETS = "a secret is never taken from the command line: set TWILIO_AUTH_TOKEN, or name a file in [[accounts]]"


def command_that_raises(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """`syncer check` ends with this error."""

    def run(_args: argparse.Namespace) -> int:
        raise error

    monkeypatch.setattr(check, "run", run)


@pytest.mark.parametrize("flag", ["--help", "--version"])
def test_help_and_version_load_nothing_heavy(flag: str) -> None:
    code = (
        "import sys\nfrom syncer.commands.main import COMMANDS, main\n"
        f"try:\n    main([{flag!r}])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "heavy = {'aiohttp', 'asyncio', 'pyarrow', 'rich', 'orjson', 'shtab', 'sqlite3'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    if flag == "--version":
        assert done.stdout == f"syncer {VERSION}\n"


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        ([], "the following arguments are required: COMMAND; see syncer --help"),
        (["exprot"], "there is no command 'exprot' (did you mean export?); see syncer --help"),
        (["zzz"], f"there is no command 'zzz': there are {', '.join(COMMANDS)}; see syncer --help"),
        (
            ["export", "--page-sise", "3"],
            "syncer export has no option --page-sise (did you mean --page-size?); see syncer export --help",
        ),
        (
            ["export", "--page", "3"],
            "syncer export has no option --page (did you mean --page-size?); see syncer export --help",
        ),
        (["export", "--token-kind", "key"], f"syncer export has no option --token-kind; {NO_SECRETS}"),
        (["--confg", "x", "export"], "syncer has no option --confg (did you mean --config?); see syncer --help"),
        (
            ["--json", "snapshots"],
            "syncer has no option --json before the command: it stands after it; see syncer --help",
        ),
        (["check", "now"], "syncer check does not know what to do with 'now'; see syncer check --help"),
        (
            ["completion", "bsh"],
            "shell = 'bsh': expected one of bash, zsh, tcsh, fish (did you mean bash?); see syncer completion --help",
        ),
        (
            ["export", "--progress", "sometimes"],
            "--progress = 'sometimes': expected one of auto, always, never; see syncer export --help",
        ),
        (["verify", "--account"], "argument --account: expected one argument; see syncer verify --help"),
    ],
)
def test_wrong_usage_is_one_sentence_with_a_suggestion(
    argv: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 2
    out, errors = capsys.readouterr()
    assert out == ""
    assert errors == f"syncer: error: {told}\n"


@pytest.mark.parametrize(
    "argv", [["--auth-token", "hunter2"], ["--auth-token=hunter2"], ["-phunter2"], ["--zzz", "hunter2"]]
)
def test_the_value_of_an_unknown_option_is_not_repeated(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for place in (["export", *argv], [*argv, "export"]):
        assert main(place) == 2
        out, errors = capsys.readouterr()
        assert "hunter2" not in out + errors
        assert "has no option" in errors


def test_settings_and_log_options_stand_before_or_after_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    for argv in (["--config", "none.toml", "snapshots"], ["snapshots", "--config", "none.toml"]):
        assert main(argv) == 2
        told = "syncer: error: the config file none.toml cannot be read: No such file or directory\n"
        assert capsys.readouterr().err == told
    for argv in (["--log-format", "json", "snapshots"], ["snapshots", "--log-format=json"]):
        assert main([*argv, "--destination", "none"]) == 2
        assert json.loads(capsys.readouterr().err) == {
            "level": "error",
            "exit_code": 2,
            "message": "the destination none is not there; check --destination",
        }


def test_errors_about_the_command_line_have_the_form_it_asks_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--log-format", "json", "exprot"]) == 2
    assert json.loads(capsys.readouterr().err)["exit_code"] == 2
    assert main(["--log-format"]) == 2
    assert capsys.readouterr().err.startswith("syncer: error: argument --log-format: expected one argument")


def test_our_errors_carry_their_exit_code_hint_and_request(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command_that_raises(monkeypatch, GaveUp("it gave up \x1b[2J", hint="run again", request_id="RQ1"))
    assert main(["check"]) == 4
    assert capsys.readouterr().err == "syncer: error: it gave up \\x1b[2J (request RQ1); run again\n"


def test_an_unexpected_failure_is_a_bug_with_its_traceback_in_the_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command_that_raises(monkeypatch, ZeroDivisionError("oh"))
    assert main(["check"]) == 1
    out, errors = capsys.readouterr()
    assert out == ""
    assert "ZeroDivisionError: oh" in errors
    assert errors.endswith("syncer: error: this is a bug in syncer: please report it with the lines above\n")


def test_of_several_failures_at_once_the_first_that_is_ours_speaks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = ExceptionGroup("", [ExceptionGroup("", [SnapshotMismatch("first")]), GaveUp("second")])
    command_that_raises(monkeypatch, ours)
    assert main(["check"]) == 8
    assert capsys.readouterr().err == "syncer: error: first\n"
    command_that_raises(monkeypatch, ExceptionGroup("", [GaveUp("ours"), ValueError("not ours")]))
    assert main(["check"]) == 1
    assert "ValueError: not ours" in capsys.readouterr().err


@pytest.mark.parametrize(("number", "code", "name"), [(2, 130, "SIGINT"), (15, 143, "SIGTERM")])
def test_an_interrupt_has_the_shells_exit_code(
    number: int, code: int, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command_that_raises(monkeypatch, Interrupted(number))
    assert main(["check"]) == code
    assert capsys.readouterr().err == f"syncer: error: interrupted by {name}\n"


def test_the_log_options_have_variables(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SYNCER_LOG_FORMAT", "json")
    assert main(["exprot"]) == 2
    assert json.loads(capsys.readouterr().err)["level"] == "error"
