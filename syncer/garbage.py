"""How seldom Python looks for cycles of garbage. One setting for the process, made once its modules are imported."""

from __future__ import annotations

import gc

ALLOCATIONS = 50_000
"""Objects that come before the youngest are looked through. A page of 1,000 users is some thousands that go again by
themselves; with Python's own 700 each page was looked through more than once, at 3 % of an export's CPU."""


def collect_seldom() -> None:
    """Leave what is there now out of every collection, and collect less often. Cycles are still found."""
    gc.freeze()
    gc.set_threshold(ALLOCATIONS, 20, 20)
