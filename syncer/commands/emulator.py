"""`syncer emulator`: a local stand-in for the API. Knows nothing of the rest; loads the server only when it runs."""

import argparse
import sys

from syncer.emulator.options import add_arguments, options_from


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "emulator",
        help="a local stand-in for the API",
        description="Serve a made-up account on this machine. The first line on standard output is the base URL.",
    )
    add_arguments(parser)
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Serve until a signal; the exit code."""
    from syncer.emulator.run import run as run_emulator

    try:
        options = options_from(args)
    except (OSError, ValueError) as error:
        print(f"syncer: error: the emulator's credentials cannot be read: {error}", file=sys.stderr)
        return 2
    return run_emulator(options)
