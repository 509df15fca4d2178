"""Asks pages of a finished walk again and holds the answers against what the walk met there.

What the answers mean is decided in ``crawl.probe``; here are the requests, their bound, and the look into the spool.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass

from syncer.crawl.crawler import ListUnstable, first_error
from syncer.crawl.probe import ANEW, PAGES_TINY, Glance, Met, Seen, choose_few, choose_pages, follow_ups, judge_places
from syncer.crawl.spool import Spool
from syncer.errors import GaveUp
from syncer.model import Encode, EncodedPage, ListPage, Page, PageRecord, Token
from syncer.snapshot.columns import digest_ids, newest_update
from syncer.walked_users import WalkedUsers, users_of

LOCAL_CLOCK_ERROR_SECONDS = 86_400.0
"""How wrong this machine's clock may be."""
ROUNDS_MAX = 4
"""Looks at a whole list, until one finds it as the last one did."""
VANISHED_MAX = 3
"""Users of the last snapshot that are looked for where they would stand, two pages for each."""
PAGES_ENOUGH = 8
"""Pages, or all there are, after which a look may end where the service gives up."""
PIECES_MAX = 4
"""Answers for one page: services may serve fewer users than were asked for, and none at all."""


@dataclass(frozen=True, slots=True)
class AskedAgain:
    """A page of the walk and whom its token led to afterwards."""

    record: PageRecord
    glance: Glance
    has_rejects: bool


@dataclass(frozen=True, slots=True)
class Look:
    """What a look back showed, where nothing spoke against the walk."""

    words: str
    has_strangers: bool
    """Whether a look at the whole list saw users that the walk never met: most likely they came meanwhile."""


