"""Users and the pages they were served on: what a digest can prove, and what it cannot."""

from __future__ import annotations

from itertools import pairwise

import pytest

from syncer.snapshot.columns import digest_ids
from syncer.snapshot.page_cover import FAULTS_MAX, PageCover, PageSpan


def span(ids: str, place: str = "page 0 of stretch 0") -> PageSpan:
    return PageSpan(min(ids), max(ids), digest_ids(sorted(ids)), len(ids), place)


def cover(spans: list[PageSpan], ids: str, cuts: tuple[int, ...] = (), repeats_max: int = 0) -> PageCover:
    result = PageCover(sorted(spans, key=lambda s: s.min_id), repeats_max)
    for start, end in pairwise([0, *cuts, len(ids)]):
        result.add(list(ids[start:end]))
    result.finish()
    return result


def figures(result: PageCover) -> tuple[int, int, int, int]:
    return (result.proven_pages, result.overlapping_pages, result.repeated_pages, result.users_off_pages)


@pytest.mark.parametrize("cuts", [(), (1,), (3,), (2, 2, 5), (1, 2, 3, 4, 5, 6, 7)])
def test_pages_apart_are_each_proven_however_the_ids_come(cuts: tuple[int, ...]) -> None:
    result = cover([span("abc"), span("def"), span("gh")], "abcdefgh", cuts)
    assert (figures(result), result.faults) == ((3, 0, 0, 0), [])


def test_pages_that_overlap_are_counted_apart() -> None:
    result = cover([span("abc"), span("cd"), span("dg"), span("hi")], "abcdghi")
    assert (figures(result), result.faults) == ((1, 3, 0, 0), [])


def test_a_page_within_another_does_not_end_it() -> None:
    result = cover([span("az"), span("bc"), span("de")], "abcdez")
    assert figures(result) == (0, 3, 0, 0)


@pytest.mark.parametrize("ids", ["acxyz", "abbcxyz", "axcxyz", "xyz"])
def test_a_user_too_few_or_too_many_is_a_fault_that_names_the_page(ids: str) -> None:
    result = cover([span("abc", "page 7 of stretch 1"), span("xyz")], "".join(sorted(ids)))
    assert [fault.partition(" users")[0] for fault in result.faults][:1] == ["page 7 of stretch 1 held 3"]


def test_users_on_no_page_are_counted() -> None:
    assert cover([span("cd"), span("gh")], "abcdefghij").users_off_pages == 6
    assert cover([], "ab").users_off_pages == 2


def test_a_user_who_stood_on_a_page_twice_is_allowed_for_as_often_as_was_counted() -> None:
    twice = PageSpan("a", "c", digest_ids(list("abbc")), 4, "page 0 of stretch 0")
    assert figures(cover([twice], "abc", repeats_max=1)) == (0, 0, 1, 0)
    assert len(cover([twice], "abc", repeats_max=0).faults) == 1
    other = PageSpan("x", "z", digest_ids(list("xyyz")), 4, "page 1 of stretch 0")
    result = cover([twice, other], "abcxyz", repeats_max=1)
    assert (figures(result), len(result.faults)) == ((0, 0, 1, 0), 1)


def test_a_broken_snapshot_is_as_broken_with_a_few_faults_in_words() -> None:
    spans = [span(letter * 2) for letter in "abcdefghij"]
    assert len(cover(spans, "").faults) == FAULTS_MAX


def test_no_pages_and_no_users_agree() -> None:
    assert figures(cover([], "")) == (0, 0, 0, 0)
