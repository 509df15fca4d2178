"""The page size steps down after trouble and back up later."""

from __future__ import annotations

from syncer.crawl.page_size import CLEAN_PAGES_BEFORE_GROWTH, PageSize


def steps_down(size: PageSize) -> list[int]:
    found = [size.now]
    while not size.is_smallest:
        size = size.smaller()
        found.append(size.now)
    return found


def test_sizes_step_down_to_the_smallest() -> None:
    assert steps_down(PageSize(1000, 1000)) == [1000, 500, 250, 100, 50]
    assert steps_down(PageSize(137, 137)) == [137, 100, 50]
    assert steps_down(PageSize(7, 7)) == [7]


def test_a_row_of_clean_pages_grows_the_size_by_one_step_up_to_the_configured_one() -> None:
    size = PageSize(1000, 700).smaller().smaller().smaller()
    seen = []
    for _ in range(CLEAN_PAGES_BEFORE_GROWTH * 5):
        size = size.after_clean_page()
        seen.append(size.now)
    assert [seen[n] for n in (18, 19, 39, 59, 99)] == [100, 250, 500, 700, 700]


def test_trouble_starts_the_row_anew() -> None:
    size = PageSize(500, 1000)
    for _ in range(CLEAN_PAGES_BEFORE_GROWTH - 1):
        size = size.after_clean_page()
    assert size.smaller() == PageSize(250, 1000, 0)
