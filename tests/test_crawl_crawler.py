"""The crawler in virtual time over a scripted list: what is asked, when, and what is in the spool afterwards."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest

from syncer.crawl.crawler import Crawler, ListUnstable
from syncer.crawl.plan import Plan, PlannedStretch, plan_sequential
from syncer.crawl.proof import prove_coverage
from syncer.crawl.recorder import Recorder
from syncer.crawl.recovery import Ports, WalkLost
from syncer.crawl.spool import RunFacts, Spool
from syncer.crawl.walk import Walk
from syncer.errors import ContractBroken, CoverageNotProven, GaveUp, StorageFailed
from syncer.model import ApiError, Counters, EncodedPage, ListAnswer, Page, Struggling, Token, TokenRefused
from tests.virtual_time import in_later_turn, run_virtual

FACTS = RunFacts("AC1", "20261124T020000Z", "2026-11-24T02:00:00+00:00", "https://api.invalid/v1", False, "")


def encode(page: Page) -> EncodedPage:
    ids = [str(user["id"]) for user in page.users]
    low, high = (min(ids), max(ids)) if ids else (None, None)
    return EncodedPage(ids, low, high, len(ids), hashlib.sha256("\n".join(sorted(ids)).encode()).digest(), ids, ())


@dataclass
class FakeList:
    """A list by key: the token ``k`` names the place after the id ``k``. Answers can be scripted for a token."""

    ids: list[str]
    latency_seconds: float = 0.1
    script: dict[str | None, list[ListAnswer | Exception]] = field(default_factory=dict)
    asked: list[tuple[float, str | None, int]] = field(default_factory=list)
    at_once: int = 0
    at_once_max: int = 0
    wrong_guess: bool = False

    async def __call__(
        self, token: Token | None, page_size: int, on_next: Callable[[Token], None] | None = None
    ) -> ListAnswer:
        self.asked.append((round(asyncio.get_running_loop().time(), 2), token, page_size))
        self.at_once += 1
        self.at_once_max = max(self.at_once, self.at_once_max)
        try:
            await asyncio.sleep(self.latency_seconds)
        finally:
            self.at_once -= 1
        scripted = self.script.get(token)
        if scripted:
            answer = scripted.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        page = self.page(token, page_size)
        if on_next and page.next:
            on_next(Token("zzz") if self.wrong_guess else page.next)
        return page

    def page(self, token: str | None, size: int) -> Page:
        rest = [i for i in self.ids if token is None or i > token]
        rows = rest[:size]
        following = Token(rows[-1]) if len(rest) > size else None
        return Page([{"id": i} for i in rows], following, None if following else "null", b"")


def ids(count: int) -> list[str]:
    return [f"u{n:04d}" for n in range(count)]


@dataclass
class Bench:
    """A crawler with everything around it."""

    spool: Spool
    service: FakeList
    counters: Counters = field(default_factory=Counters)

    def crawl(self, *, walkers: int = 1, page_size: int = 10, seconds_max: float = 1000.0) -> Crawler:
        crawler: Crawler | None = None

        async def main() -> None:
            nonlocal crawler

            recorder = Recorder(self.spool, in_later_turn, self.counters, append=in_later_turn)
            ports = Ports(self.service, encode, recorder, self.spool)
            walk = Walk(self.spool.stretches())
            crawler = Crawler(
                walk, ports, self.counters, walkers=walkers, page_size=page_size, asked=self.spool.last_asked()
            )
            async with asyncio.timeout(seconds_max):
                await crawler.run()
            assert asyncio.all_tasks() == {asyncio.current_task()}

        run_virtual(main())
        assert crawler is not None
        return crawler

    def users(self) -> list[str]:
        return sorted(i for page in self.spool.sorted_pages() for i in eval(self.spool.payload(page)))

    def tokens(self) -> list[str | None]:
        return [token for _, token, _ in self.service.asked]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    made: list[Spool] = []

    def build(service: FakeList, *entries: tuple[str | None, int | None]) -> Bench:
        spool = Spool(tmp_path / f"{len(made)}.sqlite", lambda batch: repr(batch).encode())
        made.append(spool)
        stretches = tuple(PlannedStretch(Token(e) if e else None, n) for e, n in entries)
        spool.begin(FACTS, Plan(stretches, "") if entries else plan_sequential(""))
        return Bench(spool, service)

    yield build
    for spool in made:
        spool.close()


Make = Callable[..., Bench]
REFUSED = TokenRefused(ApiError(400, "bad token"))
STRUGGLING = Struggling(ApiError(500, "overloaded", request_id="RQ1"))


def test_a_walker_asks_for_its_next_stretch_while_the_last_page_of_this_one_is_written(make: Make) -> None:
    bench = make(FakeList(ids(120)), (None, 3), ("u0029", 3), ("u0059", 3), ("u0089", None))
    disk_seconds = 5.0

    async def slow(work: Callable[[], None]) -> None:
        await asyncio.sleep(disk_seconds)
        work()

    async def main() -> None:
        recorder = Recorder(bench.spool, slow, bench.counters, append=slow)
        walk = Walk(bench.spool.stretches())
        ports = Ports(bench.service, encode, recorder, bench.spool)
        await Crawler(walk, ports, bench.counters, walkers=1, page_size=10).run()

    run_virtual(main())
    asked = [at for at, _, _ in bench.service.asked]
    assert len(asked) == 12
    assert max(later - at for at, later in pairwise(asked)) < disk_seconds + 0.3
    assert asked[-1] < 12 * (disk_seconds + 0.1)


def test_other_walkers_start_as_soon_as_one_entry_is_answered(make: Make) -> None:
    service = FakeList(ids(120))
    bench = make(service, (None, 3), ("u0029", 3), ("u0059", 3), ("u0089", None))
    bench.crawl(walkers=4)
    assert sorted(at for at, token, _ in service.asked if token in ("u0029", "u0059", "u0089")) == [0.0, 0.1, 0.1]


def test_one_walker_asks_each_page_once_and_one_after_the_other(make: Make) -> None:
    bench = make(FakeList(ids(95)))
    bench.crawl()
    assert bench.tokens() == [None, *[f"u{n:04d}" for n in range(9, 90, 10)]]
    assert bench.users() == ids(95)
    assert bench.service.at_once_max == 1
    assert prove_coverage(bench.spool.pages()).verdict == "complete"
    assert (bench.counters.pages, bench.counters.users) == (10, 95)


def test_the_next_request_leaves_as_soon_as_the_answer_is_there(make: Make) -> None:
    bench = make(FakeList(ids(50)))
    bench.crawl()
    assert [at for at, _, _ in bench.service.asked] == [0.0, 0.1, 0.2, 0.3, 0.4]


def test_a_wrong_guess_of_the_next_token_is_thrown_away(make: Make) -> None:
    bench = make(FakeList(ids(25), wrong_guess=True))
    bench.crawl()
    assert bench.users() == ids(25)
    assert prove_coverage(bench.spool.pages()).verdict == "complete"


FOUR = ((None, 5), ("u0049", 5), ("u0099", 5), ("u0149", None))


def test_four_walkers_share_the_list_without_asking_anything_twice(make: Make) -> None:
    bench = make(FakeList(ids(200)), *FOUR)
    bench.crawl(walkers=4)
    assert sorted(bench.tokens(), key=str) == sorted([None, *[f"u{n:04d}" for n in range(9, 199, 10)]], key=str)
    assert bench.service.asked[-1][0] <= 0.6
    assert bench.users() == ids(200)
    coverage = prove_coverage(bench.spool.pages())
    assert (coverage.verdict, coverage.path) == ("complete", (0, 1, 2, 3))


def test_until_an_entry_is_known_to_be_accepted_only_one_is_tried(make: Make) -> None:
    bench = make(FakeList(ids(200)), *FOUR)
    bench.crawl(walkers=4)
    assert [token for at, token, _ in bench.service.asked if at < 0.1] == [None, "u0049"]


def test_shifted_borders_are_stitched_by_users(make: Make) -> None:
    listed = sorted({*ids(200), "u0003a", "u0003b", "u0077a"} - {"u0049", "u0110"})
    bench = make(FakeList(listed), *FOUR)
    bench.crawl(walkers=4)
    assert sorted(set(bench.users())) == listed
    assert prove_coverage(bench.spool.pages()).verdict == "complete"
    assert len(bench.service.asked) <= 20 + 3 + 2


@pytest.mark.parametrize("walkers", [1, 2, 4])
def test_users_who_left_since_the_last_night_do_not_make_a_list_look_unstable(make: Make, walkers: int) -> None:
    listed = [user for n, user in enumerate(ids(400)) if n % 50 >= 22]
    entries = [(f"u{n:04d}", 5) for n in range(49, 350, 50)]
    bench = make(FakeList(listed), (None, 5), *entries, ("u0349", None))
    bench.crawl(walkers=walkers)
    assert sorted(set(bench.users())) == listed
    assert prove_coverage(bench.spool.pages()).verdict == "complete"
    assert len(bench.service.asked) <= len(listed) / 10 + 2 * 8


def test_refused_entries_leave_a_sequential_walk(make: Make) -> None:
    service = FakeList(ids(200), script={"u0049": [REFUSED]})
    bench = make(service, *FOUR)
    crawler = bench.crawl(walkers=4)
    assert (crawler.entries_refused, service.at_once_max) == (1, 2)
    assert len(service.asked) == 20 + 1
    assert bench.users() == ids(200)
    assert prove_coverage(bench.spool.pages()).path == (0,)


def test_one_refused_entry_among_accepted_ones_is_walked_over(make: Make) -> None:
    bench = make(FakeList(ids(200), script={"u0099": [REFUSED]}), *FOUR)
    crawler = bench.crawl(walkers=4)
    assert crawler.entries_refused == 1
    assert bench.users() == ids(200)
    assert prove_coverage(bench.spool.pages()).path == (0, 1, 3)


def test_an_entry_that_is_answered_by_anything_but_a_page_is_walked_over(make: Make) -> None:
    bench = make(FakeList(ids(200), script={"u0099": [ContractBroken("no page")], "u0149": [STRUGGLING] * 3}), *FOUR)
    crawler = bench.crawl(walkers=4)
    assert crawler.entries_refused == 2
    assert bench.users() == ids(200)
    assert prove_coverage(bench.spool.pages()).path == (0, 1)
    assert {size for _, _, size in bench.service.asked} == {10}
    assert bench.tokens().count("u0149") == 3 + 1


def test_an_entry_that_struggles_for_a_while_is_kept(make: Make) -> None:
    bench = make(FakeList(ids(200), script={"u0049": [STRUGGLING] * 2}), *FOUR)
    crawler = bench.crawl(walkers=4)
    assert crawler.entries_refused == 0
    assert bench.users() == ids(200)
    assert prove_coverage(bench.spool.pages()).path == (0, 1, 2, 3)


def test_a_broken_contract_behind_an_entry_ends_the_run(make: Make) -> None:
    bench = make(FakeList(ids(200), script={"u0059": [ContractBroken("no page")]}), *FOUR)
    with pytest.raises(ContractBroken):
        bench.crawl(walkers=4)


def test_a_walk_that_failed_goes_on_where_it_stood(make: Make) -> None:
    service = FakeList(ids(100), script={"u0049": [GaveUp("outage")]})
    bench = make(service)
    with pytest.raises(GaveUp, match="outage"):
        bench.crawl()
    assert bench.spool.count_pages() >= 4
    before = len(service.asked)
    bench.crawl()
    assert bench.users() == ids(100)
    assert len(service.asked) - before <= 10 - 4


def test_an_early_request_that_fails_and_is_not_needed_does_not_end_the_run(make: Make) -> None:
    service = FakeList(ids(25), wrong_guess=True, script={"zzz": [GaveUp("never asked for")] * 9})
    bench = make(service)
    bench.crawl()
    assert bench.users() == ids(25)


def test_a_page_too_large_for_the_api_is_asked_for_in_smaller_steps_and_later_larger_again(make: Make) -> None:
    service = FakeList(ids(3000), script={"u0499": [STRUGGLING, STRUGGLING]})
    bench = make(service)
    bench.crawl(page_size=500)
    sizes = [size for _, token, size in service.asked if token and token >= "u0499"]
    assert sizes[:4] == [500, 250, 100, 100]
    assert sizes[-1] > 100
    assert bench.users() == ids(3000)
    assert prove_coverage(bench.spool.pages()).verdict == "complete"


def test_trouble_at_the_smallest_page_ends_the_run_and_keeps_progress(make: Make) -> None:
    bench = make(FakeList(ids(100), script={"u0009": [STRUGGLING] * 9}))
    with pytest.raises(GaveUp, match=r"keeps failing at 10 users a page: overloaded \(request RQ1\); progress is kept"):
        bench.crawl()
    assert bench.spool.count_pages() == 1


def test_tokens_bound_to_a_page_size_are_asked_with_that_size_again(make: Make) -> None:
    service = FakeList(ids(1500), script={"u0999": [STRUGGLING, REFUSED]})
    bench = make(service)
    bench.crawl(page_size=500)
    assert bench.users() == ids(1500)
    assert [size for _, token, size in service.asked if token == "u0999"] == [500, 250, 500]


def test_tokens_bound_to_a_page_size_that_keeps_failing_end_the_run(make: Make) -> None:
    bench = make(FakeList(ids(1500), script={"u0999": [STRUGGLING, REFUSED, *[STRUGGLING] * 3]}))
    with pytest.raises(GaveUp, match="keeps failing at 500 users a page"):
        bench.crawl(page_size=500)


def test_a_refused_token_steps_back_to_the_last_one_that_is_accepted(make: Make) -> None:
    service = FakeList(ids(100), script={"u0079": [REFUSED], "u0069": [REFUSED]})
    bench = make(service)
    bench.crawl()
    assert bench.users() == ids(100)
    assert prove_coverage(bench.spool.pages()).verdict == "complete"
    assert bench.tokens()[8:].count("u0069") >= 1
    assert None not in bench.tokens()[1:]


def test_a_step_back_that_meets_other_users_goes_back_further(make: Make) -> None:
    service = FakeList(ids(100), script={"u0079": [REFUSED]})
    service.script["u0069"] = [service.page("u0069", 10), Page([{"id": "u0001"}], Token("x"), None, b"")]
    bench = make(service)
    bench.crawl()
    assert bench.users() == ids(100)


def test_a_stretch_whose_tokens_are_all_refused_begins_again_at_the_start_of_the_list(make: Make) -> None:
    service = FakeList(ids(40), script={"u0029": [REFUSED]})
    service.script["u0019"] = [service.page("u0019", 10), REFUSED]
    bench = make(service)
    bench.crawl()
    assert bench.tokens().count(None) == 2
    assert bench.users() == ids(40)


def test_tokens_that_never_live_long_enough_end_the_run(make: Make) -> None:
    bench = make(FakeList(ids(40), script={"u0009": [REFUSED] * 99}))
    with pytest.raises(WalkLost, match="expire faster than the list can be walked"):
        bench.crawl()
    assert bench.tokens().count(None) == 3


def test_walks_from_the_start_are_counted_over_resumes(make: Make) -> None:
    bench = make(FakeList(ids(40), script={"u0009": [REFUSED] * 99}))
    bench.spool.set_numbers(restarts=1)  # by a run that was killed
    with pytest.raises(WalkLost, match="expire faster than the list can be walked"):
        bench.crawl()
    assert bench.tokens().count(None) == 2


def test_a_later_stretch_whose_tokens_are_all_refused_is_lost(make: Make) -> None:
    service = FakeList(ids(200), script={"u0069": [REFUSED]})
    for token in ("u0059", "u0049"):
        service.script[token] = [service.page(token, 10), REFUSED, REFUSED]
    bench = make(service, *FOUR)
    with pytest.raises(WalkLost, match="no longer accepts the page tokens of this run: bad token"):
        bench.crawl(walkers=4)


def test_a_circle_of_tokens_ends_the_run_after_at_most_two_rounds(make: Make) -> None:
    service = FakeList(ids(60))
    service.script["u0039"] = [Page([{"id": "x"}], Token("u0019"), None, b"")] * 9
    bench = make(service)
    with pytest.raises(CoverageNotProven):
        bench.crawl()
    assert len(service.asked) <= 5 + 4


def test_a_list_that_only_links_ends_the_run(make: Make) -> None:
    service = FakeList([])
    service.script[None] = [Page([], Token("1"), None, b"")]
    for n in range(1, 200):
        service.script[str(n)] = [Page([], Token(str(n + 1)), None, b"")]
    bench = make(service)
    with pytest.raises(CoverageNotProven, match="50 pages in a row were empty and linked on"):
        bench.crawl()


def test_a_list_that_does_not_keep_its_order_is_named(make: Make) -> None:
    service = FakeList(ids(200))
    service.script["u0029"] = [Page([{"id": "u0100"}], Token("q"), None, b"")]
    bench = make(service, *FOUR)
    with pytest.raises(ListUnstable, match="met stretch 2 but never stretch 1"):
        bench.crawl(walkers=4)


def test_a_broken_contract_ends_all_walkers(make: Make) -> None:
    bench = make(FakeList(ids(200), script={"u0119": [ContractBroken("no pagination")]}), *FOUR)
    with pytest.raises(ContractBroken, match="no pagination"):
        bench.crawl(walkers=4)


def test_a_spool_that_cannot_be_written_ends_the_run(make: Make) -> None:
    bench = make(FakeList([f"{n:020000d}" for n in range(100)]))
    bench.spool._db.execute(f"PRAGMA max_page_count = {bench.spool._db.execute('PRAGMA page_count').fetchone()[0]}")
    with pytest.raises(StorageFailed, match="disk is full"):
        bench.crawl()


@pytest.mark.parametrize("seconds", [0.05, 0.1, 0.15, 0.25, 0.35])
def test_a_crawl_that_is_stopped_at_any_time_leaves_a_state_to_resume_from(make: Make, seconds: float) -> None:
    bench = make(FakeList(ids(200)), *FOUR)
    with pytest.raises(TimeoutError):
        bench.crawl(walkers=4, seconds_max=seconds)
    recorded = bench.spool.count_pages()
    asked = len(bench.service.asked)
    bench.crawl(walkers=4)
    assert bench.users() == ids(200)
    assert prove_coverage(bench.spool.pages()).verdict == "complete"
    assert len(bench.service.asked) - asked == 20 - recorded
    assert asked - recorded <= 2 * 4


def test_an_empty_list_is_one_page(make: Make) -> None:
    bench = make(FakeList([]))
    bench.crawl()
    assert bench.tokens() == [None]
    assert prove_coverage(bench.spool.pages()).verdict == "complete"
