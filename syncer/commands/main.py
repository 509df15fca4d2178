"""The command line: finds the command, runs it, and turns whatever comes back into one sentence and an exit code.

Imports no command's machinery: `syncer --help` loads nothing but the standard library.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import sys
from collections.abc import Sequence

from syncer.commands.interrupts import Interrupted, interruptible
from syncer.commands.usage import Parser, parse
from syncer.errors import SyncerError
from syncer.logs import FORMATS, LEVELS, set_up_logging
from syncer.terminal import write_error
from syncer.version import VERSION

_OF_SNAPSHOTS = ("export", "snapshots", "verify", "prove", "diff", "load", "prune")
_OF_USERS = ("fetch", "delete", "erase")
COMMANDS = (*_OF_SNAPSHOTS, *_OF_USERS, "keygen", "check", "emulator", "completion")
"""Each is a module of this room by the same name."""
_BUG = "this is a bug in syncer: please report it with the lines above"
_log = logging.getLogger("syncer")

DESCRIPTION = "Export every push-notification user of an account as an immutable snapshot that is proven complete."
EXIT_CODES = """\
exit codes:
  0 done                        5 data refused, nothing published
  1 a bug in syncer             6 storage failed, progress is kept
  2 wrong usage or settings     7 another run of this account is at work
  3 credentials refused         8 a snapshot does not match its manifest
  4 gave up, progress is kept   9 partly done: some accounts or ids failed
  130, 143 interrupted, progress is kept
"""


def build_parser(commands: Sequence[str] = COMMANDS) -> argparse.ArgumentParser:
    """The whole command line, or some of its commands."""
    parser = Parser(
        prog="syncer",
        description=DESCRIPTION,
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"syncer {VERSION}")
    _add_global_options(parser, is_main=True)
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    for command in commands:
        module = importlib.import_module(f"syncer.commands.{command}")
        _add_global_options(module.add_parser(subparsers), is_main=False)
    return parser


def main(argv: Sequence[str]) -> int:
    """Run one command; the exit code. Never raises, but SystemExit for --help and --version."""
    log_format, level = _logging_choice(argv)
    set_up_logging(log_format, level)
    args = argparse.Namespace()
    try:
        parse(build_parser(_named_by(argv)), argv, args)
        with interruptible():
            code: int = args.run(args)
        return code
    except SyncerError as error:
        return _told(str(error), error.exit_code, log_format)
    except Interrupted as error:
        kept = "; progress is kept, run again to resume" if getattr(args, "resumes", False) else ""
        return _told(f"interrupted by {error}{kept}", error.exit_code, log_format)
    except BaseExceptionGroup as group:
        return _told_of_group(group, log_format)
    except Exception:
        _log.exception("unexpected failure")
        return _told(_BUG, 1, log_format)


def _named_by(argv: Sequence[str]) -> Sequence[str]:
    """The command in the first place; all where none stands there. The others' options cost 0.02 s."""
    return argv[:1] if argv and argv[0] in COMMANDS else COMMANDS


def _told_of_group(group: BaseExceptionGroup[BaseException], log_format: str) -> int:
    """Several things failed at once: the first failure that a person can act on speaks for all."""
    known, unknown = group.split(SyncerError)
    if unknown is None and known is not None:
        error = _first_leaf(known)
        return _told(str(error), getattr(error, "exit_code", 1), log_format)
    _log.error("unexpected failure", exc_info=group)
    return _told(_BUG, 1, log_format)


def _first_leaf(error: BaseException) -> BaseException:
    return _first_leaf(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


def _told(sentence: str, exit_code: int, log_format: str) -> int:
    if log_format == "json":
        write_error(json.dumps({"level": "error", "exit_code": exit_code, "message": sentence}))
    else:
        write_error(f"syncer: error: {sentence}")
    return exit_code


def _add_global_options(parser: argparse.ArgumentParser, *, is_main: bool) -> None:
    """The same options before and after the command; after it, silence must not undo what was said before it."""
    default = None if is_main else argparse.SUPPRESS
    group = parser.add_argument_group("settings and logs")
    group.add_argument("--config", metavar="FILE", default=default, help="default: $SYNCER_CONFIG, else ./config.toml")
    group.add_argument("--log-format", choices=FORMATS, default=default, help="form of the log (default: text)")
    group.add_argument("--log-level", choices=LEVELS, default=default, help="least level logged (default: info)")


def _logging_choice(argv: Sequence[str]) -> tuple[str, str]:
    """How to log, known before the command line is judged, so that errors about it have the right form too."""
    quick = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    quick.add_argument("--log-format", default=os.environ.get("SYNCER_LOG_FORMAT"))
    quick.add_argument("--log-level", default=os.environ.get("SYNCER_LOG_LEVEL"))
    try:
        known, _ = quick.parse_known_args(argv)
    except argparse.ArgumentError:
        return "text", "info"
    log_format = known.log_format if known.log_format in FORMATS else "text"
    return log_format, known.log_level if known.log_level in LEVELS else "info"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
