"""Users on two pages: overlap, moved, suspect or unstable."""

from __future__ import annotations

import pytest

from syncer.crawl.repeats import Repeats, find_displaced, judge_repeats
from syncer.crawl.stretch import Stretch
from syncer.model import PageRecord, RepeatedUsers, Token


def last(stretch: int, sequence: int, ending: str, stitch: int | None) -> PageRecord:
    return PageRecord(
        stretch, sequence, 0, None, Token("x"), None, 10, 1, 0, "a", "a", "a", "a", b"", ending, stitch, "a"  # type: ignore[arg-type]
    )  # fmt: skip


LAST = {0: last(0, 5, "met", 1), 1: last(1, 9, "entry", 2), 2: last(2, 3, "end", None), 3: last(3, 1, "met", 2)}
PATH = (0, 1, 2)


def judge(*pairs: RepeatedUsers) -> Repeats:
    return judge_repeats(pairs, LAST, PATH)


def test_nothing_repeated_is_nothing_to_say() -> None:
    assert judge() == Repeats(0, 0, (), "")


def test_overlap_at_a_stitch_is_expected_whether_updated_or_not() -> None:
    assert judge(RepeatedUsers(0, 5, 1, 0, 3, 2, "a"), RepeatedUsers(0, 3, 1, 0, 1, 0, "a")) == Repeats(6, 0, (), "")


def test_a_newer_row_on_another_page_moved() -> None:
    assert judge(RepeatedUsers(0, 1, 0, 4, 0, 2, "a"), RepeatedUsers(0, 1, 2, 3, 0, 1, "a")) == Repeats(0, 3, (), "")


def test_an_identical_row_twice_in_one_stretch_makes_it_suspect() -> None:
    pairs = (RepeatedUsers(1, 1, 1, 2, 5, 1, "a"), RepeatedUsers(0, 0, 0, 0, 1, 0, "b"))
    assert judge(*pairs) == Repeats(0, 1, (0, 1), "")


def test_an_identical_row_in_two_stretches_away_from_a_border_is_unstable() -> None:
    assert judge(RepeatedUsers(0, 2, 1, 7, 4, 0, "a"), RepeatedUsers(0, 1, 1, 7, 1, 0, "a")) == Repeats(
        0, 0, (), "4 users stand both on page 2 of stretch 0 and on page 7 of stretch 1, where no border is"
    )


def test_a_stitch_needs_a_user_that_was_not_updated_between_the_two_requests() -> None:
    assert judge(RepeatedUsers(0, 5, 1, 0, 0, 2, "a")) == Repeats(
        2, 0, (), "stretch 0 met stretch 1 only at users that were updated meanwhile: they may have moved"
    )
    assert judge(RepeatedUsers(0, 5, 1, 0, 0, 2, "a"), RepeatedUsers(0, 4, 1, 0, 1, 0, "b")).unstable == ""
    assert judge(RepeatedUsers(0, 5, 1, 0, 0, 2, "a"), RepeatedUsers(0, 2, 1, 7, 4, 0, "b")).unstable.startswith(
        "4 users"
    )


@pytest.mark.parametrize("ending", ["met", "entry"])
def test_a_page_may_reach_over_a_stretch_of_which_little_is_left(ending: str) -> None:
    def is_unstable(pages: int, sequence: int, other_sequence: int) -> bool:
        pairs = (RepeatedUsers(0, sequence, 2, other_sequence, 3, 0, "a"), RepeatedUsers(0, 5, 1, 0, 1, 0, "b"))
        return bool(judge_repeats(pairs, LAST | {1: last(1, pages - 1, ending, 2)}, PATH).unstable)

    assert not is_unstable(1, 5, 0)
    assert not is_unstable(3, 3, 0)
    assert is_unstable(4, 5, 0)
    assert is_unstable(1, 2, 0)
    assert not is_unstable(1, 5, 2)
    assert is_unstable(1, 5, 3)


def test_a_stitch_by_token_has_no_overlap() -> None:
    assert judge(RepeatedUsers(1, 9, 2, 0, 1, 0, "a")).unstable != ""


def test_a_stretch_that_another_one_covers_overlaps_as_a_whole() -> None:
    assert judge(RepeatedUsers(2, 0, 3, 1, 9, 1, "a")) == Repeats(10, 0, (), "")


def test_a_user_after_whom_the_same_token_no_longer_stands_may_be_displaced() -> None:
    def stretches(after: str | None) -> list[Stretch]:
        return [Stretch(n, Token(f"{n}"), None, None, after=after if n == 2 else None) for n in range(4)]

    assert find_displaced(stretches("z"), LAST) == ("z",)
    assert find_displaced(stretches("a"), LAST) == ()
    assert find_displaced(stretches(None), LAST) == ()
