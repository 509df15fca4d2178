"""`python -m syncer` and the `syncer` command."""

from __future__ import annotations

import atexit
import os
import resource
import signal
import sys
import threading


def main() -> None:
    """Run the command line. Ends the process, by SystemExit where something is left for the interpreter to do."""
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
    code = run_main(sys.argv[1:])
    _end_quickly(code)
    sys.exit(code)


def _end_quickly(code: int) -> None:
    """End the process without freeing every object of every module first: the system takes all of it at once, for 1 %
    less of an export's processor time. Returns where a thread is still at work, or text cannot be written."""
    if any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()):
        return
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        return
    os._exit(code)


def _ignore_signals() -> None:
    """The work is over, and so are its threads: while the interpreter is taken down the exit code stands."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    main()
