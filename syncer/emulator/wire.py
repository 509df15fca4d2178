"""Puts an answer on the wire, whole or broken as a fault wants it. The only place that touches the transport.
Everything endless here stops when the client leaves: the server cancels the handler then.
"""

import asyncio
import zlib

from aiohttp import hdrs, web

from syncer.emulator.answers import Answer
from syncer.emulator.faults import Fault
from syncer.emulator.frames import BROKEN_FRAMES, gzipped, head_of

_MEBIBYTE = 1 << 20
_STALL_SECONDS = 3600.0
_DRIPPED_HEADERS = 1000
"""More than any client reads."""


async def send(
    request: web.BaseRequest, answer: Answer, fault: Fault | None, compress: bool
) -> tuple[web.StreamResponse, int]:
    """Send an answer; the response and the bytes of its body that were sent, 0 if the client was gone."""
    kind = fault.kind if fault is not None else ""
    try:
        if fault is not None and kind in _BROKEN:
            return await _BROKEN[kind](request, answer, fault)
        return await _whole(request, answer, compress)
    except ConnectionError:
        return await _over(request, 0)


async def _whole(request: web.BaseRequest, answer: Answer, compress: bool) -> tuple[web.StreamResponse, int]:
    headers = dict(answer.headers)
    body = answer.body
    accepted = "gzip" in request.headers.get("Accept-Encoding", "")
    if compress and accepted and body and hdrs.CONTENT_ENCODING not in headers:
        body = gzipped(body)
        headers[hdrs.CONTENT_ENCODING] = "gzip"
    if answer.content_type is not None:
        headers[hdrs.CONTENT_TYPE] = answer.content_type
    response = web.Response(status=answer.status, body=body, headers=headers)
    if answer.content_type is None:
        response.headers.popall(hdrs.CONTENT_TYPE, None)
    await response.prepare(request)
    await response.write_eof()
    return response, len(body)


async def _write(request: web.BaseRequest, data: bytes) -> None:
    transport = request.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError
    transport.write(data)
    # aiohttp has no public way to wait for a transport that is written by hand.
    await request.protocol._drain_helper()


async def _over(request: web.BaseRequest, sent: int) -> tuple[web.StreamResponse, int]:
    """Close the connection after what was written, and give aiohttp a response that counts as sent."""
    if request.transport is not None:
        request.transport.close()
    return _Sent(), sent


class _Sent(web.Response):
    """A response that was already written by hand."""

    async def prepare(self, request: web.BaseRequest) -> None:
        """Nothing is left to write."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to write."""


async def _reset(request: web.BaseRequest, _answer: Answer, _fault: Fault) -> tuple[web.StreamResponse, int]:
    return await _over(request, 0)


async def _framed(request: web.BaseRequest, answer: Answer, fault: Fault) -> tuple[web.StreamResponse, int]:
    head, rest = BROKEN_FRAMES[fault.kind](answer, fault)
    await _write(request, head + rest)
    return await _over(request, len(rest))


async def _drip(request: web.BaseRequest, answer: Answer, fault: Fault) -> tuple[web.StreamResponse, int]:
    await _write(request, head_of(answer, f"Content-Length: {len(answer.body)}", "Connection: close"))
    for at in range(len(answer.body)):
        await _write(request, answer.body[at : at + 1])
        await asyncio.sleep(fault.number(0.3))
    return await _over(request, len(answer.body))


async def _drip_head(request: web.BaseRequest, answer: Answer, fault: Fault) -> tuple[web.StreamResponse, int]:
    await _write(request, head_of(answer)[:-2])
    for number in range(_DRIPPED_HEADERS):
        await _write(request, b"X-%d: drip\r\n" % number)
        await asyncio.sleep(fault.number(0.3))
    return await _over(request, 0)


async def _stall(request: web.BaseRequest, _answer: Answer, fault: Fault) -> tuple[web.StreamResponse, int]:
    await asyncio.sleep(fault.number(_STALL_SECONDS))
    return await _over(request, 0)


async def _stall_body(request: web.BaseRequest, answer: Answer, fault: Fault) -> tuple[web.StreamResponse, int]:
    part = answer.body[: len(answer.body) // 2]
    await _write(request, head_of(answer, f"Content-Length: {len(answer.body)}") + part)
    await asyncio.sleep(fault.number(_STALL_SECONDS))
    return await _over(request, len(part))


async def _huge(request: web.BaseRequest, answer: Answer, fault: Fault) -> tuple[web.StreamResponse, int]:
    await _write(request, head_of(answer, "Connection: close") + answer.body[:1])
    sent, blank = 1, b" " * 65_536
    while sent < fault.number(10 * 1024) * _MEBIBYTE:
        await _write(request, blank)
        sent += len(blank)
    return await _over(request, sent)


async def _bomb(request: web.BaseRequest, answer: Answer, fault: Fault) -> tuple[web.StreamResponse, int]:
    # After a full flush the compressor's state is that of a new one: the same piece can be sent again and again.
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    first = packer.compress(b" " * _MEBIBYTE) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(b" " * _MEBIBYTE) + packer.flush(zlib.Z_FULL_FLUSH)
    await _write(request, head_of(answer, "Content-Encoding: gzip", "Connection: close") + first)
    sent = len(first)
    for _ in range(int(fault.number(1024)) - 1):
        await _write(request, again)
        sent += len(again)
    return await _over(request, sent)


async def _redirect(request: web.BaseRequest, answer: Answer, fault: Fault) -> tuple[web.StreamResponse, int]:
    port = (request.transport.get_extra_info("sockname") if request.transport else (None, 0))[1]
    # Another host name is another origin, although it leads back here.
    target = fault.argument or f"http://localhost:{port}{request.path_qs}"
    return await _whole(request, Answer(302, b"", None, {**answer.headers, "Location": target}), compress=False)


_BROKEN = {
    "reset": _reset,
    **dict.fromkeys(BROKEN_FRAMES, _framed),
    "drip": _drip,
    "drip-head": _drip_head,
    "stall": _stall,
    "stall-body": _stall_body,
    "huge": _huge,
    "bomb": _bomb,
    "redirect": _redirect,
}
