"""Which pages are asked for again, and what the answers prove."""

from __future__ import annotations

import pytest

from syncer.crawl.probe import Glance, Place, choose_pages, follow_ups, judge_places


def glance(
    sequence: int, users: str, *, stretch: int = 0, new: str = "", updated: str = "", follow_up: bool = False
) -> Glance:
    old = frozenset(users) - set(new)
    return Glance(stretch, sequence, tuple(users), old, old - set(updated), follow_up)


def stored(*pages: str, stretch: int = 0) -> dict[str, list[Place]]:
    """A walk of one stretch: the users of its pages, a letter each."""
    return {user: [(stretch, n, row)] for n, page in enumerate(pages) for row, user in enumerate(page)}


WALK = stored("abc", "def", "ghi")


@pytest.mark.parametrize(
    ("lengths", "chosen"),
    [
        ({}, []),
        ({0: 3}, [(0, 0), (0, 1), (0, 2)]),
        ({0: 2, 3: 1}, [(0, 0), (0, 1), (3, 0)]),
        ({0: 7, 1: 9}, [*((0, n) for n in range(7)), *((1, n) for n in range(9))]),
        ({0: 10, 1: 22}, [*((0, n) for n in range(1, 10, 2)), *((1, n) for n in range(1, 22, 2))]),
        ({0: 200}, [(0, n) for n in (12, 37, 62, 87, 112, 137, 162, 187)]),
    ],
)
def test_all_pages_of_a_short_list_and_few_of_a_long_one_are_asked_again(
    lengths: dict[int, int], chosen: list[tuple[int, int]]
) -> None:
    assert choose_pages(lengths) == chosen


def test_a_long_list_is_asked_for_two_pages_of_a_hundred_and_never_for_more_than_thirty_two() -> None:
    assert [len(choose_pages({0: pages})) for pages in (16, 199, 200, 1000, 1600, 1_000_000)] == [16, 16, 8, 20, 32, 32]


def test_pages_as_they_were_prove_nothing() -> None:
    assert judge_places([glance(0, "abc"), glance(1, "def"), glance(2, "ghi")], WALK) == ""


def test_users_deleted_since_let_later_ones_move_up() -> None:
    assert judge_places([glance(0, "ace"), glance(1, "egh"), glance(0, "ace", follow_up=True)], WALK) == ""


def test_a_user_older_than_the_run_that_the_walk_never_met_was_skipped() -> None:
    walk = {**WALK, "x": []}
    assert judge_places([glance(1, "dxe")], walk) == (
        "asked again, page 1 of stretch 0 holds a user older than the run that the walk never met"
    )
    assert judge_places([glance(1, "dxe", new="x")], walk) == ""
    assert judge_places([glance(1, "dxe", updated="x")], walk) != ""


def test_a_user_that_was_not_looked_for_bears_no_witness() -> None:
    assert judge_places([glance(1, "dxe")], WALK) == ""


def test_a_user_of_an_earlier_page_cannot_stand_behind_a_token_of_a_later_one() -> None:
    assert judge_places([glance(1, "cde")], WALK) == (
        "asked again, page 1 of stretch 0 holds a user that the walk met on an earlier page"
    )
    assert judge_places([glance(1, "cde", new="c")], WALK) == ""
    assert judge_places([glance(1, "cde", updated="c")], WALK) == ""


def test_a_user_of_another_stretch_may_stand_anywhere() -> None:
    assert judge_places([glance(1, "cde", stretch=1)], WALK) == ""
    assert judge_places([glance(1, "cde")], {**WALK, "c": [(0, 0, 2), (0, 1, 0)]}) == ""


def test_a_user_that_slid_to_the_page_before_is_told_from_a_deleted_one() -> None:
    slid = [glance(0, "bcd"), glance(1, "efg"), glance(0, "bcd", follow_up=True)]
    assert judge_places(slid, WALK) == (
        "a user of page 1 of stretch 0 stands on the page before it now,"
        " and the token of its page no longer leads to it"
    )
    deleted = [glance(0, "bce"), glance(1, "efg"), glance(0, "bce", follow_up=True)]
    assert judge_places(deleted, WALK) == ""


def test_a_page_without_known_users_tells_nothing_about_the_one_before() -> None:
    follow_up = glance(0, "bcd", follow_up=True)
    for page in (glance(1, ""), glance(1, "x"), glance(1, "ef", new="ef")):
        assert judge_places([page, follow_up], WALK) == ""
    assert judge_places([glance(1, "efg"), follow_up], {**WALK, "d": [(0, 1, 0), (1, 0, 0)]}) == ""


def test_the_page_before_is_asked_for_where_the_first_user_is_missing() -> None:
    seen = [
        (glance(0, "bcd"), "a"),
        (glance(1, "def"), "d"),
        (glance(2, "hi"), "g"),
        (glance(3, ""), "k"),
        (glance(4, "x"), None),
    ]
    assert follow_ups(seen) == [(0, 1)]
    assert follow_ups((glance(n, "x"), "a") for n in range(1, 10)) == [(0, 0), (0, 3), (0, 6)]
    assert follow_ups([]) == []
