"""`python -m syncer` and the `syncer` command."""

from __future__ import annotations

import atexit
import resource
import signal
import sys


def main() -> None:
    """Run the command line; leaves by SystemExit."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(
            signal.SIGINT, signal.SIG_DFL
        )  # until a command takes it: no traceback from the middle of an import
    from syncer.terminal import prepare_streams

    prepare_streams()
    # A core dump would hold the secrets.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    from syncer.commands.main import main as run_main

    atexit.register(_ignore_signals)
    sys.exit(run_main(sys.argv[1:]))


def _ignore_signals() -> None:
    """The work is over, and so are its threads: while the interpreter is taken down the exit code stands."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    main()
