"""The sentences for requests that end without what was asked for. Pure: no I/O; builds exceptions, raises none.

The errors given must be clean already: no secret and no token.
"""

from __future__ import annotations

from syncer.api.attempts import Stop
from syncer.api.protocol import Fail, FailKind
from syncer.errors import ContractBroken, CredentialsRefused, GaveUp, SyncerError
from syncer.model import ApiError

_RESUME = "progress is kept, so run the same command again"
_LOOK = "this is not what the API's contract says, so a person has to look"
_FAIL_HINTS: dict[FailKind, str] = {
    "credentials": "check the Account SID and its auth token or API key",
    "bad_request": "check the base URL, the page size and the ids",
    "not_found": "check the base URL",
    "redirect": "check the base URL: redirects are never followed",
    "refused": _LOOK,
}


def refused(subject: str, fail: Fail) -> SyncerError:
    """For an answer that is not worth repeating."""
    error = fail.error
    message = f"{subject} was refused with HTTP {error.status}: {error.message}"
    kind = CredentialsRefused if fail.kind == "credentials" else ContractBroken
    return kind(message, hint=_FAIL_HINTS[fail.kind], request_id=error.request_id)


def stopped(subject: str, stop: Stop, error: ApiError) -> SyncerError:
    """For the last of several attempts."""
    message = f"{subject} {stop.reason}, last with {said(error)}"
    if stop.how == "contract":
        return ContractBroken(message, hint=_LOOK, request_id=error.request_id)
    return GaveUp(message, hint=_RESUME, request_id=error.request_id)


def budget_spent(subject: str, error: ApiError) -> GaveUp:
    """For a retry that the run cannot pay for any more."""
    message = f"the retry budget of the run is spent; {subject} failed with {said(error)}"
    return GaveUp(message, hint=_RESUME, request_id=error.request_id)


def deadline_near(subject: str, seconds: float, error: ApiError) -> GaveUp:
    """For a wait that would end after the deadline: it is not begun, and not shortened either."""
    message = f"{subject} would have to wait {seconds:.0f} s, past the deadline, after {said(error)}"
    return GaveUp(message, hint=_RESUME, request_id=error.request_id)


def deadline_passed(subject: str) -> GaveUp:
    """For a deadline that came while a request was waiting or on the wire."""
    return GaveUp(f"the deadline came during {subject}", hint=_RESUME)


def door_closed(subject: str, seconds: float) -> GaveUp:
    """For a closure of the door that lasts beyond the deadline."""
    return GaveUp(f"{subject} would have to wait {seconds:.0f} s, past the deadline, for the service", hint=_RESUME)


def marks(error: ApiError) -> str:
    """What a person would tell the service's support, in brackets; nothing where there is nothing."""
    known = [f"code {error.code}"] if error.code is not None else []
    known += [f"request {error.request_id}"] if error.request_id else []
    return f" ({', '.join(known)})" if known else ""


def said(error: ApiError) -> str:
    """An error in a few words."""
    return error.message if error.status is None else f"HTTP {error.status}: {error.message}"