class Probe:
    """One look back at a finished walk. ``choose``, then ``ask``, then ``judge``."""

    def __init__(self, spool: Spool, *, with_lines: bool, vanished: Sequence[str] = ()) -> None:
        """``vanished``: users of the last snapshot that the walk did not meet, some of them."""
        self._spool = spool
        self._vanished = vanished[:VANISHED_MAX]
        self._with_lines = with_lines
        self._records: dict[tuple[int, int], PageRecord] = {}
        self._chosen: list[PageRecord] = []
        self._is_still = False
        self._is_whole = False
        self._answers: list[AskedAgain] = []
        self._same: set[tuple[int, int]] = set()
        self._newest_at = 0.0
        self._anew: list[Glance] = []
        self._refused: set[tuple[int, int]] = set()
        self._count = 0

    def choose(self, at_once: int, *, is_still: bool = False) -> None:
        """Read the records of the pages to ask for, ``at_once`` of them at the same time. Blocks.

        ``is_still``: the list shows no sign of a change, so a few pages may be enough.
        """
        lengths = {stretch: last.sequence + 1 for stretch, last in self._spool.last_pages().items()}
        for stretch, sequence in sorted({*choose_pages(lengths, at_once), *self._where_they_were()}):
            for near in range(max(sequence - 1, 0), sequence + 1):
                record = self._spool.page(stretch, near)
                assert record is not None, "sequences of a stretch have no gaps"
                self._records[stretch, near] = record
            self._chosen.append(self._records[stretch, sequence])
        self._is_whole = len(self._chosen) == sum(lengths.values())
        self._is_still = is_still and sum(lengths.values()) > PAGES_TINY

    def _where_they_were(self) -> Iterator[tuple[int, int]]:
        """The pages on which a user would be seen that slid past the walk, in a list in order of ids, either way."""
        for user_id in self._vanished:
            if (record := self._spool.page_not_after(user_id)) is not None:
                yield record.stretch, record.sequence
                yield record.stretch, max(record.sequence - 1, 0)

    async def ask(self, list_page: ListPage, encode: Encode, at_once: int) -> None:
        """Ask for the chosen pages, and then for those that settle a doubt. Raises what ``list_page`` raises, but what
        is given up when enough was seen only ends the look.
        """
        asker = _Asker(list_page, encode, asyncio.Semaphore(at_once))
        try:
            if not self._is_still or not await self._is_as_walked(asker):
                await (self._ask_whole_list(asker) if self._is_whole else self._ask_some(asker))
        except BaseExceptionGroup as group:
            error = first_error(group)
            is_enough = len(self._places()) >= min(len(self._chosen), PAGES_ENOUGH)
            if not isinstance(error, GaveUp) or not is_enough:
                raise error from None

    async def _is_as_walked(self, asker: _Asker) -> bool:
        """Whether a few pages hold the users that they held; if not, what they hold is seen in the whole look."""
        is_whole, self._is_whole = self._is_whole, False
        few = choose_few(self._chosen)
        await self._ask_all(few[::-1], 0, asker)
        if len(self._same) == len(few):
            self._chosen = few
            return True
        self._is_whole = is_whole
        for kept in (self._answers, self._same, self._refused):
            kept.clear()
        return False

    async def _ask_whole_list(self, asker: _Asker) -> None:
        """The last page first: what slides towards the start of the list is met there later. And again, the other way
        round, while the list changes: a user can hide from one look, hardly from two that agree."""
        pages = self._chosen[::-1]
        for number in range(ROUNDS_MAX):
            known = self._contents()
            await self._ask_all(pages, number, asker)
            if self._contents() == known:
                break
            pages = pages[::-1]
        if self._refused:
            await self._walk_anew(asker)

    async def _ask_some(self, asker: _Asker) -> None:
        await self._ask_all(self._chosen[::-1], 0, asker)
        glances = ((answer.glance, answer.record.first_id) for answer in self._answers)
        await self._ask_all([self._records[place] for place in follow_ups(glances)], 1, asker)

    async def _ask_all(self, records: Sequence[PageRecord], number: int, asker: _Asker) -> None:
        if not records:
            return
        async with asyncio.TaskGroup() as tasks:
            asking = [tasks.create_task(self._ask(record, number, asker)) for record in records]
            # Waited for in the group's body: of a failure after it the caller would look cancelled (before 3.13).
            await asyncio.wait(asking, return_when=asyncio.FIRST_EXCEPTION)

    async def _ask(self, record: PageRecord, number: int, asker: _Asker) -> None:
        async with asker.places:
            sent = self._counted()
            answers = await asker.gather(record)
        place = record.stretch, record.sequence
        if not answers:
            self._refused.add(place)
            return
        self._newest_at = max(self._newest_at, *(newest_update(answer.batch) for answer in answers))
        # The same users on it as then: nobody slid onto it or from it.
        if not self._is_whole and [answer.digest for answer in answers] == [record.digest]:
            self._same.add(place)
            return
        users = tuple(user for answer in answers for user in _seen(answer))
        glance = Glance(*place, users, sent, self._counted(), number)
        self._answers.append(AskedAgain(record, glance, any(answer.rejects for answer in answers)))

    async def _walk_anew(self, asker: _Asker) -> None:
        """Where remembered tokens are refused: the list from its start, to see who is in it."""
        for number in range(ROUNDS_MAX):
            if await self._walk_once_more(asker, ROUNDS_MAX + number):
                return
        raise GaveUp(
            "the API's page tokens expire before the list can be looked at a second time",
            hint="progress is kept, run again to resume",
        )

    async def _walk_once_more(self, asker: _Asker, number: int) -> bool:
        """Whether the end of the list was reached."""
        token: Token | None = None
        for sequence in range(2 * len(self._chosen) + PIECES_MAX):
            sent = self._counted()
            answer = await asker.list_page(token, self._chosen[0].page_size)
            if not isinstance(answer, Page):
                return False
            users = tuple(_seen(asker.encode(answer)))
            self._anew.append(Glance(ANEW, sequence, users, sent, self._counted(), number))
            token = answer.next
            if token is None:
                return True
        return False

    def _counted(self) -> int:
        self._count += 1
        return self._count

    def _contents(self) -> dict[tuple[int, int], bytes]:
        """What is known of each page's users: those that the walk met, or those seen last, as many as it met."""
        found = {(record.stretch, record.sequence): record.digest for record in self._chosen}
        for answer in self._answers:
            ids = [user.id for user in answer.glance.users[: answer.record.users]]
            found[answer.glance.place] = digest_ids(sorted(ids))
        return found

    def judge(self, began: float, latest: float) -> Look:
        """What the look back showed. Raises ListUnstable. Blocks.

        Both in seconds since 1970. ``began``: the service's clock at the run's first request had not passed this;
        ``latest``: nor this until now.
        """
        glances = [*(a.glance for a in self._answers if not a.record.rejects and not a.has_rejects), *self._anew]
        walked, clock = self._walk(glances, latest)
        if self._is_whole:  # who is older than what the first page held was there before it
            began = max(began, min(clock.values(), default=began))
        fault = judge_places(glances, walked, clock, began)
        if fault:
            raise ListUnstable(
                f"page tokens do not name places in the list: {fault}",
                hint="nothing was published; run again when fewer users change",
            )
        never_met = any(met == [] for met in walked.values())
        return Look(self._words(self._places()), self._is_whole and never_met)

    def _places(self) -> set[tuple[int, int]]:
        return {answer.glance.place for answer in self._answers} | self._same

    def _words(self, places: Set[tuple[int, int]]) -> str:
        if not places:
            return "no page could be asked again" if self._refused else "no page was asked again"
        unknown = len(self._chosen) - len(places)
        refused = f", {unknown} more could not be asked for" if unknown else ""
        return f"{len(places)} pages asked again, every user stood in its place{refused}"

    @property
    def newest_at(self) -> float:
        """The newest time on any page that was asked for again, in seconds since 1970."""
        return self._newest_at

    def _walk(
        self, glances: Sequence[Glance], latest: float
    ) -> tuple[dict[str, list[Met]], dict[tuple[int, int], float]]:
        """Where the walk met the users on these pages, and what the service's clock had passed at pages it read."""
        wanted = {user.id for glance in glances for user in glance.users}
        reading = WalkedUsers(self._spool, self._with_lines, wanted, latest)
        if self._is_whole:
            reading.read_all()
        else:
            reading.read_beside(glances)
            reading.look_up([user.id for glance in glances for user in glance.users])
        return reading.found, reading.clock()


@dataclass(frozen=True, slots=True)
class _Asker:
    list_page: ListPage
    encode: Encode
    places: asyncio.Semaphore

    async def gather(self, record: PageRecord) -> list[EncodedPage]:
        """A page, in as many answers as it takes to hold as many users as the walk met on it; nothing if refused."""
        answers: list[EncodedPage] = []
        token: Token | None = record.token
        for _ in range(PIECES_MAX):
            answer = await self.list_page(token, record.page_size)
            if not isinstance(answer, Page):
                break
            answers.append(self.encode(answer))
            token = answer.next
            is_enough = record.end is None and sum(a.users for a in answers) >= record.users
            if token is None or is_enough:
                break
        return answers


def _seen(encoded: EncodedPage) -> list[Seen]:
    return users_of(encoded.batch)
