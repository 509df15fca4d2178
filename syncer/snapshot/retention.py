"""Which snapshots a policy keeps, and why. Pure: no I/O, no clock.

The rules are those of restic's ``forget``: a snapshot is kept if any rule keeps it; a calendar rule keeps the newest
snapshot of each of the last n periods that have one, in UTC; where there are fewer, it keeps the oldest snapshot too.
What counts is when the run started, not its id: after a night with a wrong clock ids follow each other by seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

LATEST = "latest complete snapshot: never removed"
NOT_KEPT = "no rule keeps it"


@dataclass(frozen=True, slots=True)
class Policy:
    """How many snapshots of each period to keep; 0: the rule is not there."""

    last: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0
    within: timedelta = timedelta(0)
    """Snapshots less than this older than the newest one, of those that are not in the future, are kept."""

    @property
    def is_empty(self) -> bool:
        """Whether there is no rule at all: that would remove everything."""
        return self == Policy()


@dataclass(frozen=True, slots=True)
class Dated:
    """A snapshot and when its run started, in UTC."""

    snapshot_id: str
    started_at: datetime


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of one snapshot, and why."""

    snapshot_id: str
    keep: bool
    reasons: tuple[str, ...]


@dataclass(slots=True)
class _Rule:
    """A calendar rule on its way from the newest snapshot to the oldest."""

    name: str
    left: int
    period_of: Callable[[datetime], object]
    seen: object = None

    def reason(self, time: datetime, *, is_oldest: bool) -> str:
        """Why the rule keeps this snapshot; empty when it does not."""
        period = self.period_of(time)
        if self.left == 0 or (period == self.seen and not is_oldest):
            return ""
        is_new, self.seen = period != self.seen, period
        self.left -= 1
        return f"{self.name} snapshot" if is_new else f"oldest {self.name} snapshot"


def plan_prune(
    policy: Policy, snapshots: Sequence[Dated], latest_complete: str | None, now: datetime
) -> list[Decision]:
    """A decision for each snapshot of one account, in the order given: oldest first.

    Raises ValueError for an empty policy.
    """
    if policy.is_empty:
        raise ValueError("an empty policy would remove everything")
    rules = _rules(policy)
    newest = max((one.started_at for one in snapshots if one.started_at <= now), default=now)
    decisions = []
    for one in reversed(snapshots):
        reasons = [rule.reason(one.started_at, is_oldest=one == snapshots[0]) for rule in rules]
        if policy.within and newest - one.started_at < policy.within:
            reasons.append("within the time to keep")
        if one.snapshot_id == latest_complete:
            reasons.append(LATEST)
        kept = tuple(filter(None, reasons))
        decisions.append(Decision(one.snapshot_id, bool(kept), kept or (NOT_KEPT,)))
    return decisions[::-1]


def _rules(policy: Policy) -> list[_Rule]:
    return [
        _Rule("last", policy.last, lambda _: object()),
        _Rule("daily", policy.daily, lambda time: time.date()),
        _Rule("weekly", policy.weekly, lambda time: time.isocalendar()[:2]),
        _Rule("monthly", policy.monthly, lambda time: (time.year, time.month)),
        _Rule("yearly", policy.yearly, lambda time: time.year),
    ]
