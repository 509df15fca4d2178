"""Asks a few pages of a finished walk again and holds the answers against what the walk met there.

What the answers mean is decided in ``crawl.probe``; here are the requests, their bound, and the look into the spool.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from itertools import islice
from typing import Any

from syncer.crawl.crawler import ListUnstable
from syncer.crawl.probe import Glance, Place, choose_pages, follow_ups, judge_places
from syncer.crawl.spool import SortedPage, Spool
from syncer.model import Encode, EncodedPage, ListPage, Page, PageRecord
from syncer.snapshot.columns import unpack

SETTLED_MARGIN_SECONDS = 600.0
"""Room for what a service's machines disagree on about the time."""
LOCAL_CLOCK_ERROR_SECONDS = 86_400.0
"""How wrong this machine's clock may be."""
BLANK_ROUNDS_MAX = 3
LOOKUPS_MAX = 16
"""Users looked for in the whole spool: those that were met neither on the same page nor on the ones beside it."""
LOOKUP_PAGES_MAX = 64
"""Pages read for one of them. In a list whose order is not that of ids all pages may hold it, and it bears no
witness."""


@dataclass(frozen=True, slots=True)
class AskedAgain:
    """A page of the walk and what its token led to afterwards."""

    record: PageRecord
    encoded: EncodedPage
    is_end: bool
    is_follow_up: bool


