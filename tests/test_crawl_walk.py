"""The walk's steps, one by one: pure, so every rule is a line."""

from __future__ import annotations

import pytest

from syncer.crawl.stretch import Ask, Broken, Covered, Ended, Follow, Pause, Stretch, Unstable
from syncer.crawl.walk import EMPTY_PAGES_MAX, FIRST_IDS_MAX, Walk
from syncer.model import Token


def t(name: str) -> Token:
    return Token(name)


def walk(*entries: tuple[str | None, int | None]) -> Walk:
    return Walk(Stretch(i, t(e) if e else None, pages, t(e) if e else None) for i, (e, pages) in enumerate(entries))


def test_a_single_stretch_follows_next_to_the_end_of_the_list() -> None:
    w = walk((None, None))
    assert w.take() == Ask(0, 0, None)
    assert w.take() is None
    assert w.settle(Ask(0, 0, None), ["a"], t("1"), None) == Follow(Ask(0, 1, t("1")))
    assert w.settle(Ask(0, 1, t("1")), [], None, "null") == Ended("end")
    assert w.is_finished


def test_a_stretch_ends_where_its_next_is_the_entry_of_a_later_stretch() -> None:
    w = walk((None, 1), ("1", None))
    assert (w.take(), w.take()) == (Ask(0, 0, None), Ask(1, 0, t("1")))
    assert w.settle(Ask(0, 0, None), ["a"], t("1"), None) == Ended("entry", 1)
    assert not w.is_finished


def test_a_stretch_ends_on_a_page_with_a_user_that_a_later_stretch_has_fetched() -> None:
    w = walk((None, 1), ("1", None))
    w.take(), w.take()
    w.settle(Ask(1, 0, t("1")), ["c", "d"], t("2"), None)
    assert w.settle(Ask(0, 0, None), ["a", "b", "c"], t("x"), None) == Ended("met", 1, "c")


def test_the_nearest_of_two_later_stretches_on_one_page_is_the_one_that_was_met() -> None:
    w = walk((None, 1), ("1", 1), ("2", None))
    w.take(), w.take(), w.take()
    w.settle(Ask(2, 0, t("2")), ["e"], None, "null")
    w.settle(Ask(1, 0, t("1")), ["c"], t("2"), None)
    assert w.settle(Ask(0, 0, None), ["a", "c", "e"], t("2"), None) == Ended("met", 1, "c")


def test_a_page_with_the_entry_as_next_and_a_user_of_that_stretch_ends_at_the_entry() -> None:
    w = walk((None, 1), ("1", None))
    w.take(), w.take()
    w.settle(Ask(1, 0, t("1")), ["c"], None, "null")
    assert w.settle(Ask(0, 0, None), ["b", "c"], t("1"), None) == Ended("entry", 1)


def test_the_end_of_the_list_on_a_page_that_met_a_later_stretch_is_a_stitch() -> None:
    w = walk((None, 1), ("1", None))
    w.take(), w.take()
    w.settle(Ask(1, 0, t("1")), ["c"], None, "null")
    assert w.settle(Ask(0, 0, None), ["b", "c"], None, "null") == Ended("met", 1, "c")


def test_past_its_planned_length_a_stretch_waits_until_the_next_one_has_users() -> None:
    w = walk((None, 1), ("1", None))
    w.take()
    assert w.settle(Ask(0, 0, None), ["a"], t("x"), None) == Pause()
    assert w.take() == Ask(1, 0, t("1"))
    assert w.take() is None
    w.settle(Ask(1, 0, t("1")), ["c"], t("2"), None)
    assert w.take() == Ask(0, 1, t("x"))
    assert w.settle(Ask(0, 1, t("x")), ["b"], t("y"), None) == Follow(Ask(0, 2, t("y")))


def test_a_refused_entry_lets_the_stretch_before_it_go_on() -> None:
    w = walk((None, 1), ("1", 1), ("2", None))
    w.take(), w.take()
    w.drop(1)
    assert w.settle(Ask(0, 0, None), ["a"], t("1"), None) == Pause()
    assert w.take() == Ask(2, 0, t("2"))
    w.settle(Ask(2, 0, t("2")), ["e"], None, "null")
    assert w.take() == Ask(0, 1, t("1"))
    assert w.settle(Ask(0, 1, t("1")), ["c"], t("2"), None) == Ended("entry", 2)
    assert w.is_finished


def test_stretches_never_begun_that_another_one_walked_over_are_dropped() -> None:
    w = walk((None, 9), ("1", 1), ("2", None))
    w.take()
    assert w.settle(Ask(0, 0, None), ["a"], t("2"), None) == Ended("entry", 2)
    assert [s.status for s in w.stretches] == ["ended", "dropped", "waiting"]


