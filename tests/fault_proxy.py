"""Stands between a client and a store's server and fails chosen requests: refused, cut, answered only after a while.

Knows HTTP/1.1 as far as the client and the servers of the tests need it.
"""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import urlsplit

Fault = Literal["pass", "cut", "lost", "hold"] | int
"""A status is answered instead; ``lost``: done, but answered by 503; ``hold``: not answered while the test lasts."""
Choose = Callable[[int, str, str], Fault]
"""What becomes of the n-th request, from 1, by its method and its path with the query."""


@dataclass
class FaultProxy:
    """A running proxy. ``choose`` may be replaced at any time; ``seen`` is what was asked of it."""

    endpoint: str
    choose: Choose = lambda number, method, path: "pass"
    seen: list[str] = field(default_factory=list)
    held: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    def reset(self, choose: Choose) -> None:
        """Count from 1 again."""
        self.seen.clear()
        self.choose = choose


@contextmanager
def fault_proxy(upstream: str) -> Iterator[FaultProxy]:
    """A proxy before ``upstream``, with the same path."""
    parts = urlsplit(upstream)
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16  # an answer in one packet: two of them wait for each other

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except (ConnectionError, TimeoutError):
                self.close_connection = True

        def relay(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            with lock:
                proxy.seen.append(f"{self.command} {self.path}")
                fault = proxy.choose(len(proxy.seen), self.command, self.path)
            if fault == "hold":
                proxy.held.set()
                proxy.ended.wait(60)
            if fault in ("hold", "cut"):
                self.close_connection = True
                return
            status, headers, answer = (fault, {}, b"") if isinstance(fault, int) else self.ask(body)
            self.send_response(503 if fault == "lost" else status)
            for name, value in headers.items():
                if name.lower() not in ("connection", "transfer-encoding", "content-length", "server", "date"):
                    self.send_header(name, value)
            self.send_header(
                "Content-Length", headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(answer))
            )
            self.end_headers()
            self.wfile.write(answer if self.command != "HEAD" else b"")

        def ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
            connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
            try:
                headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
                connection.request(self.command, self.path, body, headers)
                answer = connection.getresponse()
                return answer.status, dict(answer.getheaders()), answer.read()
            finally:
                connection.close()

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = relay

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        proxy = FaultProxy(f"http://127.0.0.1:{server.server_address[1]}{parts.path}")
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield proxy
        finally:
            proxy.ended.set()
            server.shutdown()
            thread.join(10)
