"""How many users to ask for. Pure: no I/O, no clock.

A page of 1,000 users was seen to give 500s on a sibling list where a smaller one worked. So the size steps down after
repeated failures for one token, and back up after a row of clean pages.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

STEPS = (1000, 500, 250, 100, 50)
CLEAN_PAGES_BEFORE_GROWTH = 20


@dataclass(frozen=True, slots=True)
class PageSize:
    """The size to ask for now, and the one that was configured."""

    now: int
    configured: int
    clean_pages: int = 0

    @property
    def is_smallest(self) -> bool:
        """Whether there is no smaller step."""
        return self.smaller() == self

    def smaller(self) -> PageSize:
        """The next step down; the same value when there is none."""
        step = next((s for s in STEPS if s < self.now), self.now)
        return replace(self, now=step, clean_pages=0) if step != self.now else self

    def after_clean_page(self) -> PageSize:
        """Count a page that came without trouble; after a row of them the size grows by one step."""
        if self.now == self.configured:
            return self
        if self.clean_pages + 1 < CLEAN_PAGES_BEFORE_GROWTH:
            return replace(self, clean_pages=self.clean_pages + 1)
        larger = min([s for s in STEPS if self.now < s < self.configured], default=self.configured)
        return replace(self, now=larger, clean_pages=0)