def test_the_end_of_the_list_drops_all_stretches_that_were_never_begun() -> None:
    w = walk((None, 9), ("1", 1))
    w.take()
    assert w.settle(Ask(0, 0, None), [], None, "absent") == Ended("end")
    assert w.is_finished


def test_meeting_a_stretch_beyond_one_with_users_is_unstable() -> None:
    w = walk((None, 1), ("1", 1), ("2", None))
    w.take(), w.take(), w.take()
    w.settle(Ask(1, 0, t("1")), ["c"], t("2"), None)
    w.settle(Ask(2, 0, t("2")), ["e"], None, "null")
    step = w.settle(Ask(0, 0, None), ["a", "e"], t("x"), None)
    assert step == Unstable("stretch 0 met stretch 2 but never stretch 1 between them")


def test_naming_the_entry_of_a_stretch_beyond_one_with_users_is_unstable() -> None:
    w = walk((None, 1), ("1", 1), ("2", None))
    w.take(), w.take()
    w.settle(Ask(1, 0, t("1")), ["c"], t("x"), None)
    step = w.settle(Ask(0, 0, None), ["a"], t("2"), None)
    assert step == Unstable("stretch 0 reached stretch 2 but never stretch 1 between them")


def test_reaching_the_end_without_a_stretch_that_has_users_is_unstable() -> None:
    w = walk((None, 1), ("1", None))
    w.take(), w.take()
    w.settle(Ask(1, 0, t("1")), ["c"], None, "null")
    step = w.settle(Ask(0, 0, None), ["a"], None, "null")
    assert step == Unstable("stretch 0 reached the end of the list but never stretch 1")


def test_a_page_that_names_itself_as_next_is_broken() -> None:
    w = walk((None, None))
    w.settle(Ask(0, 0, None), ["a"], t("1"), None)
    assert w.settle(Ask(0, 1, t("1")), ["b"], t("1"), None) == Broken("a page names itself as the next one")


def test_empty_pages_are_links_but_not_for_ever() -> None:
    w = walk((None, None))
    for n in range(EMPTY_PAGES_MAX - 1):
        assert w.settle(Ask(0, n, t(f"{n}") if n else None), [], t(f"{n + 1}"), None) == Follow(
            Ask(0, n + 1, t(f"{n + 1}"))
        )
    last = EMPTY_PAGES_MAX - 1
    step = w.settle(Ask(0, last, t(f"{last}")), [], t("more"), None)
    assert step == Broken(f"{EMPTY_PAGES_MAX} pages in a row were empty and linked on")


@pytest.mark.parametrize(
    ("entries", "ask", "guess", "expected"),
    [
        ([(None, None)], Ask(0, 0, None), "1", Ask(0, 1, t("1"))),
        ([(None, 2), ("2", None)], Ask(0, 0, None), "1", Ask(0, 1, t("1"))),
        ([(None, 1), ("2", None)], Ask(0, 0, None), "1", None),  # expected to end here
        ([(None, 5), ("1", None)], Ask(0, 0, None), "1", None),  # the entry of a later stretch
        ([(None, None)], Ask(0, 3, t("1")), "1", None),  # a circle
    ],
)
def test_the_next_page_is_asked_for_early_only_where_it_will_be_needed(
    entries: list[tuple[str | None, int | None]], ask: Ask, guess: str, expected: Ask | None
) -> None:
    assert walk(*entries).may_run_ahead(ask, t(guess)) == expected


def test_only_the_first_users_of_a_stretch_are_remembered() -> None:
    w = walk((None, None), ("1", None))
    w.settle(Ask(1, 0, t("1")), [f"{i}" for i in range(FIRST_IDS_MAX * 2)], t("2"), None)
    assert w.stretches[1].first_ids == [f"{i}" for i in range(FIRST_IDS_MAX)]


def test_a_rewound_stretch_is_forgotten_by_those_before_it() -> None:
    w = walk((None, 5), ("1", None))
    w.take(), w.take()
    w.settle(Ask(1, 0, t("1")), ["c"], t("2"), None)
    assert w.rewind(1, 0, t("1")) == Ask(1, 0, t("1"))
    assert w.settle(Ask(0, 0, None), ["a", "c"], t("x"), None) == Follow(Ask(0, 1, t("x")))


def test_a_stretch_rewound_to_its_middle_stays_known() -> None:
    w = walk((None, 5), ("1", None))
    w.take(), w.take()
    w.settle(Ask(1, 0, t("1")), ["c"], t("2"), None)
    assert w.rewind(1, 1, t("2")) == Ask(1, 1, t("2"))
    assert w.settle(Ask(0, 0, None), ["a", "c"], t("x"), None) == Ended("met", 1, "c")


