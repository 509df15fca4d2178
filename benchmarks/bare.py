"""What a page costs a client that does nothing but read it: the slow server's own share of a wall time."""

from __future__ import annotations

import re
import socket
import time
from urllib.parse import urlsplit

PAGES = 50
_NEXT = re.compile(rb'"next":"([^"]+)"')


def seconds_a_page(url: str, pages: int = PAGES) -> float:
    """Walk the first pages over one connection, the next token taken from the tail; the mean."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 80)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        query, started = "pageSize=1000", time.perf_counter()
        for _ in range(pages):
            target = f"{parts.path}/PushNotifications/Users?{query}"
            connection.sendall(f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
            found = _NEXT.search(_read_body(connection)[-2048:])
            query = f"pageSize=1000&pageToken={found[1].decode()}" if found else "pageSize=1000"
        return (time.perf_counter() - started) / pages


def _read_body(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += _some(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r")[0])
    pieces, left = [body], length - len(body)
    while left > 0:
        pieces.append(_some(connection))
        left -= len(pieces[-1])
    return b"".join(pieces)


def _some(connection: socket.socket) -> bytes:
    data = connection.recv(1 << 18)
    if not data:
        raise ConnectionError("the slow server closed the connection")
    return data
