"""One trouble over its whole range: tokens that expire, outages, wrong clocks; and that its checks can fail.

`make simulate-campaigns` runs thousands of these seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from syncer.api import asking
from syncer.api.backoff import RetryBudget
from syncer.crawl.spool import Spool
from syncer.model import WireResponse
from tests.simulation.campaigns import (
    CLOCKS,
    with_changes,
    with_clock,
    with_departures,
    with_expiry,
    with_outage,
    with_sizes,
)
from tests.simulation.chain import ChainBroken, Row, users_of_one_walk
from tests.simulation.checker import CheckFailed
from tests.simulation.clocks import are_alike, check_pace
from tests.simulation.night import LOST, simulate
from tests.simulation.scenario import Scenario, scenario
from tests.simulation.seeds import folder_for_seed
from tests.simulation.service import Served

SEEDS = 30
PLANTED_SEEDS_MAX = 400


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with folder_for_seed() as folder:
        yield folder


def nights(folder: Path, campaign: Callable[[Scenario], Scenario], seeds: int = SEEDS) -> list[str]:
    """What became of each night."""
    scenarios = (campaign(scenario(seed)) for seed in range(seeds))
    return [words for s in scenarios for words in simulate(s, folder / str(s.seed)).nights]


def test_expiring_tokens_cost_two_new_walks_at_most_and_never_mix_rows_of_two(tmp_path: Path) -> None:
    ended = nights(tmp_path, with_expiry)
    refused = sum(words.startswith("5: the API's page tokens expire faster") for words in ended)
    assert 0 < refused < ended.count("complete")


def test_an_outage_ends_each_run_within_its_retry_budget_and_keeps_what_was_fetched(tmp_path: Path) -> None:
    ended = nights(tmp_path, with_outage)
    assert ended.count("complete") > SEEDS
    assert any(words.startswith("4: ") for words in ended)


def test_a_wrong_clock_changes_neither_order_of_ids_nor_durations_nor_pace(tmp_path: Path) -> None:
    for seed in range(len(CLOCKS) * 4):
        drawn = with_clock(scenario(seed))
        assert simulate(drawn, tmp_path / str(seed)).nights == ("complete", "complete")
        check_pace(drawn, tmp_path / f"pace-{seed}")


def test_pages_that_are_too_large_here_and_there_are_asked_for_in_smaller_ones_of_one_chain(tmp_path: Path) -> None:
    assert set(nights(tmp_path, with_sizes, 12)) == {"complete"}


def test_users_who_come_go_and_change_meanwhile_are_there_once_at_most(tmp_path: Path) -> None:
    ended = nights(tmp_path, with_changes)
    assert LOST not in ended
    assert "complete" in ended


def test_users_who_leave_between_two_nights_do_not_make_a_list_look_unstable(tmp_path: Path) -> None:
    assert set(nights(tmp_path, with_departures, 20)) == {"complete"}


# -- the checks can fail ----------------------------------------------------------------------------------------


def found_by(folder: Path, judge: Callable[[Scenario, Path], object]) -> str:
    """What the first failing seed says; empty when all pass."""
    for seed in range(PLANTED_SEEDS_MAX):
        try:
            judge(scenario(seed), folder / str(seed))
        except CheckFailed as failed:
            return str(failed)
    return ""


def test_walks_begun_again_without_end_are_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    counter = count()
    monkeypatch.setattr(Spool, "may_restart", property(lambda _: next(counter) % 9 < 8))

    def slow(s: Scenario, folder: Path) -> object:
        return simulate(replace(with_expiry(s), token_ttl_seconds=1.0, latency_seconds=1.0), folder)

    assert "the list was walked from its start" in found_by(tmp_path, slow)


def test_retries_that_cost_nothing_are_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(RetryBudget, "spent", lambda self: self)
    found = found_by(tmp_path, lambda s, f: simulate(with_outage(s), f))
    assert " retries with " in found


def test_a_door_that_goes_by_the_wall_clock_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    classify: Any = asking.classify

    def by_our_clock(response: WireResponse, *rest: Any) -> Any:
        headers = {name: value for name, value in response.headers.items() if name != "date"}
        return classify(replace(response, headers=headers), *rest)

    monkeypatch.setattr(asking, "classify", by_our_clock)

    def throttled(s: Scenario, folder: Path) -> bool:
        return check_pace(replace(with_clock(s), rate_limit=2.0, clock_jumps=(86_400.0, -5.0)), folder)

    assert "a wrong clock changed what was asked for when" in found_by(tmp_path, throttled)


def test_a_request_a_moment_later_is_another_pace() -> None:
    assert are_alike([(1000, "a", 5)], [(1900, "a", 5)])
    assert not are_alike([(1000, "a", 5)], [(2100, "a", 5)])
    assert not are_alike([(1000, "a", 5)], [(1000, "b", 5)])


# -- one walk ---------------------------------------------------------------------------------------------------

DIGESTS = [bytes([n]) * 32 for n in range(3)]
ROWS = [
    Row(0, 0, None, "a", DIGESTS[0], None, None),
    Row(0, 1, "a", "b", DIGESTS[1], None, None),
    Row(0, 2, "b", None, DIGESTS[2], "end", None),
]


def served(*order: int) -> dict[tuple[str | None, bytes], list[Served]]:
    """The three pages, served in this order."""
    pages: dict[tuple[str | None, bytes], list[Served]] = {}
    for at, n in enumerate(order, 1):
        pages.setdefault((ROWS[n].token, ROWS[n].digest), []).append(Served(at, at, ROWS[n].next, [f"u{n}"]))
    return pages


def test_pages_of_one_walk_hold_its_users() -> None:
    assert users_of_one_walk(ROWS, served(0, 1, 1, 2), 1, 9) == {"u0", "u1", "u2"}


@pytest.mark.parametrize(
    ("order", "first", "words"),
    [
        ((0, 2, 1), 1, "page 2 of stretch 0 was not served by this walk"),
        ((0, 1, 2), 2, "page 0 of stretch 0 was not served by this walk"),
        ((0, 1), 1, "a page that was never served"),
    ],
)
def test_rows_of_an_earlier_walk_are_found(order: tuple[int, ...], first: int, words: str) -> None:
    with pytest.raises(ChainBroken, match=words):
        users_of_one_walk(ROWS, served(*order), first, 9)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([replace(ROWS[2], sequence=0)], "does not begin"),
        (ROWS[:2], "leads nowhere"),
        ([ROWS[0], ROWS[2]], "does not follow"),
        ([replace(ROWS[0], ending="end")], "before the end"),
        ([replace(ROWS[0], ending="entry", stitch=1), replace(ROWS[2], stretch=1, sequence=0)], "does not reach"),
        ([replace(ROWS[0], ending="met", stitch=1), replace(ROWS[2], stretch=1, sequence=0)], "no user in common"),
    ],
)
def test_pages_that_do_not_lead_from_start_to_end_are_found(rows: list[Row], words: str) -> None:
    with pytest.raises(ChainBroken, match=words):
        users_of_one_walk(rows, served(0, 1, 2), 1, 9)
