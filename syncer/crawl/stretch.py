"""Where a stretch of the list stands, and what a walk may do next. Values only: what is decided is in ``walk``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from syncer.model import Ending, Token

Status = Literal["waiting", "walking", "ended", "dropped"]


@dataclass(slots=True)
class Stretch:
    """Where one stretch stands. The spool keeps the same facts."""

    index: int
    entry: Token | None
    planned_pages: int | None
    next: Token | None
    """The token to ask for next; the entry before the first page."""
    sequence: int = 0
    """The sequence of the page to ask for next."""
    status: Status = "waiting"
    first_ids: list[str] = field(default_factory=list)
    empty_pages: int = 0
    ending: Ending | None = None
    stitch: int | None = None
    after: str | None = None
    """The user after whom the entry stood last time."""
    last_id: str | None = None
    """The last user it has met."""

    @property
    def is_known(self) -> bool:
        """Whether a stretch before this one can recognise it."""
        return bool(self.first_ids) or self.status == "ended"

    @property
    def has_begun(self) -> bool:
        """Whether it has users that a walk which comes by must meet."""
        return bool(self.first_ids) and self.status != "dropped"

    @property
    def is_past_plan(self) -> bool:
        """Whether it has walked as far as it did last time."""
        return self.planned_pages is not None and self.sequence >= self.planned_pages


@dataclass(frozen=True, slots=True)
class Ask:
    """One page to ask for."""

    stretch: int
    sequence: int
    token: Token | None

    @property
    def is_entry(self) -> bool:
        """Whether the token was remembered from another night; none of this run's pages named it."""
        return self.stretch > 0 and self.sequence == 0


@dataclass(frozen=True, slots=True)
class Follow:
    """The stretch goes on with this page."""

    ask: Ask


@dataclass(frozen=True, slots=True)
class Pause:
    """The stretch waits until the next one has begun."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The stretch is done."""

    ending: Ending
    stitch: int | None = None
    stitch_id: str | None = None


@dataclass(frozen=True, slots=True)
class Covered:
    """The stretch before has passed this one's beginning already: it leads nowhere, and its page is not needed."""


@dataclass(frozen=True, slots=True)
class Broken:
    """The answers go round in a circle or never come to users: nothing more to learn from this list."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unstable:
    """Users did not keep their places: stretches cannot be stitched on such a list."""

    reason: str


Step = Follow | Pause | Ended | Covered | Broken | Unstable
