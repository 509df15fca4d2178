"""The documents say what the program does: help texts, options, flags and exit codes are compared word for word."""

from __future__ import annotations

import argparse
import re
import tomllib
from pathlib import Path

import pytest

from syncer import errors
from syncer.commands.main import build_parser
from syncer.config import load_settings
from syncer.options import OPTIONS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
HELP = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
EXAMPLE = (ROOT / "config.example.toml").read_text(encoding="utf-8")
SID = "AC" + "0" * 32
ENVIRONMENT = {"TWILIO_ACCOUNT_SID": SID, "TWILIO_AUTH_TOKEN": "t0ken"}

FLAGS = {
    "export": {
        *(
            "--base-url",
            "--destination",
            "--state-dir",
            "--format",
            "--page-size",
            "--concurrency",
            "--rate",
            "--fresh",
        ),
        *("--sequential", "--deadline", "--json", "--progress", "--allow-shrink"),
    },
    "snapshots": {"--destination", "--account", "--json"},
    "verify": {"--destination", "--account", "--json", "--all", "--trusted-keys"},
    "prove": {"--destination", "--account", "--check", "--manifest", "--trusted-keys"},
    "keygen": set(),
    "prune": {
        *("--destination", "--account", "--json", "--dry-run", "--grace", "--keep-within"),
        *("--keep-last", "--keep-daily", "--keep-weekly", "--keep-monthly", "--keep-yearly"),
    },
    "diff": {"--destination", "--account", "--json", "--output"},
    "fetch": {"--ids-file", "--from", "--output", "--base-url", "--state-dir", "--concurrency", "--rate", "--json"},
    "delete": {
        "--ids-file",
        "--yes",
        "--dry-run",
        "--max",
        "--receipts",
        "--wait",
        "--base-url",
        "--state-dir",
        "--json",
    },
    "erase": {"--ids-file", "--yes", "--dry-run", "--destination", "--account", "--json"},
    "emulator": {"--host", "--port", "--users", "--seed"},
    "check": set(),
    "completion": set(),
}
"""What checkers outside the project call."""


def commands() -> dict[str, argparse.ArgumentParser]:
    parsers = [a.choices for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction)]
    return dict(parsers[0])


def test_every_fixed_command_and_flag_exists() -> None:
    found = commands()
    assert set(FLAGS) <= set(found)
    for name, flags in FLAGS.items():
        assert flags | {"--config", "--log-format", "--log-level"} <= set(found[name]._option_string_actions), name


@pytest.mark.parametrize("name", ["", *commands()])
def test_the_help_in_the_documents_is_the_programs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    parser, document = (commands()[name], HELP) if name else (build_parser(), README)
    block = re.search(rf"```\n\$ {parser.prog} --help\n(.*?)```", document, re.S)
    assert block is not None, f"there is no block for {parser.prog} --help: run `make readme`"
    assert block[1].split() == parser.format_help().split()  # lines break elsewhere in other versions of Python


def test_the_example_configuration_is_the_defaults_and_names_every_option() -> None:
    path = ROOT / "config.example.toml"
    assert load_settings({}, ENVIRONMENT, path) == load_settings({}, ENVIRONMENT, None)
    for option in OPTIONS:
        assert re.search(rf"^#?{option.name} = ", EXAMPLE, re.M), option.key


def test_the_examples_commented_lines_are_right_too(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    secret.chmod(0o600)
    text = re.sub(r"^#(?=[\[a-z])", "", EXAMPLE, flags=re.M).replace("/etc/syncer/api_secret", str(secret))
    # Tables end where the next begins: options that stand before the first table must come first.
    assert set(tomllib.loads(text)) == {o.key.partition(".")[0] for o in OPTIONS} | {"accounts"}
    path = tmp_path / "config.toml"
    path.write_text(text)
    settings = load_settings({}, {"MAIN_TOKEN": "t0ken"}, path)
    assert [account.credentials.user[:2] for account in settings.accounts] == ["AC", "SK"]


def test_every_option_is_in_the_readme_or_the_example_and_every_exit_code_in_the_readme() -> None:
    codes = {c.exit_code for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.SyncerError)}
    listed = {int(code) for code in re.findall(r"^\| (\d+)", README, re.M)}
    assert codes | {0, 130} <= listed


def test_links_between_documents_lead_somewhere() -> None:
    for document in [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name}: {target}"
