"""What the emulator says, before it is put on the wire: JSON, errors in every known form, Retry-After.
Pure: no I/O, no clock.
"""

from dataclasses import dataclass, field, replace
from email.utils import formatdate
from math import ceil

import orjson

JSON = "application/json"
_HTML = b"<html><head><title>%d</title></head><body><h1>%d</h1><hr>gateway</body></html>\n"
HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e\u2028\0\r\nsyncer: error: forged"
_MESSAGES = {
    400: (20404, "Malformed request."),
    401: (20003, "Authenticate"),
    403: (70051, "Authorization failed."),
    404: (20404, "The requested resource was not found."),
    405: (20004, "Method not allowed."),
    429: (20429, "Too many requests."),
    500: (20500, "Internal server error."),
    503: (20503, "Service unavailable."),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, a body and its type, further headers, and how many users a page holds (for the log)."""

    status: int
    body: bytes = b""
    content_type: str | None = JSON
    headers: dict[str, str] = field(default_factory=dict)
    users: int | None = None

    def with_headers(self, more: dict[str, str]) -> "Answer":
        """The same answer with further headers."""
        return replace(self, headers=self.headers | more)


def error(status: int, message: str | None = None, context: str | None = None) -> Answer:
    """An error in the documented form: a list of errors."""
    code, usual = _MESSAGES.get(status, (20000 + status, "The request failed."))
    entry = {"code": code, "message": message or usual, "infoUrl": _info(code), "context": context}
    return Answer(status, orjson.dumps({"errors": [entry]}))


def gateway_error(status: int) -> Answer:
    """As a proxy answers: HTML."""
    return Answer(status, _HTML % (status, status), "text/html")


def refusal(status: int, form: str) -> Answer:
    """401 or 403, whose form is not documented."""
    headers = {"WWW-Authenticate": 'Basic realm="Twilio API"'} if status == 401 else {}
    return in_form(error(status), form).with_headers(headers)


def in_form(answer: Answer, form: str) -> Answer:
    """A documented error as another body: one of ``options.BODY_FORMS``. Headers stay."""
    status, entry = answer.status, orjson.loads(answer.body)["errors"][0]
    code, message = entry["code"], entry["message"]
    if form == "errors":
        return answer
    if form == "html":
        return gateway_error(status).with_headers(answer.headers)
    if form == "empty":
        return Answer(status, b"", None, answer.headers)
    if form == "problem":
        body = {"type": _info(code), "title": message, "status": status, "detail": message, "code": code}
        return Answer(status, orjson.dumps(body), "application/problem+json", answer.headers)
    if form == "hostile":
        body = {"errors": [{**entry, "message": message + HOSTILE, "context": HOSTILE}, entry]}
        return Answer(status, orjson.dumps(body), headers=answer.headers)
    body = {"code": code, "message": message, "more_info": _info(code), "status": status}
    return Answer(status, orjson.dumps(body), headers=answer.headers)


def retry_after(word: str, wait_seconds: float, wall_seconds: float) -> dict[str, str]:
    """The Retry-After header for a wait, in the form that `word` names; a number is sent as it is."""
    seconds = max(1, ceil(wait_seconds))
    forms = {
        "seconds": str(seconds),
        "date": formatdate(ceil(wall_seconds) + seconds, usegmt=True),
        "zero": "0",
        "nonsense": "in a moment",
        "negative": "-5",
    }
    return {} if word == "none" else {"Retry-After": forms.get(word, word)}


def _info(code: int) -> str:
    return f"https://www.twilio.com/docs/errors/{code}"
