"""Wrong usage of the command line, as one sentence that repeats no value of an option: it may be a secret."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import NoReturn

from syncer.errors import UsageError
from syncer.load.target import without_login
from syncer.suggestions import closest_name

_OF_SECRETS = re.compile("token|secret|password|api-key", re.IGNORECASE)
_SECRET_HINT = "a secret is never taken from the command line: set TWILIO_AUTH_TOKEN, or name a file in [[accounts]]"


class Parser(argparse.ArgumentParser):
    """Its errors become ours, and a wrong name gets a suggestion."""

    def __init__(self, *args: object, **options: object) -> None:
        options.setdefault("allow_abbrev", False)  # an abbreviation of today is ambiguous tomorrow
        super().__init__(*args, **options)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        # What was typed may be a URI with a login.
        raise UsageError(without_login(_in_our_words(message)), hint=f"see {self.prog} --help")


def parse(parser: argparse.ArgumentParser, argv: Sequence[str], args: argparse.Namespace) -> None:
    """Fill ``args``. Raises UsageError; SystemExit for --help and --version."""
    _refuse_unknown_before_command(parser, argv)
    _, extras = parser.parse_known_args(argv, args)
    if extras:
        command = _commands(parser)[args.command]
        options = [extra for extra in extras if extra.startswith("-")]
        raise _unknown_option(command, options[0]) if options else _one_too_many(command, extras[0])


def _refuse_unknown_before_command(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    """Else its value would be taken for the command, and be what the error is about."""
    tokens = iter(argv)
    for token in tokens:
        if not token.startswith("-") or token == "--":
            return
        name, equals, _ = token.partition("=")
        action = parser._option_string_actions.get(name)
        if action is None:
            raise _unknown_option(parser, token)
        if action.nargs != 0 and not equals:
            next(tokens, None)


def _unknown_option(parser: argparse.ArgumentParser, given: str) -> UsageError:
    name = given.partition("=")[0] if given.startswith("--") else given[:2]
    message = f"{parser.prog} has no option {name}"
    meant = closest_name(name, parser._option_string_actions)
    if meant:
        message += f" (did you mean {meant}?)"
    elif any(name in command._option_string_actions for command in _commands(parser).values()):
        message += " before the command: it stands after it"
    return UsageError(message, hint=_SECRET_HINT if _OF_SECRETS.search(name) else f"see {parser.prog} --help")


def _one_too_many(parser: argparse.ArgumentParser, given: str) -> UsageError:
    shown = without_login(ascii(given[:40]))
    return UsageError(f"{parser.prog} does not know what to do with {shown}", hint=f"see {parser.prog} --help")


def _in_our_words(message: str) -> str:
    """argparse's message; for a wrong choice what was expected, and the name that was most likely meant."""
    wrong = re.search(r"argument (\S+): invalid choice: (.*) \(choose from (.*)\)", message, re.DOTALL)
    if wrong is None:
        return message
    known = re.findall(r"[\w-]+", wrong[3])
    meant = closest_name(wrong[2].strip("'\""), known)
    guess = f" (did you mean {meant}?)" if meant else ""
    if wrong[1] == "COMMAND":
        return f"there is no command {wrong[2]}{guess or ': there are ' + ', '.join(known)}"
    return f"{wrong[1]} = {wrong[2]}: expected one of {', '.join(known)}{guess}"


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    actions = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return {name: command for action in actions for name, command in action.choices.items()}
