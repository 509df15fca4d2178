"""The last look before publishing: figures beyond their limits are not published. Pure: no I/O, no clock.

Each guard says the figure, the limit, and what accepts it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Contract = Literal["evolve", "strict"]
NAMED_MAX = 5


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be published."""

    max_vanished_share: float
    max_rejects: int
    contract: Contract = "evolve"
    allow_shrink: bool = False
    allow_drift: bool = False
    confirm_max: int | None = None
    """How many missing users may be fetched one by one; None: that was not asked for."""


@dataclass(frozen=True, slots=True)
class Before:
    """The previous snapshot."""

    users: int
    deleted_users: int
    fields: tuple[str, ...] | None
    """None when it does not say."""


@dataclass(frozen=True, slots=True)
class Now:
    """The run that is to be published."""

    users: int
    rejects: int
    fields: tuple[str, ...]
    vanished: int | None = None
    """Users of the previous snapshot without a row now that had no tombstone; None when they could not be counted."""
    purged: int = 0
    """Those that had one."""
    confirmed: int = 0
    """Of the vanished, those that a fetch said do not exist."""


@dataclass(frozen=True, slots=True)
class Tripped:
    """A guard that does not let the run pass."""

    name: Literal["rejects", "empty", "unconfirmed", "vanished", "drift"]
    sentence: str
    accepted_by: str


def find_tripped(now: Now, before: Before | None, limits: Limits) -> Tripped | None:
    """The first guard that trips, the gravest first; None when all is well."""
    found = _rejects(now, limits)
    if before is not None and before.users and not limits.allow_shrink:
        found = found or _empty(now, before) or _unconfirmed(now, limits) or _vanished(now, before, limits)
    if before is not None and limits.contract == "strict" and not limits.allow_drift:
        found = found or _drift(now, before)
    return found


def _rejects(now: Now, limits: Limits) -> Tripped | None:
    if now.rejects <= limits.max_rejects:
        return None
    return Tripped(
        "rejects",
        f"{now.rejects} users break the contract, and guards.max_rejects allows {limits.max_rejects}",
        f"max_rejects = {now.rejects} below [guards], or SYNCER_MAX_REJECTS={now.rejects}, accepts it",
    )


def _empty(now: Now, before: Before) -> Tripped | None:
    if now.users:
        return None
    return Tripped(
        "empty",
        f"the list is empty now, and the last snapshot holds {before.users} users",
        "--allow-shrink accepts it",
    )


def _unconfirmed(now: Now, limits: Limits) -> Tripped | None:
    if limits.confirm_max is None or (now.vanished or 0) <= limits.confirm_max:
        return None
    return Tripped(
        "unconfirmed",
        f"{now.vanished} users of the last snapshot are missing, and --confirm-vanished {limits.confirm_max} does not"
        " allow to fetch so many one by one",
        f"--confirm-vanished {now.vanished} fetches them, --allow-shrink accepts it without",
    )


def _vanished(now: Now, before: Before, limits: Limits) -> Tripped | None:
    """By ids where they could be compared: as many new users as vanished ones do not hide that."""
    fewer = before.users - now.users
    gone = fewer if now.vanished is None else now.vanished + now.purged
    living = before.users - before.deleted_users
    shares = [(gone / before.users, f"of the {before.users} users")]
    if now.vanished is not None and living:
        shares.append((now.vanished / living, f"of the {living} users without a tombstone"))
    share, of_whom = max(shares, key=lambda found: found[0])
    if share <= limits.max_vanished_share:
        return None
    confirmed = f" ({now.confirmed} of them were fetched and do not exist)" if now.confirmed else ""
    return Tripped(
        "vanished",
        f"{share:.1%} {of_whom} of the last snapshot are gone{confirmed}, and guards.max_vanished_share"
        f" allows {limits.max_vanished_share:.1%}",
        "--allow-shrink accepts it",
    )


def _drift(now: Now, before: Before) -> Tripped | None:
    if before.fields is None or not now.users or not before.users:
        return None
    new, missing = sorted({*now.fields} - {*before.fields}), sorted({*before.fields} - {*now.fields})
    if not new and not missing:
        return None
    changes = [f"{len(new)} new ({_named(new)})"] if new else []
    changes += [f"{len(missing)} missing ({_named(missing)})"] if missing else []
    return Tripped(
        "drift",
        f"the fields of users have changed since the last snapshot: {' and '.join(changes)}, and guards.contract ="
        ' "strict" allows no change',
        "--allow-drift accepts it",
    )


def _named(fields: list[str]) -> str:
    shown = ", ".join(ascii(name[:40]) for name in fields[:NAMED_MAX])
    return f"{shown}, …" if len(fields) > NAMED_MAX else shown
