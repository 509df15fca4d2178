"""What an answer means: (status, headers, body) in, a value out. Pure: no I/O, no clock.

Rules of this file: the HTTP status decides, never an error code (the documented 400 carries code 20404); a page is
whole only if it parses and has its envelope; no value or error here repeats a token or a body.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Literal, cast

import orjson

from syncer.api.errors_body import parse_error, printable, request_id_of
from syncer.api.retry_after import parse_retry_after
from syncer.model import ApiError, EndSpelling, Page, Token, WireResponse

Operation = Literal["list", "fetch", "delete"]

TOKEN_CHARACTERS_MAX = 4096
_TAIL_BYTES = 8192
_PAGINATION = b'"pagination"'
_LONG_NUMBER = re.compile(rb"[0-9]{19}")
"""What may not fit into 64 bits."""
_ENCODINGS = frozenset({"", "identity", "gzip", "deflate", "br"})

RetryKind = Literal["throttled", "unavailable", "fault", "garbled", "contract"]
"""429; 503; a server or gateway that failed; a 200 that is not what it should be (an edge fault); a clear breach."""

FailKind = Literal["credentials", "bad_request", "not_found", "redirect", "refused"]


@dataclass(frozen=True, slots=True)
class Ok:
    """A 200 whose body is still to be parsed."""

    body: bytes
    request_id: str | None = None
    date: str | None = None
    """The service's clock, as the header says it."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Worth repeating. ``after_seconds`` is what the service asked for, None when it did not say."""

    kind: RetryKind
    error: ApiError
    after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Fail:
    """Not worth repeating, except that the caller may ask once more after ``bad_request``."""

    kind: FailKind
    error: ApiError


@dataclass(frozen=True, slots=True)
class Gone:
    """404 to a fetch: there is no such user."""

    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The service took the deletion; it happens later. Both fields are data to show, never to follow."""

    resource_id: str | None
    resource_location: str | None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Absent:
    """404 to a delete: whether it was so before, or this run did it, only the caller can tell."""

    request_id: str | None = None


class PageError(ValueError):
    """A list or user body that is not what the contract says; the text never holds any of it.

    ``retryable`` is True when the bytes look damaged on the way, False when well-formed JSON breaks the contract.
    """

    def __init__(self, reason: str, *, retryable: bool) -> None:
        super().__init__(reason)
        self.retryable = retryable


Verdict = Ok | Retry | Fail | Gone | Accepted | Absent

_FAILURES: dict[int, FailKind] = {400: "bad_request", 401: "credentials", 403: "credentials", 404: "not_found"}


def classify(response: WireResponse, operation: Operation, now_epoch: float) -> Verdict:
    """Decide what to do with a whole answer. ``now_epoch`` (seconds since 1970) serves ``Retry-After`` dates only."""
    status = response.status
    if 200 <= status < 300:
        return _classify_success(response, operation)
    if status == 404 and operation == "fetch":
        return Gone(request_id_of(response.headers))
    if status == 404 and operation == "delete":
        return Absent(request_id_of(response.headers))
    error = parse_error(status, response.headers, response.body)
    if status in (429, 503):
        date = response.headers.get("date")
        after_seconds = parse_retry_after(response.headers.get("retry-after"), date, now_epoch)
        return Retry("throttled" if status == 429 else "unavailable", error, after_seconds)
    if status >= 500 or status in (408, 425):
        return Retry("fault", error)
    return Fail(_FAILURES.get(status, "redirect" if 300 <= status < 400 else "refused"), error)


def _classify_success(response: WireResponse, operation: Operation) -> Ok | Retry | Accepted:
    status = response.status
    if response.headers.get("content-encoding", "").strip().lower() not in _ENCODINGS:
        return Retry("garbled", answer_error(response, "a content encoding that was not asked for"))
    if operation == "delete" and status in (200, 202, 204):
        if status == 200 and response.body.lstrip()[:1] not in (b"", b"{"):
            return Retry("garbled", answer_error(response, "a page in the place of an answer"))  # of some gateway
        return _accepted(response)
    if status != 200:
        return Retry("contract", answer_error(response, f"success status {status} where only 200 is defined"))
    return Ok(response.body, request_id_of(response.headers), response.headers.get("date"))


def answer_error(response: WireResponse, message: str) -> ApiError:
    """An error of our own wording about an answer that claimed success."""
    return ApiError(status=response.status, message=message, request_id=request_id_of(response.headers))


def _accepted(response: WireResponse) -> Accepted:
    """The documented body first; older versions sent only headers, or nothing."""
    try:
        parsed = orjson.loads(response.body)
    except orjson.JSONDecodeError:
        parsed = None
    body = parsed if isinstance(parsed, dict) else {}
    resource_id, location = body.get("resourceId"), body.get("resourceLocation") or response.headers.get("location")
    return Accepted(
        resource_id=printable(resource_id) if isinstance(resource_id, str) else None,
        resource_location=printable(location) if isinstance(location, str) else None,
        request_id=request_id_of(response.headers),
    )


def parse_user(body: bytes) -> dict[str, object]:
    """The user object of a fetch; numbers beyond 64 bits are rounded. Raises ``PageError``."""
    return _object(body, "the user")


def parse_user_exactly(body: bytes) -> dict[str, object]:
    """The same with whole numbers exact, however long they are. Raises ``PageError``."""
    if not _LONG_NUMBER.search(body):
        return parse_user(body)
    try:
        return dict(json.loads(body))
    except (RecursionError, ValueError):  # of the interpreter: nested too deeply for it, or thousands of digits
        raise PageError("the user holds a value that Python cannot read", retryable=False) from None


def users_exactly(page: Page) -> list[dict[str, object]]:
    """A page's users with whole numbers exact, however long they are. Raises ``PageError``."""
    if not _LONG_NUMBER.search(page.body):
        return page.users
    try:
        return list(json.loads(page.body)["users"])
    except (RecursionError, ValueError):
        raise PageError("a user holds a value that Python cannot read", retryable=False) from None


