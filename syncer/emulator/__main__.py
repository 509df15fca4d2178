"""Runs the emulator as `python -m syncer.emulator`. Prints the base URL first, then nothing."""

import argparse
import sys

from syncer.emulator.options import add_arguments, options_from
from syncer.emulator.run import run


def main() -> int:
    """Parse the arguments and serve until a signal; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m syncer.emulator", description="A local stand-in for the API.")
    add_arguments(parser)
    namespace = parser.parse_args()
    try:
        options = options_from(namespace)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    return run(options)


if __name__ == "__main__":
    sys.exit(main())
