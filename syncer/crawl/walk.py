"""The walk as pure steps: which page to ask for next, and what a page means for its stretch. No I/O, no clock.

Rules, for whoever reads on:

* A stretch starts at its entry and follows ``next``. It ends at the end of the list (``end``), where its ``next`` is
  the entry of
  a later stretch (``entry``), or on a page with a user that a later stretch has fetched on its first pages (``met``).
* Stretches are taken in list order. One that has walked its planned length waits until the next one has its first
  users:
  without them it could walk past the border unseen, and both would fetch the same pages to the end.
* Where users between two entries are gone, a walker comes to the next one's place before its planned length, and passes
  it if nothing is known of it yet: that stretch is covered then, and the walker goes on through it.
* Users keep their places while the run lasts. Signs that they do not are an ``Unstable`` step, never a guess.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from syncer.crawl.stretch import Ask, Broken, Covered, Ended, Follow, Pause, Step, Stretch, Unstable
from syncer.model import EndSpelling, Token

FIRST_IDS_MAX = 128
"""Users of a stretch's beginning that are remembered. A page that reaches over a border holds the first of them that
still exist, so a few are as good as all; memory counts with many walkers."""
EMPTY_PAGES_MAX = 50
"""Empty pages in a row are links, not the end; but a list that only links never ends."""


class Walk:
    """All stretches of a run. Every method settles its state at once and returns what is to be done."""

    def __init__(self, stretches: Iterable[Stretch]) -> None:
        self.stretches = list(stretches)
        self._entries = {s.entry: s.index for s in self.stretches if s.entry is not None and s.status != "dropped"}
        self._owners: dict[str, int] = {}
        for stretch in self.stretches:
            self._own(stretch, stretch.first_ids)
        for stretch in self.stretches:
            if stretch.status == "ended":
                self._pass_over(stretch)

    @property
    def is_finished(self) -> bool:
        """Whether no stretch is left to walk."""
        return all(s.status in ("ended", "dropped") for s in self.stretches)

    def take(self) -> Ask | None:
        """Give a free walker the first stretch that can go on; None when there is none at the moment."""
        for stretch in self.stretches:
            if stretch.status == "waiting" and not self._must_wait(stretch):
                stretch.status = "walking"
                return Ask(stretch.index, stretch.sequence, stretch.next)
        return None

    def may_run_ahead(self, ask: Ask, guess: Token) -> Ask | None:
        """Say whether the page after ``ask`` may be asked for before that page is read.

        Not where the stretch is expected to end: the request would be wasted.
        """
        stretch = self.stretches[ask.stretch]
        ends_soon = stretch.planned_pages is not None and ask.sequence + 1 >= stretch.planned_pages
        if ends_soon or guess in self._entries or guess == ask.token:
            return None
        return Ask(ask.stretch, ask.sequence + 1, guess)

    def settle(self, ask: Ask, ids: Sequence[str], following: Token | None, end: EndSpelling | None) -> Step:
        """Account for a page that was served for ``ask`` and decide how its stretch goes on."""
        stretch = self.stretches[ask.stretch]
        stretch.sequence = ask.sequence + 1
        stretch.next = following
        stretch.empty_pages = 0 if ids else stretch.empty_pages + 1
        met = self._meeting(stretch.index, ids)
        begins = bool(ids) and not stretch.first_ids
        stretch.last_id = ids[-1] if ids else stretch.last_id
        if len(stretch.first_ids) < FIRST_IDS_MAX:
            fresh = list(ids[: FIRST_IDS_MAX - len(stretch.first_ids)])
            stretch.first_ids += fresh
            self._own(stretch, fresh)
        if begins and met is None and (before := self._find_overtaker(stretch, ids)) is not None:
            self._cover(stretch, before)
            return Covered()
        step = self._decide(stretch, ask, met, following, end)
        if isinstance(step, Ended):
            stretch.status, stretch.ending, stretch.stitch = "ended", step.ending, step.stitch
            self._pass_over(stretch)
        elif isinstance(step, Pause):
            stretch.status = "waiting"
        return step

    def drop(self, index: int) -> None:
        """Forget a stretch whose entry was refused: the one before it just goes on."""
        stretch = self.stretches[index]
        stretch.status = "dropped"
        if stretch.entry is not None:
            self._entries.pop(stretch.entry, None)
        self._disown(stretch)

    def rewind(self, index: int, sequence: int, token: Token | None) -> Ask:
        """Go back to an earlier page of a stretch, which will be asked for again."""
        stretch = self.stretches[index]
        stretch.sequence, stretch.next, stretch.empty_pages = sequence, token, 0
        if sequence == 0:
            self._disown(stretch)
            stretch.first_ids = []
        return Ask(index, sequence, token)

    def _decide(
        self,
        stretch: Stretch,
        ask: Ask,
        met: tuple[int, str] | None,
        following: Token | None,
        end: EndSpelling | None,
    ) -> Step:
        if met is not None and (skipped := self._skipped(stretch.index, met[0])) is not None:
            return Unstable(f"stretch {stretch.index} met stretch {met[0]} but never stretch {skipped} between them")
        if end is not None:
            return self._at_the_end(stretch, met)
        assert following is not None  # Page: next is a token exactly when the end is not spelt
        later = self._entries.get(following, -1)
        if later > stretch.index:
            if (skipped := self._skipped(stretch.index, later)) is not None and met is None:
                return Unstable(
                    f"stretch {stretch.index} reached stretch {later} but never stretch {skipped} between them"
                )
            return Ended("entry", later) if met is None or met[0] >= later else Ended("met", *met)
        if met is not None:
            return Ended("met", *met)
        if following == ask.token:
            return Broken("a page names itself as the next one")
        if stretch.empty_pages >= EMPTY_PAGES_MAX:
            return Broken(f"{stretch.empty_pages} pages in a row were empty and linked on")
        if self._must_wait(stretch):
            return Pause()
        return Follow(Ask(stretch.index, stretch.sequence, following))

    def _at_the_end(self, stretch: Stretch, met: tuple[int, str] | None) -> Step:
        if met is not None:
            return Ended("met", *met)
        missed = next((s.index for s in self.stretches[stretch.index + 1 :] if s.has_begun), None)
        if missed is not None:
            return Unstable(f"stretch {stretch.index} reached the end of the list but never stretch {missed}")
        return Ended("end")

    def _meeting(self, index: int, ids: Sequence[str]) -> tuple[int, str] | None:
        owners = self._owners
        if not owners or owners.keys().isdisjoint(ids):
            return None
        return min(((owners[i], i) for i in ids if owners.get(i, -1) > index), default=None)

    def _skipped(self, index: int, later: int) -> int | None:
        """The first stretch strictly between two that has users; a walk from one to the other must have seen them.

        Unless it begins where the later one does, as everybody between them is gone.
        """
        first = self.stretches[later].first_ids[:1]
        between = self.stretches[index + 1 : later]
        return next((s.index for s in between if s.has_begun and s.first_ids[:1] != first), None)

    def _find_overtaker(self, stretch: Stretch, ids: Sequence[str]) -> Stretch | None:
        """The stretch before this one, which now begins, if it has passed all the users by which this one would be
        known. Told by the order of ids where they have one."""
        before = next((s for s in reversed(self.stretches[: stretch.index]) if s.has_begun), None)
        return before if before is not None and _has_passed(before, stretch, ids) else None

    def _cover(self, stretch: Stretch, before: Stretch) -> None:
        """Drop a stretch: the one before it walks for both."""
        if before.planned_pages is not None:
            together = stretch.planned_pages and before.planned_pages + stretch.planned_pages
            before.planned_pages = together or None
        self.drop(stretch.index)

    def _must_wait(self, stretch: Stretch) -> bool:
        if not stretch.is_past_plan:
            return False
        following = next((s for s in self.stretches[stretch.index + 1 :] if s.status != "dropped"), None)
        return following is not None and not following.is_known

    def _pass_over(self, stretch: Stretch) -> None:
        """Stretches that were never begun and lie before the place where this one ended are covered by it."""
        until = stretch.stitch if stretch.stitch is not None else len(self.stretches)
        for between in self.stretches[stretch.index + 1 : until]:
            if between.status == "waiting" and between.sequence == 0:
                self.drop(between.index)

    def _own(self, stretch: Stretch, ids: Iterable[str]) -> None:
        if stretch.index == 0 or stretch.status == "dropped":
            return
        for user_id in ids:
            self._owners.setdefault(user_id, stretch.index)

    def _disown(self, stretch: Stretch) -> None:
        for user_id in stretch.first_ids:
            if self._owners.get(user_id) == stretch.index:
                del self._owners[user_id]


def _has_passed(before: Stretch, stretch: Stretch, ids: Sequence[str]) -> bool:
    if before.status == "ended":
        return before.stitch is None or before.stitch > stretch.index
    if before.last_id is None or len(ids) < 2:
        return False
    marks = ids[: len(stretch.first_ids)]
    if all(a < b for a, b in pairwise(marks)):
        return before.last_id >= marks[-1]
    return all(a > b for a, b in pairwise(marks)) and before.last_id <= marks[-1]
