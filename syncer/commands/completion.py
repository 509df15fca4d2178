"""`syncer completion`: a script that lets a shell complete commands and options."""

from __future__ import annotations

import argparse

from syncer.commands.settings import Subparsers
from syncer.terminal import write_out

SHELLS = ("bash", "zsh", "tcsh", "fish")


def add_parser(subparsers: Subparsers[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "completion",
        help="print a script for the shell's completion",
        description='Print a completion script, for example: eval "$(syncer completion bash)"',
    )
    parser.add_argument("shell", choices=SHELLS, help="the shell to complete in")
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    import shtab

    from syncer.commands.main import build_parser

    write_out(shtab.complete(build_parser(), shell=args.shell).rstrip("\n") + "\n")
    return 0
