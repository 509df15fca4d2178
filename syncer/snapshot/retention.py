"""Which snapshots a policy keeps, and why. Pure: no I/O, no clock.

The rules are those of restic's ``forget``: a snapshot is kept if any rule keeps it; a calendar rule keeps the newest
snapshot of each of the last n periods that have one, in UTC; where there are fewer, it keeps the oldest snapshot too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from syncer.snapshot.layout import snapshot_time

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
    """Snapshots less than this older than the newest one are kept."""

    @property
    def is_empty(self) -> bool:
        """Whether there is no rule at all: that would remove everything."""
        return self == Policy()


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


def plan_prune(policy: Policy, snapshot_ids: Sequence[str], latest_complete: str | None) -> list[Decision]:
    """A decision for each snapshot of one account, in the order given: oldest first.

    Raises ValueError for an empty policy.
    """
    if policy.is_empty:
        raise ValueError("an empty policy would remove everything")
    rules = _rules(policy)
    decisions = []
    for snapshot in reversed(snapshot_ids):
        time = snapshot_time(snapshot)
        reasons = [rule.reason(time, is_oldest=snapshot == snapshot_ids[0]) for rule in rules]
        if snapshot_time(snapshot_ids[-1]) - time < policy.within:
            reasons.append("within the time to keep")
        if snapshot == latest_complete:
            reasons.append(LATEST)
        kept = tuple(filter(None, reasons))
        decisions.append(Decision(snapshot, bool(kept), kept or (NOT_KEPT,)))
    return decisions[::-1]


def _rules(policy: Policy) -> list[_Rule]:
    return [
        _Rule("last", policy.last, lambda time: time),
        _Rule("daily", policy.daily, lambda time: time.date()),
        _Rule("weekly", policy.weekly, lambda time: time.isocalendar()[:2]),
        _Rule("monthly", policy.monthly, lambda time: (time.year, time.month)),
        _Rule("yearly", policy.yearly, lambda time: time.year),
    ]
