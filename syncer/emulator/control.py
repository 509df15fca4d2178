"""The emulator's own endpoints, outside the API's namespace: what it saw, what is true, what happens next.
Unauthenticated, and therefore for callers on the loopback interface only.
"""

import ipaddress
from collections.abc import Iterator
from itertools import islice

import orjson
from aiohttp import web

from syncer.emulator.faults import Faults, Queued, parse_fault
from syncer.emulator.journal import Journal
from syncer.emulator.service import Service

CONTROL_PREFIX = "/emulator/"
_NDJSON = "application/x-ndjson"
_OPERATIONS = (None, "list", "fetch", "delete")


class Control:
    """Answers the requests below `/emulator/`."""

    def __init__(self, service: Service, journal: Journal, faults: Faults) -> None:
        self._service = service
        self._journal = journal
        self._faults = faults

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one control request: 200, 400 with a sentence, 403 from elsewhere, 404."""
        if not _is_loopback(request.remote):
            return _json({"error": "control endpoints answer on the loopback interface only"}, 403)
        what = (request.method, request.path[len(CONTROL_PREFIX) :])
        if what == ("GET", "stats"):
            return _json(self._journal.stats())
        if what == ("GET", "log"):
            return await _stream(request, self._journal.lines())
        if what == ("GET", "truth"):
            self._service.settle()
            return await _stream(request, (row + b"\n" for row in self._service.users.all()))
        if what in (("POST", "changes"), ("POST", "faults")):
            try:
                wanted = orjson.loads(await request.read())
                return _json(self._change(wanted) if what[1] == "changes" else self._queue(wanted))
            except (ValueError, TypeError, KeyError, AttributeError) as bad:
                return _json({"error": f"cannot read the request: {bad}"}, 400)
        return _json({"error": "unknown control endpoint"}, 404)

    def _change(self, wanted: dict[str, object]) -> dict[str, object]:
        """`{"create": N, "delete": [ids] or N, "update": [ids] or N}`: the ids that were changed, by kind."""
        users = self._service.users
        created = users.create(_whole(wanted.get("create", 0)))
        deleted = [one for one in self._ids(wanted.get("delete", [])) if users.delete(one)]
        updated = [one for one in self._ids(wanted.get("update", [])) if users.update(one)]
        return {"created": created, "deleted": deleted, "updated": updated, "users": len(users)}

    def _ids(self, wanted: object) -> Iterator[str]:
        if isinstance(wanted, list):
            yield from (str(one) for one in wanted)
            return
        for _ in range(_whole(wanted)):
            yield self._service.users.some_id() or ""

    def _queue(self, wanted: dict[str, object]) -> dict[str, object]:
        """`{"clear": true, "faults": [{"kind": "503:2", "count": 1, "at": 17, "operation": "list"}]}`."""
        faults = wanted.get("faults", [])
        if not isinstance(faults, list):
            raise TypeError("faults is a list")
        queued = [_queued(one) for one in faults]
        if wanted.get("clear"):
            self._faults.clear()
        self._faults.queue(queued)
        return {"waiting": len(self._faults)}


def _queued(wanted: dict[str, object]) -> Queued:
    at, operation = wanted.get("at"), wanted.get("operation")
    if operation not in _OPERATIONS:
        raise ValueError("operation is list, fetch or delete")
    return Queued(
        parse_fault(str(wanted["kind"])),
        _whole(wanted.get("count", 1)),
        None if at is None else _whole(at),
        None if operation is None else str(operation),
    )


def _whole(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError("counts and numbers are whole and not negative")
    return value


def _is_loopback(remote: str | None) -> bool:
    return remote is not None and ipaddress.ip_address(remote.partition("%")[0]).is_loopback


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(value), content_type="application/json")


async def _stream(request: web.BaseRequest, lines: Iterator[bytes]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": _NDJSON})
    await response.prepare(request)
    while chunk := b"".join(islice(lines, 1000)):
        await response.write(chunk)
    await response.write_eof()
    return response
