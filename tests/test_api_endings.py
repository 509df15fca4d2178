"""One sentence for each way a request can end badly, with the exit code of the contract."""

from __future__ import annotations

import pytest

from syncer.api import endings
from syncer.api.attempts import Stop
from syncer.api.protocol import Fail, FailKind
from syncer.errors import SyncerError
from syncer.model import ApiError

ERROR = ApiError(500, "broken", 20500, "RQ1")


@pytest.mark.parametrize(
    ("kind", "status", "exit_code", "hint"),
    [
        ("credentials", 401, 3, "check the Account SID and its auth token or API key"),
        ("bad_request", 400, 5, "check the base URL, the page size and the ids"),
        ("not_found", 404, 5, "check the base URL"),
        ("redirect", 302, 5, "check the base URL: redirects are never followed"),
        ("refused", 409, 5, "this is not what the API's contract says, so a person has to look"),
    ],
)
def test_a_refused_request(kind: FailKind, status: int, exit_code: int, hint: str) -> None:
    error = endings.refused("the page", Fail(kind, ApiError(status, "no", None, "RQ1")))
    assert (str(error), error.exit_code) == (
        f"the page was refused with HTTP {status}: no (request RQ1); {hint}",
        exit_code,
    )


@pytest.mark.parametrize(
    ("error", "text", "exit_code"),
    [
        (
            endings.stopped("the page", Stop("gave_up", "failed 5 times"), ERROR),
            "the page failed 5 times, last with HTTP 500: broken (request RQ1); "
            "progress is kept, so run the same command again",
            4,
        ),
        (
            endings.stopped("the page", Stop("contract", "failed 3 times"), ERROR),
            "the page failed 3 times, last with HTTP 500: broken (request RQ1); "
            "this is not what the API's contract says, so a person has to look",
            5,
        ),
        (
            endings.budget_spent("the page", ApiError(None, "no connection")),
            "the retry budget of the run is spent; the page failed with no connection; "
            "progress is kept, so run the same command again",
            4,
        ),
        (
            endings.deadline_near("the page", 90.0, ERROR),
            "the page would have to wait 90 s, past the deadline, after HTTP 500: broken (request RQ1); "
            "progress is kept, so run the same command again",
            4,
        ),
        (
            endings.deadline_passed("the page"),
            "the deadline came during the page; progress is kept, so run the same command again",
            4,
        ),
        (
            endings.door_closed("the page", 60.0),
            "the page would have to wait 60 s, past the deadline, for the service; "
            "progress is kept, so run the same command again",
            4,
        ),
    ],
)
def test_giving_up(error: SyncerError, text: str, exit_code: int) -> None:
    assert (str(error), error.exit_code) == (text, exit_code)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ERROR, " (code 20500, request RQ1)"),
        (ApiError(502, "bad gateway", None, "RQ1"), " (request RQ1)"),
        (ApiError(503, "busy", 20503), " (code 20503)"),
        (ApiError(None, "no connection"), ""),
    ],
)
def test_only_the_marks_that_are_known_are_named(error: ApiError, text: str) -> None:
    assert endings.marks(error) == text
