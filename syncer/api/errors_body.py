"""Turns any unsuccessful answer into one readable, harmless line. Pure: no I/O; never raises.

Four bodies are known: a list of errors, the classic code and message, RFC 9457 problem details, and anything else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import orjson

from syncer.model import ApiError

MESSAGE_CHARACTERS_MAX = 512
_REQUEST_ID_CHARACTERS_MAX = 64
_BODY_BYTES_MAX = 64 * 1024
_BLANKS = re.compile(r"[ \t\r\n]+")


def printable(text: str, characters_max: int = MESSAGE_CHARACTERS_MAX) -> str:
    """One line of printable ASCII: control, bidi and all other characters outside it become escapes."""
    line = _BLANKS.sub(" ", text[: 2 * characters_max]).strip()
    escaped = line.encode("ascii", "backslashreplace").decode("ascii")
    plain = "".join(c if " " <= c <= "~" else f"\\x{ord(c):02x}" for c in escaped)
    return plain if len(plain) <= characters_max else plain[: characters_max - 3] + "..."


def parse_error(status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    """Read code, message and request id from whatever the service or a gateway sent."""
    code, message = _code_and_message(body)
    return ApiError(
        status=status,
        message=printable(message) or f"HTTP {status} without a message",
        code=code,
        request_id=request_id_of(headers),
    )


def request_id_of(headers: Mapping[str, str]) -> str | None:
    """The service's name for the request, for its support."""
    request_id = headers.get("twilio-request-id") or headers.get("x-request-id")
    return printable(request_id, _REQUEST_ID_CHARACTERS_MAX) if request_id else None


def _code_and_message(body: bytes) -> tuple[int | None, str]:
    if not body.strip():
        return None, "an empty body"
    if len(body) > _BODY_BYTES_MAX:
        return None, "a body too long for an error"
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None, "an HTML page" if body.lstrip()[:1] == b"<" else "a body that is not JSON"
    if not isinstance(parsed, dict):
        return None, "JSON that is not an error object"
    return _from_object(parsed)


def _from_object(parsed: dict[str, object]) -> tuple[int | None, str]:
    listed = parsed.get("errors")
    errors = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    if errors:
        messages = [text for entry in errors if (text := _text(entry, "message"))]
        return _number(errors[0].get("code")), "; ".join(messages)
    return _number(parsed.get("code")), _text(parsed, "message") or _text(parsed, "detail") or _text(parsed, "title")


def _text(entry: dict[str, object], key: str) -> str:
    value = entry.get(key)
    return value if isinstance(value, str) else ""


def _number(value: object) -> int | None:
    """A code is a number, or a string of digits as some gateways send it."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
