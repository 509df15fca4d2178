"""The emulator on a socket: who may call, how often, how slowly; then the service's answer, broken if a fault says so.
Imports nothing of the rest of syncer. Logs no secret and no page token.
"""

import asyncio
import base64
import binascii
import contextlib
import hmac
import random
import time
from collections.abc import AsyncIterator, Iterator
from urllib.parse import unquote

import orjson
from aiohttp import web

from syncer.emulator.answers import Answer, error, in_form, refusal, retry_after
from syncer.emulator.control import CONTROL_PREFIX, Control
from syncer.emulator.faults import Fault, Faults
from syncer.emulator.journal import Entry, Journal
from syncer.emulator.limits import Limits
from syncer.emulator.options import Options
from syncer.emulator.service import USERS_PATH, Call, Service, users_of
from syncer.emulator.tokens import token_hash
from syncer.emulator.wire import send

_METHODS = {True: {"GET": "list"}, False: {"GET": "fetch", "DELETE": "delete"}}
_HTML_200 = b"<!doctype html><html><body><p>We will be back soon.</p></body></html>\n"


class Emulator:
    """One emulator. `url` is the base URL (it ends in `/v1`) and stands once `start` has returned."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.url = ""
        self.origin = ""
        self.journal = Journal(options.log_file)
        self.faults = Faults(options.seed, options.fault)
        self.service = Service(options, time.monotonic, time.time)
        self._control = Control(self.service, self.journal, self.faults)
        self._limits: dict[str, Limits] = {}
        self._random = random.Random(f"{options.seed}:server")
        self._runner: web.ServerRunner | None = None

    @property
    def log(self) -> list[Entry]:
        """The requests so far, oldest first."""
        return list(self.journal.entries)

    @property
    def stats(self) -> dict[str, object]:
        """The sums of the journal."""
        return self.journal.stats()

    async def start(self) -> None:
        """Listen. OSError if the address is taken."""
        self._runner = web.ServerRunner(
            web.Server(self._handle, handler_cancellation=True, access_log=None, keepalive_timeout=75.0),
            shutdown_timeout=0.2,
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.options.host, self.options.port, backlog=1024)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.origin = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        self.url = self.service.base_url = f"{self.origin}/v1"

    async def stop(self) -> None:
        """Close every connection; requests under way are cancelled."""
        if self._runner is not None:
            await self._runner.cleanup()
        self.journal.close()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        if path.startswith(CONTROL_PREFIX):
            return await self._control.handle(request)
        operation, user_id = route(request.method, request.rel_url.raw_path)
        request_id = f"RQ{self._random.getrandbits(128):032x}"
        entry = self.journal.begin(time.monotonic(), request.method, path, operation, request_id)
        try:
            return await self._serve(request, entry, operation, user_id)
        finally:
            self.journal.finish(entry, time.monotonic())

    async def _serve(
        self, request: web.BaseRequest, entry: Entry, operation: str, user_id: str | None
    ) -> web.StreamResponse:
        query = dict(request.query)
        entry.token = token_hash(query["pageToken"]) if "pageToken" in query else None
        entry.page_size = _page_size_for_log(query.get("pageSize"))
        credential = self._credential(request.headers.get("Authorization"))
        limits = self._limits_of(self._account_of(credential) if credential else "")
        limits.active += 1
        try:
            fault: Fault | None = None
            answer = self._admit(entry, credential, limits, operation)
            if answer is None and credential is not None:
                fault = self.faults.pick(entry.n, operation)
                entry.fault = str(fault) if fault else None
                call = Call(operation, self._account_of(credential), credential, query, user_id, fault, entry.n)
                answer = self._answer(call, limits)
                await self._take_time(answer)
            assert answer is not None
            answer = self._shaped(answer).with_headers(
                {"Twilio-Request-Id": entry.request_id, "Twilio-Concurrent-Requests": str(limits.active)}
            )
            if fault is None or fault.kind not in ("reset", "stall"):
                entry.status = 302 if fault and fault.kind == "redirect" else answer.status
            entry.users = answer.users
            response, entry.bytes = await send(request, answer, fault, self.options.compress == "gzip")
            return response
        finally:
            limits.active -= 1

    def _admit(self, entry: Entry, credential: str | None, limits: Limits, operation: str) -> Answer | None:
        """The refusal of a request that may not come in, or None."""
        if credential is None:
            return refusal(401, self.options.auth_body)
        entry.account = self._account_of(credential)
        entry.early = limits.is_early(entry.start)
        if self.options.forbidden:
            return refusal(403, self.options.auth_body)
        wait_seconds = limits.refuse_for(entry.start)
        if wait_seconds is not None:
            return self._throttled(429, wait_seconds, limits, None)
        if operation == "unknown":
            return error(404)
        if operation == "forbidden":
            return error(405).with_headers({"Allow": "GET" if entry.path.rstrip("/") == USERS_PATH else "GET, DELETE"})
        return None

    def _answer(self, call: Call, limits: Limits) -> Answer:
        fault = call.fault
        status = fault.status if fault else None
        if fault is None or status is None:
            return _with_broken_body(self.service.answer(call), fault.kind if fault else "")
        if status in (429, 503):
            return self._throttled(status, 1.0, limits, fault.argument)
        if status in (401, 403):
            return refusal(status, self.options.auth_body)
        return error(status)

    def _shaped(self, answer: Answer) -> Answer:
        """An error with the body that the options ask for; those of 401 and 403 have it already."""
        if answer.status < 400 or answer.status in (401, 403):
            return answer
        return in_form(answer, self.options.gateway_body if answer.status in (502, 504) else self.options.error_body)

    def _throttled(self, status: int, wait_seconds: float, limits: Limits, word: str | None) -> Answer:
        header = retry_after(word or self.options.retry_after, wait_seconds, time.time())
        told = header.get("Retry-After", "")
        with contextlib.suppress(ValueError):
            limits.told_to_wait(time.monotonic(), float(told))
        return error(status).with_headers(header)

    async def _take_time(self, answer: Answer) -> None:
        options = self.options
        delay_ms = (
            options.latency + self._random.random() * options.jitter + (answer.users or 0) * options.latency_per_user
        )
        if delay_ms > 0:
            await asyncio.sleep(delay_ms / 1000)

    def _limits_of(self, account: str) -> Limits:
        if account not in self._limits:
            options = self.options
            self._limits[account] = Limits(options.rate, options.burst, options.concurrency)
        return self._limits[account]

    def _account_of(self, credential: str) -> str:
        return credential if credential.startswith("AC") else self.options.account

    def _credential(self, header: str | None) -> str | None:
        """The user of a Basic pair that is accepted, else None."""
        user, secret = parse_basic(header)
        if not user or not secret:
            return None
        if not self.options.credentials:
            return user if user.startswith(("AC", "SK")) else None
        for known, its_secret in self.options.credentials:
            if known == user and hmac.compare_digest(its_secret.encode(), secret.encode()):
                return user
        return None


def route(method: str, raw_path: str) -> tuple[str, str | None]:
    """The operation and the user id of a request: `list`, `fetch`, `delete`, `unknown` path or `forbidden` method."""
    if raw_path in (USERS_PATH, USERS_PATH + "/"):
        return _METHODS[True].get(method, "forbidden"), None
    if raw_path.startswith(USERS_PATH + "/"):
        raw_id = raw_path[len(USERS_PATH) + 1 :]
        if "/" not in raw_id:
            return _METHODS[False].get(method, "forbidden"), unquote(raw_id)
    return "unknown", None


def parse_basic(header: str | None) -> tuple[str, str]:
    """User and secret of an Authorization header; two empty strings if it holds none."""
    scheme, _, encoded = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        user, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return "", ""
    return user, secret


def truth(options: Options) -> Iterator[dict[str, object]]:
    """The users at the start, in the order of ids, as the API writes them."""
    return (orjson.loads(row) for row in users_of(options).all())


async def serve(options: Options) -> Emulator:
    """A listening emulator; the caller stops it. OSError if the address or the log file cannot be used."""
    emulator = Emulator(options)
    try:
        await emulator.start()
    except BaseException:
        await emulator.stop()
        raise
    return emulator


@contextlib.asynccontextmanager
async def running(options: Options) -> AsyncIterator[Emulator]:
    """An emulator for the length of a `with` block."""
    emulator = await serve(options)
    try:
        yield emulator
    finally:
        await emulator.stop()


def _with_broken_body(answer: Answer, kind: str) -> Answer:
    if kind == "html200":
        return Answer(200, _HTML_200, "text/html")
    if kind == "empty200":
        return Answer(200, b"")
    if kind == "json-broken":
        return Answer(answer.status, answer.body[:-2] + b",}", headers=answer.headers, users=answer.users)
    if kind == "wrong-type":
        return Answer(answer.status, answer.body, "text/plain", answer.headers, answer.users)
    if kind == "bad-encoding":
        return answer.with_headers({"Content-Encoding": "snappy"})
    return answer


def _page_size_for_log(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 7 else None
