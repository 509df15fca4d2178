"""Planning: entries evenly over the list, from what the last night's index says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.crawl.plan import (
    BORDER_PAGES_MIN,
    STRETCH_PAGES_MIN,
    STRETCHES_PER_WALKER,
    PlannedStretch,
    plan_sequential,
    plan_stretches,
)
from syncer.model import PageRecord, Token


def index(pages: int, *, page_size: int = 10) -> Iterator[PageRecord]:
    for n in range(pages):
        token = Token(f"t{n}") if n else None
        following = Token(f"t{n + 1}") if n + 1 < pages else None
        yield PageRecord(
            0, n, n, token, following, None if following else "null", page_size, 10, 0, "a", "b", "a", "b", b""
        )


def numbered(pages: int) -> Iterator[tuple[int, PageRecord]]:
    return enumerate(index(pages))


def test_a_sequential_plan_is_one_stretch_from_the_start() -> None:
    assert plan_sequential("why").stretches == (PlannedStretch(None, None),)


def test_400_pages_and_64_walkers_make_two_rounds_of_stretches_longer_ones_first() -> None:
    plan = plan_stretches(index(400), pages_total=400, walkers=64, page_size=10)
    assert len(plan.stretches) == 128
    assert plan.reason == ""
    assert [s.pages for s in plan.stretches] == [4] * 16 + [3] * 111 + [None]


def test_entries_are_tokens_of_the_index_at_the_planned_distance() -> None:
    plan = plan_stretches(index(12), pages_total=12, walkers=2, page_size=10)
    assert plan.stretches == (
        PlannedStretch(None, 3),
        PlannedStretch(Token("t3"), 3, "b"),
        PlannedStretch(Token("t6"), 3, "b"),
        PlannedStretch(Token("t9"), None, "b"),
    )


def test_no_two_entries_stand_in_one_place() -> None:
    pages = [replace(page, users=0, first_id=None, last_id=None) if 3 <= n < 8 else page for n, page in numbered(12)]
    plan = plan_stretches(pages, pages_total=12, walkers=2, page_size=10)
    assert [s.entry for s in plan.stretches] == [None, "t3", "t9"]


def test_the_user_before_an_entry_is_told_only_by_the_page_that_named_it() -> None:
    overlapping = [replace(page, next=Token("x")) if n == 5 else page for n, page in numbered(12)]
    plan = plan_stretches(overlapping, pages_total=12, walkers=2, page_size=10)
    assert [(s.entry, s.after) for s in plan.stretches[1:]] == [("t3", "b"), ("t6", None), ("t9", "b")]


@pytest.mark.parametrize(
    ("pages", "walkers", "page_size", "reason"),
    [
        (100, 1, 10, "one walker was asked for"),
        (5, 8, 10, "the list is too short to share"),
        (0, 8, 10, "the list is too short to share"),
        (
            100,
            8,
            20,
            "the last snapshot was crawled with 10 users a page, not 20;"
            " page_size = 10 would let more walkers share the list",
        ),
    ],
)
def test_a_plan_says_why_it_is_sequential(pages: int, walkers: int, page_size: int, reason: str) -> None:
    assert plan_stretches(index(pages), pages_total=pages, walkers=walkers, page_size=page_size) == plan_sequential(
        reason
    )


def test_pages_of_another_size_give_no_entries_and_neither_do_those_behind_them() -> None:
    pages = [replace(page, page_size=5) if 2 <= n < 6 else page for n, page in numbered(12)]
    plan = plan_stretches(pages, pages_total=12, walkers=2, page_size=10)
    assert [s.entry for s in plan.stretches] == [None, "t7", "t10"]
    assert plan.reason == ""


def test_an_index_shorter_than_it_claims_gives_a_sequential_plan() -> None:
    plan = plan_stretches(index(1), pages_total=100, walkers=4, page_size=10)
    assert plan == plan_sequential("the last snapshot's page index holds no entries")


@pytest.mark.parametrize(
    ("pages", "walkers", "stretches"), [(40, 4, 4), (400, 64, 64), (400, 4, 20), (10_000, 8, 64), (20, 8, 6)]
)
def test_where_a_border_costs_a_page_there_are_few_of_them_but_one_for_each_walker(
    pages: int, walkers: int, stretches: int
) -> None:
    plan = plan_stretches(index(pages), pages_total=pages, walkers=walkers, page_size=10, borders_cost=True)
    assert len(plan.stretches) == stretches
    assert stretches <= max(walkers, pages / BORDER_PAGES_MIN)


@given(st.integers(0, 2000), st.integers(1, 64))
def test_every_plan_starts_without_a_token_and_names_each_entry_once(pages: int, walkers: int) -> None:
    plan = plan_stretches(index(pages), pages_total=pages, walkers=walkers, page_size=10)
    entries = [s.entry for s in plan.stretches]
    assert entries[0] is None
    assert None not in entries[1:]
    assert len(set(entries)) == len(entries) <= max(1, walkers * STRETCHES_PER_WALKER)
    assert all(s.pages is not None and s.pages >= STRETCH_PAGES_MIN for s in plan.stretches[:-1])
