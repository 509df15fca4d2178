"""What delete and erase share: the ids, a dry run, and somebody's agreement before what cannot be undone."""

from __future__ import annotations

import argparse
import select
import sys

from syncer.commands.by_id import add_id_arguments
from syncer.errors import UsageError
from syncer.logs import tell

_HEARING_SECONDS = 0.2


def add_change_arguments(parser: argparse.ArgumentParser, *, verb: str, dry_run: str) -> None:
    """Ids and the flags that go with a change; ``dry_run`` says what is printed instead, and what is left alone."""
    add_id_arguments(parser)
    parser.add_argument("--yes", action="store_true", help=f"{verb} without asking; needed when nobody can answer")
    parser.add_argument("--dry-run", action="store_true", help=dry_run)
    parser.add_argument("--json", action="store_true", help="print a report as JSON")


def confirm(args: argparse.Namespace, *, words: str, summary: str, unchanged: str) -> None:
    """Raises UsageError unless ``--yes`` was given or somebody typed the ``words``, which name number and account.

    ``summary`` says what is to happen, ``unchanged`` what has not happened when nobody agrees.
    """
    if args.yes:
        return
    if not sys.stdin.isatty() or args.ids_file == "-":
        raise UsageError(f"nobody confirmed this and {unchanged}: {summary}", hint="look at --dry-run, then add --yes")
    args.resumes = False  # an interruption from here leaves nothing to go on with
    tell(f"{summary}. This cannot be undone.\nType `{words}` to go on:")
    if _typed_line().strip() != words:
        raise UsageError(f"this was not the confirmation, and {unchanged}", hint="run again")
    args.resumes = True


def _typed_line() -> str:
    """What somebody types. A signal that comes just before a read begins, or to another thread, does not end the read:
    Python would hear of it with the next line."""
    while not select.select([sys.stdin], [], [], _HEARING_SECONDS)[0]:
        pass
    return sys.stdin.readline()
