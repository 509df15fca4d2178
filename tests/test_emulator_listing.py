"""Every walk over the emulator's pages meets every user once, whatever the knobs."""

import pytest

from syncer.emulator.changes import Users
from syncer.emulator.listing import Rules, Slice, first_place, place_before, slice_at
from syncer.emulator.population import Population, Style
from syncer.emulator.tokens import Place


def make(count: int) -> Users:
    return Users(Population(1, count, Style()), Style(), 1)


def walk(users: Users, rules: Rules, size: int) -> list[Slice]:
    pages = [slice_at(users, rules, first_place(rules), size)]
    while (following := pages[-1].following) is not None:
        pages.append(slice_at(users, rules, following, size))
    return pages


def rows(pages: list[Slice]) -> list[bytes]:
    return [row for page in pages for row in page.rows]


RULES = [
    Rules(),
    Rules(order="newest"),
    Rules(by_offset=True),
    Rules(by_offset=True, order="newest"),
    Rules(end="empty-page"),
    Rules(short_pages=0.5),
    Rules(empty_pages=0.5),
    Rules(order="newest", short_pages=0.5, empty_pages=0.5, end="empty-page"),
    Rules(by_offset=True, short_pages=1.0, empty_pages=1.0),
]


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize(("count", "size"), [(0, 10), (1, 1), (30, 10), (31, 10), (1005, 1000), (40, 1)])
def test_a_walk_meets_every_user_once_in_order(rules: Rules, count: int, size: int) -> None:
    users = make(count)
    everyone = list(users.all())
    assert rows(walk(users, rules, size)) == (everyone if rules.order == "oldest" else everyone[::-1])


def test_pages_are_full_but_the_last() -> None:
    assert [len(page.rows) for page in walk(make(25), Rules(), 10)] == [10, 10, 5]
    assert [len(page.rows) for page in walk(make(20), Rules(), 10)] == [10, 10]
    assert [len(page.rows) for page in walk(make(20), Rules(end="empty-page"), 10)] == [10, 10, 0]


def test_short_and_empty_pages_come_at_the_same_places_for_the_same_seed() -> None:
    rules = Rules(short_pages=0.3, empty_pages=0.3, seed=4)
    sizes = [len(page.rows) for page in walk(make(500), rules, 10)]
    assert sizes == [len(page.rows) for page in walk(make(500), rules, 10)]
    assert sizes.count(0) > 5
    assert sum(0 < size < 10 for size in sizes) > 5
    assert sizes != [len(page.rows) for page in walk(make(500), Rules(short_pages=0.3, empty_pages=0.3, seed=5), 10)]


def test_an_empty_page_leads_to_the_same_place() -> None:
    rules = Rules(empty_pages=1.0)
    first = slice_at(make(5), rules, first_place(rules), 2)
    assert (first.rows, first.following) == ([], Place(first.here.key, passed=True))


def test_offset_pages_slip_when_a_user_before_them_goes_and_key_pages_do_not() -> None:
    for rules, met in ((Rules(), 29), (Rules(by_offset=True), 28)):
        users = Users(Population(1, 30, Style()), Style(), 1, deleted="gone")
        ids = [row[7:60].decode() for row in users.all()]
        first = slice_at(users, rules, first_place(rules), 10)
        users.delete(ids[0])
        assert first.following is not None
        after = [slice_at(users, rules, first.following, 10)]
        while (following := after[-1].following) is not None:
            after.append(slice_at(users, rules, following, 10))
        kept = {*first.rows, *rows(after)} - {first.rows[0]}
        assert len(kept) == met


@pytest.mark.parametrize("rules", RULES[:4])
def test_place_before_goes_back_over_whole_pages(rules: Rules) -> None:
    users = make(35)
    pages = walk(users, rules, 10)
    assert place_before(users, rules, pages[3].here, 10) == pages[2].here
    assert place_before(users, rules, pages[3].here, 30) == pages[0].here
    assert place_before(users, rules, pages[3].here, 31) is None
    assert place_before(users, rules, pages[2].here, 0) == pages[2].here
    assert place_before(users, rules, pages[0].here, 0) == pages[0].here
