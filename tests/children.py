"""Work in a child process that may be killed, or that may kill itself. For parents that have started no threads."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable


def in_child(work: Callable[[], None], kill_after_seconds: float | None = None) -> int:
    """Run it in a process of its own; the signal that killed it, 0 when it came through, less for a failure."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    if kill_after_seconds is not None:
        time.sleep(kill_after_seconds)
        os.kill(pid, signal.SIGKILL)  # a child that has ended by itself is still there to be waited for
    return -os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
