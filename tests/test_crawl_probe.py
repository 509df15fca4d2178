"""Which pages are asked for again, and what the answers prove."""

from __future__ import annotations

from dataclasses import replace

import pytest

from syncer.crawl.probe import ANEW, Glance, Met, Seen, choose_pages, follow_ups, judge_places

BEGAN = 1000.0
"""The service's clock at the run's first request; user ``a`` was created at 0, ``b`` at 1, and so on."""
NO_CLOCK: dict[tuple[int, int], float] = {}


def seen(users: str, *, new: str = "", updated: str = "") -> tuple[Seen, ...]:
    """A letter each, in list order."""
    return tuple(
        Seen(user, BEGAN + 1 if user in new else ord(user) - 97.0, BEGAN + 1 if user in new + updated else 0.0)
        for user in users
    )


def glance(
    sequence: int, users: str, *, stretch: int = 0, new: str = "", updated: str = "", at: int = 0, round: int = 0
) -> Glance:
    return Glance(stretch, sequence, seen(users, new=new, updated=updated), at, at + 1, round)


def walked(*pages: str, stretch: int = 0, strangers: str = "") -> dict[str, list[Met]]:
    """A walk of one stretch: the users of its pages, a letter each; and users that it never met."""
    found = {
        user: [Met(stretch, n, row, 0.0, row == len(page) - 1)]
        for n, page in enumerate(pages)
        for row, user in enumerate(page)
    }
    return {**found, **{user: [] for user in strangers}}


WALK = walked("abc", "def", "ghi")


def judge(
    glances: list[Glance], walk: dict[str, list[Met]] = WALK, clock: dict[tuple[int, int], float] = NO_CLOCK
) -> str:
    return judge_places(glances, walk, clock, BEGAN)


@pytest.mark.parametrize(
    ("lengths", "chosen"),
    [
        ({}, []),
        ({0: 3}, [(0, 0), (0, 1), (0, 2)]),
        ({0: 2, 3: 1}, [(0, 0), (0, 1), (3, 0)]),
        ({0: 7, 1: 9}, [*((0, n) for n in range(7)), *((1, n) for n in range(9))]),
        ({0: 32, 1: 33}, [*((0, n) for n in range(2, 32, 4)), *((1, n) for n in (2, 6, 10, 14, 18, 22, 26, 30))]),
        ({0: 200}, [(0, n) for n in (12, 37, 62, 87, 112, 137, 162, 187)]),
    ],
)
def test_all_pages_of_a_short_list_and_few_of_a_long_one_are_asked_again(
    lengths: dict[int, int], chosen: list[tuple[int, int]]
) -> None:
    assert choose_pages(lengths, 8) == chosen


def test_a_long_list_is_asked_for_two_pages_of_a_hundred_and_never_for_more_than_thirty_two() -> None:
    lengths = (64, 65, 199, 200, 1000, 1600, 1_000_000)
    assert [len(choose_pages({0: pages}, 8)) for pages in lengths] == [64, 16, 16, 8, 20, 32, 32]
    assert [len(choose_pages({0: pages}, 1)) for pages in lengths] == [64, 16, 16, 4, 10, 16, 32]


def test_pages_as_they_were_prove_nothing() -> None:
    assert judge([glance(0, "abc"), glance(1, "def"), glance(2, "ghi")]) == ""


def test_users_deleted_since_let_later_ones_move_up() -> None:
    assert judge([glance(0, "ace"), glance(1, "egh"), glance(0, "ace", at=9)]) == ""


def test_a_user_older_than_the_run_that_the_walk_never_met_was_skipped() -> None:
    walk = {**WALK, "x": []}
    assert judge([glance(1, "dxe")], walk) == (
        "asked again, page 1 of stretch 0 holds a user older than the run that the walk never met"
    )
    assert judge([glance(1, "dxe", new="x")], walk) == ""
    assert judge([glance(1, "dxe", updated="x")], walk) != ""
    assert judge([glance(7, "x", stretch=ANEW)], walk) == (
        "asked again, the list holds a user older than the run that the walk never met"
    )


def test_a_user_that_was_not_looked_for_bears_no_witness() -> None:
    assert judge([glance(1, "dxe")]) == ""


