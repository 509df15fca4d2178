"""Works through ids, several at once, and says what became of each. Knows nothing of what is done to an id.

One id that fails does not hold back the others; what would fail for every id ends the run.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from syncer.errors import CredentialsRefused, GaveUp, PartlyDone, StorageFailed, SyncerError
from syncer.model import counted

GIVE_UPS_IN_A_ROW_MAX = 16
"""So many ids given up without one good answer between them: the service is down, and the rest is not tried."""

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Failed:
    """An id for which nothing is left to try."""

    error: SyncerError


Work = Callable[[str], Awaitable[R]]
Keep = Callable[[int, str, "R | Failed"], Awaitable[None]]
"""Index, id and result: returns when the result is safe. The worker's next request leaves after that."""


@dataclass(slots=True)
class Ended:
    """How a run ended. ``untried`` ids have neither result nor failure."""

    failures: list[tuple[str, SyncerError]] = field(default_factory=list)
    done: int = 0
    untried: int = 0
    stopped_by: SyncerError | None = None
    """What ended the run before its last id."""


class Run(Generic[R]):
    """One pass over some ids with ``workers`` at once. ``go`` is called once."""

    def __init__(self, work: Work[R], keep: Keep[R], workers: int) -> None:
        self._work = work
        self._keep = keep
        self._workers = workers
        self._ended = Ended()
        self._give_ups = 0

    async def go(self, ids: Iterable[tuple[int, str]]) -> Ended:
        """Work through ids with their indexes. Raises what ``keep`` raises, and nothing else of syncer's."""
        stream = iter(ids)
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(self._workers):
                    tasks.create_task(self._worker(stream))
        except BaseExceptionGroup as group:
            raise _first(group) from None
        self._ended.untried = sum(1 for _ in stream)
        return self._ended

    async def _worker(self, stream: Iterable[tuple[int, str]]) -> None:
        for index, user_id in stream:
            try:
                result: R | Failed = await self._work(user_id)
            except SyncerError as error:
                result = Failed(error)
            await self._keep(index, user_id, result)
            self._note(user_id, result)
            if self._ended.stopped_by is not None:
                return

    def _note(self, user_id: str, result: R | Failed) -> None:
        if not isinstance(result, Failed):
            self._ended.done += 1
            self._give_ups = 0
            return
        self._ended.failures.append((user_id, result.error))
        self._give_ups += isinstance(result.error, GaveUp)
        hopeless = isinstance(result.error, CredentialsRefused | StorageFailed)
        if hopeless or self._give_ups >= GIVE_UPS_IN_A_ROW_MAX:
            self._ended.stopped_by = self._ended.stopped_by or result.error


def verdict(ended: Ended, done_before: int = 0) -> SyncerError | None:
    """The error that speaks for the run; None when every id has its outcome.

    What ended the run early speaks first; then, when nothing was done and all failed for one reason, that reason.
    """
    if ended.stopped_by is not None:
        return ended.stopped_by
    if not ended.failures:
        return None
    first = ended.failures[0][1]
    reasons = Counter(error.exit_code for _, error in ended.failures)
    if len(reasons) == 1 and not ended.done and not done_before:
        return first
    return PartlyDone(
        f"{len(ended.failures):,} of {counted(len(ended.failures) + ended.done, 'id')} failed, the first with:"
        f" {first.message}",
        hint="run the same command again: it goes on with these",
        request_id=first.request_id,
    )


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """A failure that a person can act on, before all others."""
    leaves = [_first(e) if isinstance(e, BaseExceptionGroup) else e for e in group.exceptions]
    return next((leaf for leaf in leaves if isinstance(leaf, SyncerError)), leaves[0])
