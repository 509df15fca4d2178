"""A run under a wrong clock asks for the same pages at the same times as one under a true clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tests.simulation.checker import require
from tests.simulation.night import simulated
from tests.simulation.scenario import EPOCH, Scenario

MICROSECONDS_MAX = 1000
"""What a clock of 2^31 seconds cannot tell apart adds up over a run, and no more than this."""
Sent = Sequence[tuple[int, str, int]]


def check_pace(s: Scenario, folder: Path) -> bool:
    """Compare two runs that nothing ends from outside, and say whether there was anything to compare.

    An unfinished run is not: whether it is too old to go on is a question to the wall clock.
    """
    wrong = replace(s, disturbances=(), dated=True)
    true = replace(wrong, clock_jumps=(), zone="", uptime_seconds=0, begins_at=EPOCH)
    worlds = [simulated(each, folder / name)[0] for each, name in ((wrong, "wrong"), (true, "true"))]
    if any(world.runs != s.nights for world in worlds):
        return False
    require(are_alike(*(world.service.sent for world in worlds)), "a wrong clock changed what was asked for when")
    return True


def are_alike(one: Sent, other: Sent) -> bool:
    """Whether the same was asked for in the same order, at the same times."""
    return len(one) == len(other) and all(
        a[1:] == b[1:] and abs(a[0] - b[0]) <= MICROSECONDS_MAX for a, b in zip(one, other, strict=True)
    )
