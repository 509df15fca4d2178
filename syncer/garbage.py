"""How seldom Python looks for cycles of garbage: not while modules are imported, and rarely from then on."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

ALLOCATIONS = 50_000
"""Objects that come before the youngest are looked through. A page of 1,000 users is some thousands that go again by
themselves; with Python's own 700 each page was looked through more than once, at 3 % of an export's CPU."""


@contextmanager
def seldom_after_imports() -> Iterator[None]:
    """Collect nothing in the block, which imports modules: what they make stays, and to look through it a hundred times
    takes 1 % of an export's CPU. Leave it out of every later collection too, and collect less often. Cycles are still
    found."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.set_threshold(ALLOCATIONS, 20, 20)
        gc.enable()
