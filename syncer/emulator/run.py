"""The emulator as a process: prints its base URL, serves until SIGINT or SIGTERM, ends with the shell's code for it.
Knows nothing of arguments.
"""

import asyncio
import os
import signal
import sys

from syncer.emulator.options import Options
from syncer.emulator.server import running


def run(options: Options) -> int:
    """Serve until a signal: 130 after SIGINT, 143 after SIGTERM, 2 if the address or the log file cannot be used."""
    try:
        return asyncio.run(_run(options))
    except OSError as error:
        what = f"write {error.filename}" if error.filename else f"listen on {options.host} port {options.port}"
        print(f"syncer: error: the emulator cannot {what}: {_reason(error)}", file=sys.stderr)
        return 2


def _reason(error: OSError) -> str:
    if error.errno is None or error.errno < 0:  # a name that is not found has a number of another kind
        return str(error.strerror or error).lower()
    return os.strerror(error.errno).lower()


async def _run(options: Options) -> int:
    loop = asyncio.get_running_loop()
    stopped: asyncio.Future[int] = loop.create_future()

    def stop(number: int) -> None:
        if not stopped.done():
            stopped.set_result(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    async with running(options) as emulator:
        print(emulator.url, flush=True)
        return await stopped