def test_a_walk_made_of_ended_stretches_drops_what_they_cover() -> None:
    ended = Stretch(0, None, 5, t("2"), 3, "ended", ["a"], 0, "entry", 2)
    w = Walk([ended, Stretch(1, t("1"), 1, t("1")), Stretch(2, t("2"), None, t("2"))])
    assert [s.status for s in w.stretches] == ["ended", "dropped", "waiting"]


def test_dropped_users_no_longer_stop_anyone() -> None:
    w = walk((None, 5), ("1", None))
    w.settle(Ask(1, 0, t("1")), ["c"], t("2"), None)
    w.drop(1)
    assert w.settle(Ask(0, 0, None), ["c"], t("x"), None) == Follow(Ask(0, 1, t("x")))


def test_a_stretch_without_an_entry_and_without_users_can_be_dropped() -> None:
    w = walk((None, None))
    w.drop(0)
    assert w.is_finished


@pytest.mark.parametrize("listed", ["abcdefghijkl", "lkjihgfedcba"])
def test_a_stretch_whose_beginning_was_passed_unseen_is_covered_by_the_one_before(listed: str) -> None:
    w = walk((None, 4), ("1", 3), ("2", None))
    w.take(), w.take(), w.take()
    w.settle(Ask(0, 0, None), listed[:8], t("x"), None)
    assert w.settle(Ask(1, 0, t("1")), listed[5:7], t("y"), None) == Covered()
    assert (w.stretches[1].status, w.stretches[0].planned_pages) == ("dropped", 7)
    w.settle(Ask(2, 0, t("2")), listed[10:], None, "null")
    assert w.settle(Ask(0, 1, t("x")), listed[8:11], t("z"), None) == Ended("met", 2, listed[10])


def test_a_stretch_that_covers_the_last_one_has_no_planned_end_and_covers_another_one_still() -> None:
    w = walk((None, 4), ("1", 3), ("2", None))
    w.take(), w.take(), w.take()
    w.settle(Ask(0, 0, None), "abcdefgh", t("x"), None)
    assert w.settle(Ask(2, 0, t("2")), "gh", t("z"), None) == Covered()
    assert w.stretches[0].planned_pages is None
    assert w.settle(Ask(1, 0, t("1")), "de", t("y"), None) == Covered()
    assert w.stretches[0].planned_pages is None
    assert w.settle(Ask(0, 1, t("x")), "i", None, "null") == Ended("end")
    assert w.is_finished


def test_a_stretch_whose_first_users_lie_ahead_is_still_to_be_met() -> None:
    w = walk((None, 4), ("1", None))
    w.take(), w.take()
    w.settle(Ask(0, 0, None), "abcdef", t("x"), None)
    assert w.settle(Ask(1, 0, t("1")), "efgh", t("y"), None) == Follow(Ask(1, 1, t("y")))
    assert w.settle(Ask(0, 1, t("x")), "gh", t("y"), None) == Ended("met", 1, "g")


@pytest.mark.parametrize("ids", ["xdz", "q"])
def test_users_in_no_order_tell_nothing_of_who_was_passed(ids: str) -> None:
    w = walk((None, 4), ("1", None))
    w.take(), w.take()
    w.settle(Ask(0, 0, None), "az", t("x"), None)
    assert w.settle(Ask(1, 0, t("1")), ids, t("y"), None) == Follow(Ask(1, 1, t("y")))


def test_a_stretch_that_begins_after_the_one_before_went_on_to_a_later_one_is_covered() -> None:
    w = walk((None, 4), ("1", 2), ("2", None))
    w.take(), w.take(), w.take()
    w.settle(Ask(2, 0, t("2")), "mn", None, "null")
    assert w.settle(Ask(0, 0, None), "abm", t("x"), None) == Ended("met", 2, "m")
    assert w.settle(Ask(1, 0, t("1")), "q", t("y"), None) == Covered()
    assert w.is_finished


def test_of_two_stretches_that_begin_with_the_same_user_either_may_be_met() -> None:
    w = walk((None, 4), ("1", 2), ("2", None))
    w.take(), w.take(), w.take()
    w.settle(Ask(2, 0, t("2")), "mn", t("z"), None)
    assert w.settle(Ask(1, 0, t("1")), "mno", t("y"), None) == Ended("met", 2, "m")
    assert w.settle(Ask(0, 0, None), "abm", t("x"), None) == Ended("met", 2, "m")
