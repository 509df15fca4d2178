"""Whether a request is worth another attempt, and after how long. Pure: the caller waits, counts and raises.

429 is "not processed, always safe to repeat": it costs neither an attempt nor the retry budget, but is bounded too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from syncer.api.backoff import backoff_seconds
from syncer.api.protocol import Operation, Retry, RetryKind
from syncer.model import ApiError, WireFailure

ATTEMPTS_MAX = 8
"""With waits of 0.5 s doubling to 20 s this rides out some 25 seconds of outage on average."""
_SHORT_ATTEMPTS_MAX = 3
"""For what another attempt seldom changes: a smaller page, or a person, is the better answer."""
_THROTTLES_MAX = 100
_WAIT_SECONDS_MAX = 3600.0
"""A service that asks for a longer wait in all is down for this run."""

_STRUGGLE_KINDS: frozenset[RetryKind] = frozenset({"fault"})
_SHORT_KINDS: frozenset[RetryKind] = frozenset({"garbled", "contract"})


@dataclass(frozen=True, slots=True)
class Again:
    """Try once more. ``closes`` holds the door shut for everybody meanwhile; else only this request waits."""

    seconds: float
    closes: bool = False
    costs: bool = True
    """Whether the retry budget pays for it."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Do not try again: ``struggling`` asks for a smaller page, ``contract`` is a breach, ``gave_up`` is the rest."""

    how: Literal["struggling", "contract", "gave_up"]
    reason: str


@dataclass(slots=True)
class Tries:
    """What has been tried for one request so far."""

    operation: Operation
    attempts: int = 0
    """Wire requests."""
    failures: int = 0
    """Attempts that failed otherwise than by 429."""
    throttles: int = 0
    throttled_seconds: float = 0.0
    ambiguous: bool = False
    """An attempt was sent and its answer never arrived whole: it may have been carried out."""
    by_kind: dict[RetryKind, int] = field(default_factory=dict)


def plan_next(
    tries: Tries, retry: Retry, rng_value: float, attempts_max: int = ATTEMPTS_MAX, *, immediate: bool = False
) -> Again | Stop:
    """Note one failed attempt in ``tries`` and say what comes next.

    ``rng_value`` is uniform in [0, 1); ``immediate`` is a kept connection that the service had closed meanwhile: the
    first repeat needs no wait.
    """
    if retry.kind == "throttled":
        return _after_throttle(tries, retry.after_seconds, rng_value)
    tries.failures += 1
    of_kind = tries.by_kind[retry.kind] = tries.by_kind.get(retry.kind, 0) + 1
    if stop := _exhausted(tries, retry.kind, of_kind, attempts_max):
        return stop
    jitter = 0.0 if immediate and tries.failures == 1 else backoff_seconds(tries.failures, rng_value)
    if retry.after_seconds is None:
        return Again(jitter)
    if retry.after_seconds > _WAIT_SECONDS_MAX:
        return Stop("gave_up", _too_long(retry.after_seconds))
    return Again(max(jitter, retry.after_seconds), closes=True)


def _after_throttle(tries: Tries, after_seconds: float | None, rng_value: float) -> Again | Stop:
    tries.throttles += 1
    seconds = max(backoff_seconds(tries.throttles, rng_value), after_seconds or 0.0)
    tries.throttled_seconds += seconds
    if tries.throttles >= _THROTTLES_MAX:
        return Stop("gave_up", f"refused (429) {tries.throttles} times in a row")
    if tries.throttled_seconds > _WAIT_SECONDS_MAX:
        return Stop("gave_up", _too_long(tries.throttled_seconds))
    return Again(seconds, closes=True, costs=False)


def _exhausted(tries: Tries, kind: RetryKind, of_kind: int, attempts_max: int) -> Stop | None:
    if kind in _STRUGGLE_KINDS and tries.operation == "list" and of_kind >= _SHORT_ATTEMPTS_MAX:
        return Stop("struggling", f"failed {of_kind} times")
    if kind in _SHORT_KINDS and of_kind >= _SHORT_ATTEMPTS_MAX:
        return Stop("contract" if kind == "contract" else "gave_up", f"failed {of_kind} times")
    if tries.failures >= attempts_max:
        return Stop("gave_up", f"failed {tries.failures} times")
    return None


def _too_long(seconds: float) -> str:
    return f"asked to wait {seconds:.0f} s"


_WIRE_KINDS: dict[WireFailure, RetryKind] = {
    "connect": "unavailable",
    "disconnected": "fault",
    "timeout": "fault",
    "truncated": "fault",
    "too_large": "fault",
    "protocol": "garbled",
}


def retry_of_wire(kind: WireFailure, message: str) -> Retry:
    """A request without a whole answer, as a retryable value. ``message`` is the transport's own text."""
    return Retry(_WIRE_KINDS[kind], ApiError(status=None, message=message))
