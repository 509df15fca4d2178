"""What to do when a page cannot be had: another round, smaller pages, an entry less, or back to a token that works.

One for each walk; its walkers share what was learnt of the page size and of the remembered entries.
"""

from __future__ import annotations

from dataclasses import dataclass

from syncer.crawl.page_size import PageSize
from syncer.crawl.recorder import Recorder
from syncer.crawl.spool import Spool
from syncer.crawl.stretch import Ask
from syncer.crawl.walk import Walk
from syncer.errors import CoverageNotProven, GaveUp
from syncer.model import Encode, ListPage, Page, PageRecord, Struggling, TokenRefused

STRUGGLES_MAX = 3
"""Rounds of attempts for one token at the smallest page size."""


class WalkLost(CoverageNotProven):
    """No remembered token of a stretch is accepted any more: only a new walk from the start can help."""


@dataclass(frozen=True, slots=True)
class Ports:
    """What the crawler needs of the world."""

    list_page: ListPage
    encode: Encode
    recorder: Recorder
    spool: Spool
    """Only used through the recorder."""


class Recovery:
    """Knows what has gone wrong so far. ``page_size`` is what to ask for now."""

    def __init__(self, walk: Walk, ports: Ports, page_size: int) -> None:
        self._walk = walk
        self._ports = ports
        self._size = PageSize(page_size, page_size)
        self._is_size_bound = False
        self._struggles: dict[int, int] = {}
        self._served_size = 0
        """The largest page size at which a page was served in this run."""
        self._sizes_in_vain: list[int] = []
        """Page sizes that were given up, each time one was."""
        self.is_probed = sum(s.status != "dropped" for s in walk.stretches) < 2 or any(
            s.sequence for s in walk.stretches[1:]
        )
        """Whether it is known if the service accepts entries: one of them was, or was refused."""
        self.entries_refused = 0

    @property
    def page_size(self) -> int:
        """Users to ask for."""
        return self._size.now

    @property
    def size_to_remember(self) -> int:
        """The largest page size that was served, where larger ones were given up again and again; 0 where not.

        Once is not enough: it may have been a bad minute of the service.
        """
        in_vain = [size for size in self._sizes_in_vain if size > self._served_size]
        return self._served_size if len(in_vain) > 1 else 0

    def served(self, ask: Ask, page_size: int) -> None:
        """A page came without trouble."""
        self._size = self._size.after_clean_page()
        self._served_size = max(self._served_size, page_size)
        self._struggles.pop(ask.stretch, None)

    async def after(self, ask: Ask, page_size: int, answer: TokenRefused | Struggling) -> Ask | None:
        """What the stretch asks for next; None when it was dropped. Raises GaveUp and WalkLost."""
        if isinstance(answer, Struggling):
            if ask.is_entry and page_size <= self._served_size:
                return self._entry_again(ask)
            return self._smaller_page(ask, page_size, answer)
        if ask.sequence > 0:
            return await self._after_lost_token(ask, page_size, answer)
        self.drop_entry(ask)
        return None

    def _entry_again(self, ask: Ask) -> Ask | None:
        """Pages of this size are served, so a smaller one is no help: the service may answer a stale token by 500."""
        if self._is_worth_a_round(ask):
            return ask
        self.drop_entry(ask)
        return None

    def _is_worth_a_round(self, ask: Ask) -> bool:
        rounds = self._struggles[ask.stretch] = self._struggles.get(ask.stretch, 0) + 1
        return rounds < STRUGGLES_MAX

    def _smaller_page(self, ask: Ask, page_size: int, answer: Struggling) -> Ask:
        if page_size > self._size.now:
            return ask  # another walker stepped down meanwhile: try that step first
        if self._size.is_smallest or self._is_size_bound:
            if self._is_worth_a_round(ask):
                return ask
            raise GaveUp(
                f"the API keeps failing at {self._size.now} users a page: {answer.error.message}",
                hint="progress is kept, run again to resume; --fresh begins anew, should it fail there again",
                request_id=answer.error.request_id,
            )
        self._sizes_in_vain.append(page_size)
        self._size = self._size.smaller()
        return ask

    def drop_entry(self, ask: Ask) -> None:
        """A refused entry costs nothing but its share of the speed: the stretch before it goes on."""
        self.entries_refused += 1
        self._walk.drop(ask.stretch)
        if not self.is_probed:  # the others are of the same night
            self.is_probed = True
            for stretch in self._walk.stretches[1:]:
                if stretch.status == "waiting" and stretch.sequence == 0:
                    self._walk.drop(stretch.index)

    async def _after_lost_token(self, ask: Ask, page_size: int, answer: TokenRefused) -> Ask | None:
        """The token that a page of this run named is refused: bound to another page size, or expired."""
        before = await self._recorded(ask.stretch, ask.sequence - 1)
        if before.page_size != page_size and not self._is_size_bound:
            self._is_size_bound = True
            self._size = PageSize(before.page_size, before.page_size)
            return ask
        back = 1
        while True:
            sequence = max(ask.sequence - back, 0)
            found = await self._still_accepted(ask.stretch, sequence)
            if found is not None:
                return await self._rewind(found)
            if sequence == 0:
                raise WalkLost(
                    f"the API no longer accepts the page tokens of this run: {answer.error.message}",
                    hint="nothing was published; run again, it begins anew",
                    request_id=answer.error.request_id,
                )
            back = back * 2 + 1

    async def _still_accepted(self, stretch: int, sequence: int) -> Ask | None:
        """Whether a page can be asked for again, and the answer shares a user with what it was: the join is proven by
        ids."""
        old = await self._recorded(stretch, sequence)
        ask = Ask(stretch, sequence, old.token)
        if old.token is None:
            return ask
        answer = await self._ports.list_page(old.token, old.page_size)
        if not isinstance(answer, Page):
            return None
        ids = self._ports.encode(answer).ids
        is_same = old.first_id is None or old.first_id in ids or old.last_id in ids
        return ask if is_same else None

    async def _rewind(self, ask: Ask) -> Ask:
        await self._ports.recorder.call(lambda: self._drop_pages(ask))
        return self._walk.rewind(ask.stretch, ask.sequence, ask.token)

    def _drop_pages(self, ask: Ask) -> None:
        """Blocks. A walk from the start is counted in the spool: a resumed run has no more of them than another."""
        spool, is_restart = self._ports.spool, ask.token is None
        if is_restart and not spool.may_restart:
            raise WalkLost(
                "the API's page tokens expire faster than the list can be walked",
                hint="nothing was published; more walkers, a higher rate or larger pages read it in less time",
            )
        spool.rewind(ask.stretch, ask.sequence, is_restart=is_restart)

    async def _recorded(self, stretch: int, sequence: int) -> PageRecord:
        record: PageRecord | None = None

        def read() -> None:
            nonlocal record
            record = self._ports.spool.page(stretch, sequence)

        await self._ports.recorder.call(read)
        assert record is not None, "a stretch's pages are recorded before the next one is asked for"
        return record