def parse_page(body: bytes) -> Page:
    """A list answer with its envelope checked; the users are judged one by one later.

    ``users`` is kept as served: an entry that is no object is for the caller to reject. The end of the list is a
    ``next`` that is null, absent or empty inside a ``pagination`` object, and nothing else. Raises ``PageError``.
    """
    parsed = _object(body, "the page")
    users = parsed.get("users")
    if not isinstance(users, list):
        raise PageError("the page has no list of users", retryable=False)
    pagination = parsed.get("pagination")
    if not isinstance(pagination, dict):
        raise PageError("the page has no pagination object", retryable=False)
    token, end = _read_next(pagination)
    return Page(users=cast("list[dict[str, object]]", users), next=token, end=end, body=body)


def _object(body: bytes, what: str) -> dict[str, object]:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        parsed = body  # its exception carries the whole body, so it must not travel on, not even as a context
    if parsed is body:
        raise PageError(f"{what} is not JSON, or was cut off", retryable=True)
    if not isinstance(parsed, dict):
        raise PageError(f"{what} is JSON, but not an object", retryable=False)
    return parsed


def _read_next(pagination: dict[str, object]) -> tuple[Token | None, EndSpelling | None]:
    if "next" not in pagination:
        return None, "absent"
    value = pagination["next"]
    if value is None:
        return None, "null"
    if value == "":
        return None, "empty"
    if not isinstance(value, str):
        raise PageError("the page's next is neither a string nor null", retryable=False)
    if len(value) > TOKEN_CHARACTERS_MAX:
        raise PageError(f"the page's next is longer than {TOKEN_CHARACTERS_MAX} characters", retryable=False)
    if _looks_like_url(value):
        raise PageError("the page's next is a URL instead of a token", retryable=False)
    return Token(value), None


def _looks_like_url(value: str) -> bool:
    """Older versions of such APIs sent URLs. A base64 token may start with a slash, but holds neither : nor ?."""
    return "://" in value[:16] or value.lower().startswith("/v1/pushnotifications")


def find_next(body: bytes) -> Token | None:
    """Guess the ``next`` token from the tail of a body, without parsing the page; None whenever unsure.

    ``parse_page`` is the judge. Costs some microseconds; never raises.
    """
    at = body.rfind(_PAGINATION, max(0, len(body) - _TAIL_BYTES))
    if at < 0:
        return None
    try:
        tail = orjson.loads(b"{" + body[at:])
        return _read_next(tail["pagination"])[0] if isinstance(tail["pagination"], dict) else None
    except ValueError:
        return None
