"""Asks for the users that a list no longer holds, one by one: do they still exist?

The list is not trusted more than the service: who exists and was not listed is brought back, up to a bound, and said.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from syncer.errors import ContractBroken, CoverageNotProven, CredentialsRefused, GaveUp, SyncerError
from syncer.model import FetchUser
from syncer.snapshot.fetched import FetchedUser, encode_fetched
from syncer.snapshot.manifest import ADDED_MAX

FAILURES_MAX = 10
"""Failures after which no more users are asked for."""
NAMED_MAX = 5


@dataclass(slots=True)
class Confirmed:
    """What the service said about missing users."""

    gone: int = 0
    found: list[FetchedUser] = field(default_factory=list)
    failures: list[tuple[str, SyncerError]] = field(default_factory=list)


async def confirm_missing(
    ids: Sequence[str], fetch_user: FetchUser, *, workers: int, with_lines: bool
) -> tuple[int, tuple[FetchedUser, ...]]:
    """How many of the users do not exist, and those that do, in order of ids.

    Raises CoverageNotProven when too many exist, and the kind of the first failure, naming the users that could not be
    confirmed: a run that was told to confirm does not publish guesses.
    """
    confirmed = Confirmed()
    rest = iter(ids)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(min(workers, len(ids))):
            tasks.create_task(_work(rest, fetch_user, confirmed, with_lines))
    if confirmed.failures:
        raise _unconfirmed(confirmed.failures, len(ids))
    if len(confirmed.found) > ADDED_MAX:
        raise CoverageNotProven(
            f"the list left out more than {ADDED_MAX} users that exist",
            hint="nothing was published; run again with --fresh, and report it to the API's support",
        )
    return confirmed.gone, tuple(sorted(confirmed.found, key=lambda user: user.id))


async def _work(rest: Iterator[str], fetch_user: FetchUser, confirmed: Confirmed, with_lines: bool) -> None:
    for user_id in rest:
        try:
            user = await fetch_user(user_id)
            if user is None:
                confirmed.gone += 1
            else:
                confirmed.found.append(encode_fetched(user_id, user, with_lines=with_lines))
        except SyncerError as error:
            confirmed.failures.append((user_id, error))
        if _is_enough(confirmed):
            return


def _is_enough(confirmed: Confirmed) -> bool:
    refused = any(isinstance(error, CredentialsRefused) for _, error in confirmed.failures)
    return refused or len(confirmed.failures) >= FAILURES_MAX or len(confirmed.found) > ADDED_MAX


def _unconfirmed(failures: list[tuple[str, SyncerError]], missing: int) -> SyncerError:
    named = ", ".join(ascii(user_id)[1:-1] for user_id, _ in failures[:NAMED_MAX])
    more = ", …" if len(failures) > NAMED_MAX else ""
    first = next((e for _, e in failures if isinstance(e, CredentialsRefused)), failures[0][1])
    kind = {3: CredentialsRefused, 4: GaveUp}.get(first.exit_code, ContractBroken)
    return kind(
        f"of {missing} users that the list no longer holds, {len(failures)} could not be confirmed ({named}{more}):"
        f" {first.message}",
        hint="nothing was published; progress is kept, run again to resume, or without --confirm-vanished",
        request_id=first.request_id,
    )
