"""Arguments to options."""

import argparse
from dataclasses import fields
from pathlib import Path

import pytest

from syncer.emulator.faults import KINDS, Fault
from syncer.emulator.options import CREDENTIALS_VARIABLE, Options, add_arguments, options_from, read_credentials


@pytest.fixture(autouse=True)
def _no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CREDENTIALS_VARIABLE, raising=False)


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(arguments)


def test_no_arguments_are_the_defaults() -> None:
    assert options_from(parse()) == Options()


def test_every_option_has_a_flag() -> None:
    names = {one.name for one in fields(Options)} - {"credentials"}
    assert names <= set(vars(parse()))


def test_the_guide_names_every_flag_and_fault() -> None:
    guide = (Path(__file__).parent.parent / "docs" / "emulator.md").read_text(encoding="utf-8")
    parser = argparse.ArgumentParser(add_help=False)
    add_arguments(parser)
    flags = [flag for action in parser._actions for flag in action.option_strings]
    assert [name for name in (*flags, *sorted(KINDS)) if f"`{name}" not in guide] == []


def test_arguments_are_taken_over() -> None:
    given = parse(
        *("--users", "100_000_000", "--order", "newest", "--token-ttl", "2.5", "--rate", "20", "--burst", "3"),
        *("--fault", "503:2=0.1", "--fault", "reset=1", "--retry-after", "1.5", "--offsets", "--second-delete", "404"),
        *("--short-pages", "0.5"),
    )
    assert options_from(given) == Options(
        users=100_000_000,
        order="newest",
        token_ttl=2.5,
        rate=20.0,
        burst=3,
        fault=((Fault("503", "2"), 0.1), (Fault("reset"), 1.0)),
        retry_after="1.5",
        offsets=True,
        second_delete=404,
        short_pages=0.5,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("--users", "-1"),
        ("--users", "many"),
        ("--port", "70000"),
        ("--rate", "0"),
        ("--latency", "x"),
        ("--latency", "inf"),
        ("--short-pages", "1.5"),
        ("--retry-after", "soon"),
        ("--fault", "nothing=1"),
        ("--order", "best"),
    ],
)
def test_wrong_arguments_are_refused(arguments: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(*arguments)
    assert caught.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_credentials_come_from_a_file_and_the_variable_and_are_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CREDENTIALS_VARIABLE, "AC1:one")
    path = tmp_path / "credentials"
    path.write_text("SK2:t:wo\n\nAC3:three\n")
    options = options_from(parse("--credentials-file", str(path)))
    assert options.credentials == (("AC1", "one"), ("SK2", "t:wo"), ("AC3", "three"))
    assert "three" not in repr(options)


def test_a_pair_without_a_secret_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "credentials"
    path.write_text("AC1:\n")
    with pytest.raises(ValueError, match="user:secret"):
        read_credentials(str(path))
