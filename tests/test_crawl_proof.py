"""The proof of coverage: what is a chain, and every way in which pages fail to be one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from syncer.crawl.proof import REASONS_MAX, find_order, prove_coverage
from syncer.model import Check, PageRecord, Token


def page(
    stretch: int, sequence: int, token: str | None, following: str | None, ids: str = "", **more: object
) -> PageRecord:
    low, high = (min(ids), max(ids)) if ids else (None, None)
    record = PageRecord(
        stretch, sequence, 1, Token(token) if token else None, Token(following) if following else None,
        None if following else "null", 10, len(ids), 0,
        ids[0] if ids else None, ids[-1] if ids else None, low, high, b"",
    )  # fmt: skip
    return replace(record, **more)  # type: ignore[arg-type]


ONE = [page(0, 0, None, "1", "ab"), page(0, 1, "1", None, "cd", ending="end")]
TWO = [
    page(0, 0, None, "1", "ab", ending="entry", stitch=1),
    page(1, 0, "1", "2", "cd"),
    page(1, 1, "2", None, "ef", ending="end"),
]
MET = [
    page(0, 0, None, "x", "abc", ending="met", stitch=1, stitch_id="c"),
    page(1, 0, "1", None, "cd", ending="end"),
]


@pytest.mark.parametrize("pages", [ONE, TWO, MET, [page(0, 0, None, None, ending="end")]])
def test_an_unbroken_chain_is_complete(pages: list[PageRecord]) -> None:
    coverage = prove_coverage(iter(pages))
    assert (coverage.verdict, coverage.reasons) == ("complete", ())
    assert all(check.ok for check in coverage.checks)


def test_the_proof_counts_pages_users_and_the_way() -> None:
    coverage = prove_coverage(TWO)
    assert (coverage.pages, coverage.users_served, coverage.rejects, coverage.path) == (3, 6, 0, (0, 1))
    assert coverage.checks == (
        Check("chain", True, "3 pages, each asked with the next of the one before"),
        Check("stitches", True, "2 stretches from the start of the list to its end"),
        Check("end_of_list", True, "reached: next is null"),
    )


@pytest.mark.parametrize(("end", "words"), [("absent", "next is absent"), ("empty", "next is an empty string")])
def test_another_spelling_of_the_end_is_recorded_by_name(end: str, words: str) -> None:
    pages = [ONE[0], replace(ONE[1], end=end)]  # type: ignore[arg-type]
    assert prove_coverage(pages).checks[-1] == Check("end_of_list", True, f"reached: {words}")


BROKEN = {
    "no page at all was recorded": [],
    "the first page was asked with a page token": [page(0, 0, "1", None, "a", ending="end")],
    "page 1 of stretch 0 was not asked with the next of the page before": [ONE[0], replace(ONE[1], token=Token("9"))],
    "the pages before page 2 of stretch 0 are missing": [ONE[0], replace(ONE[1], sequence=2)],
    "stretch 0 does not begin with its first page": [ONE[1]],
    "page 1 of stretch 0 comes after the end of its stretch": [replace(ONE[0], ending="end"), ONE[1]],
    "page 1 of stretch 0 has neither a next page nor an end, or both": [ONE[0], replace(ONE[1], end=None)],
    "stretch 0 stops after 1 pages without reaching another one": [ONE[0]],
    "the end of the list was not reached": [ONE[0], replace(ONE[1], end="so")],  # type: ignore[arg-type]
    "stretch 0 leads to stretch 1, which is not there": [TWO[0]],
    "stretch 0 leads to stretch 0, which is not there": [replace(TWO[0], stitch=0)],
    "stretch 0 does not lead to the entry of stretch 1": [TWO[0], replace(TWO[1], token=Token("9")), TWO[2]],
    "stretch 0 names no user at which it met stretch 1": [replace(MET[0], stitch_id=None), MET[1]],
    "page 0 of stretch 0 does not hold the user at which it met stretch 1": [replace(MET[0], stitch_id="z"), MET[1]],
    "stretch 1 holds no page around the user at which it was met": [MET[0], page(1, 0, "1", None, "de", ending="end")],
    "stretch 0 claims the end of the list but its last page has a next": [replace(ONE[0], ending="end")],
}


def test_an_ending_that_has_no_name_is_none() -> None:
    (reason,) = prove_coverage([replace(TWO[0], ending="so"), *TWO[1:]]).reasons  # type: ignore[arg-type]
    assert reason == "stretch 0 stops after 1 pages without reaching another one"


@pytest.mark.parametrize(("reason", "pages"), BROKEN.items())
def test_a_broken_chain_is_incomplete_and_says_where(reason: str, pages: list[PageRecord]) -> None:
    coverage = prove_coverage(pages)
    assert coverage.verdict == "incomplete"
    assert reason in coverage.reasons
    assert not all(check.ok for check in coverage.checks)


def test_removing_or_swapping_any_page_of_a_chain_is_noticed() -> None:
    pages = [*TWO[:2], page(1, 1, "2", "3", "ef"), page(1, 2, "3", None, "gh", ending="end")]
    for n in range(len(pages)):
        assert prove_coverage(pages[:n] + pages[n + 1 :]).verdict == "incomplete"
    swapped = [pages[0], pages[2], pages[1], pages[3]]
    assert prove_coverage(swapped).verdict == "incomplete"


def test_a_stretch_that_another_one_covers_does_no_harm() -> None:
    pages = [
        page(0, 0, None, "2", "abcd", ending="entry", stitch=2),
        page(1, 0, "1", "x", "c"),
        page(2, 0, "2", None, "ef", ending="end"),
    ]
    assert prove_coverage(pages).verdict == "complete"


def test_reasons_are_kept_to_a_readable_number() -> None:
    pages = [page(0, 2 * n, "t", "t", "a") for n in range(100)]
    assert len(prove_coverage(pages).reasons) == REASONS_MAX


@pytest.mark.parametrize(
    ("groups", "order"),
    [
        (["ab", "cd"], "ascending"),
        (["dc", "ba"], "descending"),
        (["ab", "ba"], "mixed"),
        (["ca", "db"], "mixed"),
        (["ac", "bd"], "mixed"),
        (["a"], "unknown"),
        (["a", "", "b"], "ascending"),
        ([], "unknown"),
        (["bca"], "mixed"),
    ],
)
def test_the_order_of_the_list_is_found_not_assumed(groups: list[str], order: str) -> None:
    assert find_order(page(0, n, "t", "t", ids) for n, ids in enumerate(groups)) == order


def test_pages_of_different_stretches_are_not_compared() -> None:
    assert find_order([page(0, 0, None, "x", "cd"), page(1, 0, "1", "2", "ab")]) == "ascending"
