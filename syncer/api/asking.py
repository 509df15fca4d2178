"""One request to its end: permit, wire, verdict, and again while that makes sense.

Must not know what a page or a user is; what to try and how long to wait is decided in ``attempts``.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from syncer.api import endings
from syncer.api.attempts import Again, Stop, Tries, plan_next, retry_of_wire
from syncer.api.backoff import RetryBudget
from syncer.api.protocol import Absent, Accepted, Fail, Gone, Ok, Operation, Retry, Verdict, classify
from syncer.api.redact import without
from syncer.api.throttle import Door, Permit
from syncer.errors import SyncerError
from syncer.model import ApiError, Counters, Send, Struggling, WireFailed, WireRequest

log = logging.getLogger("syncer.api")

Final = Ok | Fail | Gone | Accepted | Absent


@dataclass(slots=True)
class Run:
    """What all requests of a run share."""

    send: Send
    door: Door
    counters: Counters
    rng: random.Random
    budget: RetryBudget
    attempts_max: int
    deadline_at: float | None
    """Loop time."""
    hidden: tuple[str, ...]
    """Secrets, in every form in which a service could echo them."""
    wall_clock: Callable[[], float]
    """Seconds since 1970, for ``Retry-After`` dates of answers without a ``Date``."""


@dataclass(frozen=True, slots=True)
class _Failed:
    """A failed attempt, and what comes next."""

    error: ApiError
    step: Again | Stop


class Ask:
    """One request and what became of it so far. ``subject`` names it in texts, without its token."""

    __slots__ = ("_hidden", "_request", "_run", "subject", "tries")

    def __init__(
        self, run: Run, operation: Operation, request: WireRequest, subject: str, token: str | None = None
    ) -> None:
        self.tries = Tries(operation)
        self.subject = subject
        self._run = run
        self._request = request
        self._hidden = run.hidden if token is None else (token, *run.hidden)

    async def final(self) -> Final | Struggling:
        """Attempt until the verdict is final; a 200 body is still to be parsed. Raises ``SyncerError``."""
        while True:
            outcome = await self._attempt_in_time()
            if not isinstance(outcome, _Failed):
                return outcome
            if struggling := await self._proceed(outcome):
                return struggling

    async def again(self, retry: Retry) -> None:
        """Wait for the next attempt after a body that was not right. Raises ``SyncerError`` when there is none."""
        await self._proceed(self._planned(retry))

    async def once_more(self, fail: Fail) -> None:
        """Make ready to repeat an answer that should be final, at once: it may be a fault of some gateway."""
        await self._proceed(_Failed(self.clean(fail.error), Again(0.0)))

    def good(self) -> None:
        """Note a whole, sound answer: it pays a little back."""
        self._run.budget = self._run.budget.earned()

    def clean(self, error: ApiError) -> ApiError:
        """The error without any secret or token that the service may have echoed."""
        request_id = error.request_id and without(error.request_id, self._hidden)
        return replace(error, message=without(error.message, self._hidden), request_id=request_id)

    def refused(self, fail: Fail) -> SyncerError:
        """The exception for an answer that is not worth repeating."""
        return endings.refused(self.subject, Fail(fail.kind, self.clean(fail.error)))

    async def _attempt_in_time(self) -> Final | _Failed:
        run = self._run
        closed_seconds = run.door.resume_at - asyncio.get_running_loop().time()
        if run.deadline_at is not None and run.door.resume_at > run.deadline_at and closed_seconds > 0:
            raise endings.door_closed(self.subject, closed_seconds)
        try:
            async with asyncio.timeout_at(run.deadline_at):
                return await self._attempt()
        except TimeoutError:
            raise endings.deadline_passed(self.subject) from None

    async def _attempt(self) -> Final | _Failed:
        run = self._run
        async with run.door.permit() as permit:
            self.tries.attempts += 1
            run.counters.requests += 1
            run.counters.retries += self.tries.attempts > 1
            verdict, immediate = await self._send()
            if not isinstance(verdict, Retry):
                permit.went_well()
                return verdict
            failed = self._planned(verdict, immediate=immediate)
            self._close_door(permit, verdict, failed)  # before the permit goes back, so that nobody slips through
            return failed

    async def _send(self) -> tuple[Verdict, bool]:
        try:
            response = await self._run.send(self._request)
        except WireFailed as failed:
            self.tries.ambiguous |= failed.sent
            return retry_of_wire(failed.kind, str(failed)), failed.kind == "disconnected"
        verdict = classify(response, self.tries.operation, self._run.wall_clock())
        self.tries.ambiguous |= isinstance(verdict, Retry) and verdict.kind in ("fault", "garbled", "contract")
        return verdict, False

    def _planned(self, retry: Retry, *, immediate: bool = False) -> _Failed:
        run = self._run
        step = plan_next(self.tries, retry, run.rng.random(), run.attempts_max, immediate=immediate)
        return _Failed(self.clean(retry.error), step)

    def _close_door(self, permit: Permit, retry: Retry, failed: _Failed) -> None:
        """The service asks everybody to wait, also where this request is not tried again."""
        seconds = failed.step.seconds if isinstance(failed.step, Again) else retry.after_seconds or 0.0
        if retry.kind == "throttled":
            self._run.counters.throttled += 1
            permit.throttled(seconds)
        elif retry.after_seconds is not None:
            self._run.door.close(seconds, str(failed.error.status))

    async def _proceed(self, failed: _Failed) -> Struggling | None:
        step, error = failed.step, failed.error
        if isinstance(step, Stop):
            if step.how == "struggling":
                log.warning("%s %s, last with %s", self.subject, step.reason, endings.said(error))
                self._spend(error)  # asking for a smaller page is a retry too
                return Struggling(error)
            raise endings.stopped(self.subject, step, error)
        self._pay(step, error)
        if not step.closes and step.seconds:
            await asyncio.sleep(step.seconds)
        return None

    def _spend(self, error: ApiError) -> None:
        """Take a retry from the budget of the run. Raises GaveUp when there is none left."""
        budget = self._run.budget.spent()
        if budget is None:
            raise endings.budget_spent(self.subject, error)
        self._run.budget = budget

    def _pay(self, step: Again, error: ApiError) -> None:
        """Take the retry from the budget, check its wait against the deadline, and note it in the log."""
        run = self._run
        if step.costs:
            self._spend(error)
        if run.deadline_at is not None and asyncio.get_running_loop().time() + step.seconds > run.deadline_at:
            raise endings.deadline_near(self.subject, step.seconds, error)
        log.warning(
            "%s: %s%s, attempt %d, again in %.1f s",
            self.subject,
            endings.said(error),
            endings.marks(error),
            self.tries.attempts,
            step.seconds,
        )