class Probe:
    """One look back at a finished walk. ``choose``, then ``ask``, then ``judge``."""

    def __init__(self, spool: Spool, *, with_lines: bool) -> None:
        self._spool = spool
        self._with_lines = with_lines
        self._records: dict[tuple[int, int], PageRecord] = {}
        self._chosen: list[PageRecord] = []
        self._answers: list[AskedAgain] = []
        self._refused = 0

    def choose(self) -> None:
        """Read the records of the pages to ask for. Blocks."""
        lengths = {stretch: last.sequence + 1 for stretch, last in self._spool.last_pages().items()}
        for stretch, sequence in choose_pages(lengths):
            for near in range(max(sequence - 1, 0), sequence + 1):
                record = self._spool.page(stretch, near)
                assert record is not None, "sequences of a stretch have no gaps"
                self._records[stretch, near] = record
            self._chosen.append(self._records[stretch, sequence])

    async def ask(self, list_page: ListPage, encode: Encode, at_once: int) -> None:
        """Ask for the chosen pages, and then for those that settle a doubt. Raises what ``list_page`` raises."""
        await self._ask_all(self._chosen, False, list_page, encode, at_once)
        for _ in range(BLANK_ROUNDS_MAX):
            await self._ask_all(self._blank(), False, list_page, encode, at_once)
        glances = [(_glance(answer, float("-inf")), answer.record.first_id) for answer in self._answers]
        doubtful = [self._records[place] for place in follow_ups(glances)]
        await self._ask_all(doubtful, True, list_page, encode, at_once)

    def _blank(self) -> list[PageRecord]:
        """Pages of users that only linked on when they were asked for again: such an answer says nothing."""
        held = {(a.record.stretch, a.record.sequence) for a in self._answers if a.encoded.ids or a.is_end}
        asked = {(a.record.stretch, a.record.sequence): a.record for a in self._answers}
        return [record for place, record in asked.items() if place not in held and record.users]

    async def _ask_all(
        self, records: Sequence[PageRecord], is_follow_up: bool, list_page: ListPage, encode: Encode, at_once: int
    ) -> None:
        places = asyncio.Semaphore(at_once)

        async def one(record: PageRecord) -> None:
            async with places:
                answer = await list_page(record.token, record.page_size)
            if not isinstance(answer, Page):
                self._refused += 1
                return
            self._answers.append(AskedAgain(record, encode(answer), answer.end is not None, is_follow_up))

        if not records:
            return
        async with asyncio.TaskGroup() as tasks:
            asking = [tasks.create_task(one(record)) for record in records]
            # Waited for in the group's body: of a failure after it the caller would look cancelled (before 3.13).
            await asyncio.wait(asking, return_when=asyncio.FIRST_EXCEPTION)

    def judge(self, run_seconds: float, started_at: float, *, believe_ages: bool) -> str:
        """What the look back showed, in words for the manifest. Raises ListUnstable. Blocks.

        ``run_seconds`` is how long ago the walk's first request was: by the service's own clock the run began no
        earlier than so long before the newest time on any page. ``started_at`` is by the local clock, in seconds since
        1970, and believed to a day. ``believe_ages``: whether the list's times have anything to do with the present, so
        that a user's age says whether it was there when the run began.
        """
        clean = [a for a in self._answers if not a.record.rejects and not a.encoded.rejects]
        newest = max((updated for answer in clean for _, updated in _times(answer.encoded)), default=0.0)
        before = max(newest - run_seconds - SETTLED_MARGIN_SECONDS, started_at - LOCAL_CLOCK_ERROR_SECONDS)
        glances = [_glance(answer, before) for answer in clean]
        stored = self._stored(glances)
        if not believe_ages:  # one that was never met may have come meanwhile, whatever its age
            stored = {user_id: places for user_id, places in stored.items() if places}
        fault = judge_places(glances, stored)
        if fault:
            raise ListUnstable(
                f"page tokens do not name places in the list: {fault}",
                hint="nothing was published; run again when fewer users change",
            )
        pages = len({(glance.stretch, glance.sequence) for glance in glances})
        if not clean:
            return "no page could be asked again" if self._refused else "no page was asked again"
        refused = f", {self._refused} more were refused" if self._refused else ""
        return f"{pages} pages asked again, every user stood in its place{refused}"

    def _stored(self, glances: Sequence[Glance]) -> dict[str, list[Place]]:
        """Where the walk met the users on these pages."""
        found: dict[str, list[Place]] = {}
        known: set[tuple[int, int]] = set()
        wanted = {user_id for glance in glances for user_id in glance.ids}  # a third of those on the pages beside them
        for glance in glances:
            for place in self._beside(glance):
                if place not in known:
                    known.add(place)
                    self._read(place, found, wanted)
        unknown = sorted({i for glance in glances for i in glance.old if i not in found})
        for user_id in unknown[:LOOKUPS_MAX]:
            pages = list(islice(self._spool.pages_around(user_id), LOOKUP_PAGES_MAX + 1))
            if len(pages) <= LOOKUP_PAGES_MAX:
                found[user_id] = [place for page in pages for place in self._places(page, user_id)]
        return found

    def _beside(self, glance: Glance) -> list[tuple[int, int]]:
        """The page, the ones beside it, and the start of the stretch that its own leads to."""
        near = [(glance.stretch, glance.sequence + step) for step in (-1, 0, 1)]
        record = self._spool.page(glance.stretch, glance.sequence)
        return [*near, (record.stitch, 0)] if record and record.stitch is not None else near

    def _read(self, place: tuple[int, int], found: dict[str, list[Place]], wanted: Set[str]) -> None:
        page = self._spool.stored_page(*place)
        if page is not None:
            for row, user_id in enumerate(self._ids(page)):
                if user_id in wanted:
                    found.setdefault(user_id, []).append((*place, row))

    def _places(self, page: SortedPage, user_id: str) -> Iterable[Place]:
        return [(page.stretch, page.sequence, row) for row, i in enumerate(self._ids(page)) if i == user_id]

    def _ids(self, page: SortedPage) -> list[str]:
        batch: Any = unpack(self._spool.payload(page.page), with_lines=self._with_lines)
        ids: list[str] = batch.column("id").to_pylist()
        return ids


def _times(encoded: EncodedPage) -> list[tuple[float, float]]:
    """Each user's creation and last update, in seconds since 1970."""
    batch: Any = encoded.batch
    created, updated = (batch.column(name).cast("int64").to_pylist() for name in ("created_at", "updated_at"))
    return [(c / 1e6, u / 1e6) for c, u in zip(created, updated, strict=True)]


def _glance(answer: AskedAgain, before: float) -> Glance:
    ids, record = answer.encoded.ids, answer.record
    times = dict(zip(ids, _times(answer.encoded), strict=True))
    old = frozenset(i for i, (created, _) in times.items() if created < before)
    settled = frozenset(i for i in old if times[i][1] < before)
    return Glance(record.stretch, record.sequence, tuple(ids), old, settled, answer.is_follow_up)
