"""Answers whose framing is broken, as bytes: what is sent before the connection closes.
Pure: no I/O.
"""

import zlib
from collections.abc import Callable

from syncer.emulator.answers import Answer
from syncer.emulator.faults import Fault

LONG_HEADER_BYTES = 65_536
_GZIP_TRAILER_BYTES = 8


def gzipped(body: bytes) -> bytes:
    """The body as one gzip member."""
    return zlib.compress(body, 1, 31)


def head_of(answer: Answer, *more: str) -> bytes:
    """Status line and headers, with further lines at their end."""
    lines = [f"HTTP/1.1 {answer.status} Fault", f"Content-Type: {answer.content_type}"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    return "\r\n".join([*lines, *more, "", ""]).encode("latin-1")


def _cut(answer: Answer, fault: Fault) -> tuple[bytes, bytes]:
    return head_of(answer, f"Content-Length: {len(answer.body)}"), _part(answer.body, fault)


def _cut_chunked(answer: Answer, fault: Fault) -> tuple[bytes, bytes]:
    part = _part(answer.body, fault)
    return head_of(answer, "Transfer-Encoding: chunked"), b"%x\r\n%s\r\n" % (len(part), part)


def _cut_close(answer: Answer, fault: Fault) -> tuple[bytes, bytes]:
    return head_of(answer, "Connection: close"), _part(answer.body, fault)


def _gzip_cut(answer: Answer, fault: Fault) -> tuple[bytes, bytes]:
    return _framed_gzip(answer, _part(gzipped(answer.body), fault))


def _gzip_crc(answer: Answer, _fault: Fault) -> tuple[bytes, bytes]:
    return _framed_gzip(answer, gzipped(answer.body)[:-_GZIP_TRAILER_BYTES] + b"\0" * _GZIP_TRAILER_BYTES)


def _framed_gzip(answer: Answer, packed: bytes) -> tuple[bytes, bytes]:
    lines = ("Content-Encoding: gzip", f"Content-Length: {len(packed)}", "Connection: close")
    return head_of(answer, *lines), packed


def _two_lengths(answer: Answer, _fault: Fault) -> tuple[bytes, bytes]:
    length = len(answer.body)
    return head_of(answer, f"Content-Length: {length}", f"Content-Length: {length + 1}"), answer.body


def _length_and_chunked(answer: Answer, _fault: Fault) -> tuple[bytes, bytes]:
    body = answer.body
    head = head_of(answer, f"Content-Length: {len(body)}", "Transfer-Encoding: chunked")
    return head, b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


def _long_header(answer: Answer, _fault: Fault) -> tuple[bytes, bytes]:
    return head_of(answer, "X-Long: " + "x" * LONG_HEADER_BYTES, f"Content-Length: {len(answer.body)}"), answer.body


def _part(body: bytes, fault: Fault) -> bytes:
    """The beginning that is sent: the argument's bytes, else one half; never all of it."""
    return body[: max(0, min(int(fault.number(len(body) // 2)), len(body) - 1))]


BROKEN_FRAMES: dict[str, Callable[[Answer, Fault], tuple[bytes, bytes]]] = {
    "cut": _cut,
    "cut-chunked": _cut_chunked,
    "cut-close": _cut_close,
    "gzip-cut": _gzip_cut,
    "gzip-crc": _gzip_crc,
    "two-lengths": _two_lengths,
    "length-and-chunked": _length_and_chunked,
    "long-header": _long_header,
}
"""Head and what follows it, for each kind of fault."""
