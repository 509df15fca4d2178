"""Page files served with a latency, and with a rate limit if wanted: what nginx cannot do. A process of its own.

    python slow_server.py PAGES_FOLDER LATENCY_SECONDS REQUESTS_A_SECOND STATISTICS_FILE

Prints its port. On SIGTERM it writes what it counted. A rate of 0 is no limit; the limit's burst is 5, as a service
would allow, and a refused request gets 429 with Retry-After: 1.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

BURST = 5.0
RETRY_AFTER_SECONDS = 1


class Pages:
    """The answers, and what was asked."""

    def __init__(self, folder: Path, latency_seconds: float, rate: float) -> None:
        self._folder = folder
        self._latency_seconds = latency_seconds
        self._rate = rate
        self._tokens, self._filled_at = BURST, 0.0
        self._closed_until = 0.0
        self.requests = self.refused = self.inside_window = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                due = asyncio.get_running_loop().time() + self._latency_seconds
                answer = self._answer(head.split(b" ", 2)[1].decode())
                await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def _answer(self, target: str) -> bytes:
        self.requests += 1
        if not self._allowed():
            self.refused += 1
            return (
                b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: %d\r\nContent-Length: 2\r\n\r\n{}"
                % RETRY_AFTER_SECONDS
            )
        token = parse_qs(urlsplit(target).query).get("pageToken", ["first"])[0]
        body = (self._folder / f"{token}.json").read_bytes()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body

    def _allowed(self) -> bool:
        if not self._rate:
            return True
        now = asyncio.get_running_loop().time()
        self.inside_window += now < self._closed_until
        self._tokens = min(BURST, self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now
        if self._tokens < 1:
            self._closed_until = now + RETRY_AFTER_SECONDS
            return False
        self._tokens -= 1
        return True


async def main(folder: str, latency_seconds: str, rate: str, statistics_file: str) -> None:
    """Serve until SIGTERM."""
    pages = Pages(Path(folder), float(latency_seconds), float(rate))
    server = await asyncio.start_server(pages.serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    counted = {"requests": pages.requests, "refused": pages.refused, "inside_window": pages.inside_window}
    Path(statistics_file).write_text(json.dumps(counted))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