def test_a_user_of_an_earlier_page_cannot_stand_behind_a_token_of_a_later_one_unless_it_was_updated() -> None:
    assert (
        judge([glance(1, "cde")])
        == "asked again, page 1 of stretch 0 holds a user that the walk met on an earlier page"
    )
    assert judge([glance(1, "cde", updated="c")]) == ""


def test_a_user_of_another_stretch_may_stand_anywhere() -> None:
    assert judge([glance(1, "cde", stretch=1)]) == ""
    assert judge([glance(1, "cde")], {**WALK, "c": [Met(0, 0, 2, 0.0), Met(0, 1, 0, 0.0)]}) == ""


def test_a_user_that_slid_to_the_page_before_is_told_from_a_deleted_one() -> None:
    slid = [glance(1, "efg"), glance(0, "bcd", at=9)]
    assert judge(slid) == (
        "a user of page 1 of stretch 0 stands on the page before it now,"
        " and the token of its page no longer leads to it"
    )
    assert judge([glance(1, "efg"), glance(0, "bce", at=9)]) == ""


def test_a_page_asked_before_the_answer_to_the_other_tells_nothing_about_it() -> None:
    assert judge([glance(1, "efg", at=9), glance(0, "bcd")]) == ""


def test_a_page_without_known_users_tells_nothing_about_the_one_before() -> None:
    before = glance(0, "bcd", at=9)
    for page in (glance(1, ""), glance(1, "x"), glance(1, "ef", updated="ef")):
        assert judge([page, before]) == ""
    assert judge([glance(1, "efg"), before], {**WALK, "d": [Met(0, 1, 0, 0.0), Met(1, 0, 0, 0.0)]}) == ""


@pytest.mark.parametrize(
    ("pages", "clock", "is_fault"),
    [
        (["abx", "def"], {(0, 0): 1.0, (0, 1): 1e6}, True),  # after the last user of page 0: it belongs to page 1
        (["abx", "def"], {(0, 1): BEGAN}, False),  # which may have been asked for before it was created
        (["axc", "def"], {(0, 0): 1e6}, True),  # within page 0
        (["axc", "def"], {(0, 0): BEGAN, (0, 1): 1e6}, False),
        (["axd", "efg"], {(0, 0): BEGAN, (0, 1): 1e6}, False),  # on page 0 or on page 1
        (["axd", "efg"], {(0, 0): 1e6, (0, 1): 1e6}, True),
        (["axg", "h"], {(0, 0): 1e6, (0, 1): 1e6, (0, 2): 1e6}, False),  # too far apart
        (["abc", "dex"], {(0, 0): 1e6, (0, 1): 1e6}, False),  # nothing stands behind it
        (["xab", "def"], {(0, 0): 1e6, (0, 1): 1e6}, False),  # nothing stands before it
    ],
)
def test_a_user_between_two_that_were_met_existed_when_the_service_dated_others_later(
    pages: list[str], clock: dict[tuple[int, int], float], is_fault: bool
) -> None:
    walk = walked("ab" if pages[0] == "abx" else "abc", "def", "ghi", strangers="x")
    found = judge([glance(n, users, new="x") for n, users in enumerate(pages)], walk, clock)
    page = int("x" in pages[1])
    expected = f"asked again, page {page} of stretch 0 holds a user between two that the walk met, who existed then"
    assert found == (expected if is_fault else "")


def test_pages_of_two_rounds_are_no_neighbours() -> None:
    walk, clock = walked("ab", "def", strangers="x"), {(0, 1): 1e6}
    pages = [glance(0, "abx", new="x"), glance(1, "def")]
    assert judge(pages, walk, clock) != ""
    assert judge([pages[0], replace(pages[1], round=1)], walk, clock) == ""


def test_the_page_before_is_asked_for_where_the_first_user_is_missing() -> None:
    pages = [
        (glance(0, "bcd"), "a"),
        (glance(1, "def"), "d"),
        (glance(2, "hi"), "g"),
        (glance(3, ""), "k"),
        (glance(4, "x"), None),
    ]
    assert follow_ups(pages) == [(0, 1)]
    assert follow_ups((glance(n, "x"), "a") for n in range(1, 10)) == [(0, 0), (0, 3), (0, 6)]
    assert follow_ups([]) == []
