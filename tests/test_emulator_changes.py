"""Users under changes, against a plain sorted list."""

import json
import random
from bisect import insort
from typing import Any

import pytest

from syncer.emulator.changes import Stretch, Users
from syncer.emulator.population import Population, Style, id_of_row, make_id
from syncer.emulator.tokens import NEWEST_KEY, OLDEST_KEY

COUNT = 1200


def make(count: int = COUNT, **knobs: Any) -> Users:
    style = Style()
    return Users(Population(1, count, style, 0.0), style, 1, **knobs)


def ids_of(users: Users) -> list[str]:
    return [json.loads(row)["id"] for row in users.all()]


def unchanged(count: int = COUNT) -> list[str]:
    return ids_of(make(count))


def shown(users: Users, identity: str) -> dict[str, str | None]:
    row = users.get(identity)
    assert row is not None
    user: dict[str, str | None] = json.loads(row)
    return user


def assert_reads_agree(users: Users, places: list[str], draw: random.Random) -> None:
    """`places`: the keys of all rows, in rising order."""
    for _ in range(30):
        key = draw.choice([*places, OLDEST_KEY, NEWEST_KEY]) if places else OLDEST_KEY
        limit = draw.choice([1, 2, 7, 60, 400])
        inclusive = draw.random() < 0.5
        rising = draw.random() < 0.5
        behind = [one for one in places if (one > key if rising else one < key) or (inclusive and one == key)]
        expected = behind[:limit] if rising else behind[::-1][:limit]
        stretch = users.read(key, limit, rising=rising, inclusive=inclusive)
        assert [stretch.key(at) for at in range(len(stretch.rows))] == expected
        offset = draw.randrange(len(places) + 3)
        wanted = users.read_from(offset, limit)
        assert wanted == users.read(OLDEST_KEY, len(places) + 1).rows[offset : offset + limit]


@pytest.mark.parametrize("new_ids", ["newest", "random"])
@pytest.mark.parametrize("deleted", ["hidden", "gone"])
@pytest.mark.parametrize("count", [0, 1, 90])
def test_reading_agrees_with_a_plain_list_after_any_changes(new_ids: str, deleted: str, count: int) -> None:
    for seed in range(6):
        draw = random.Random(seed)
        users = make(count, new_ids=new_ids, deleted=deleted)
        places = unchanged(count)
        for _ in range(draw.randrange(60)):
            if draw.random() < 0.5 or not places:
                for identity in users.create(1):
                    insort(places, identity)
            elif draw.random() < 0.5:
                gone = draw.choice(places)
                assert users.delete(gone)
                places.remove(gone)
            else:
                assert users.update(draw.choice(places))
        assert (ids_of(users), len(users)) == (places, len(places))
        assert_reads_agree(users, places, draw)


def test_reading_agrees_with_a_plain_list_when_updates_move_rows() -> None:
    draw = random.Random(3)
    users = make(120, reorder_on_update=True)
    order = unchanged(120)
    for _ in range(80):
        moved = draw.choice(order)
        users.update(moved)
        order.remove(moved)
        order.append(moved)
    listed = users.read(OLDEST_KEY, 1000)
    assert [id_of_row(row) for row in listed.rows] == order
    assert ids_of(users) == sorted(order) == unchanged(120)
    assert_reads_agree(users, [listed.key(at) for at in range(120)], draw)


def test_an_untouched_stretch_is_read_without_merging() -> None:
    users = make()
    ids = unchanged()
    assert users.read(ids[4], 3) == Stretch(users.read(OLDEST_KEY, 8).rows[5:], None)
    users.update(ids[6])
    assert users.read(ids[4], 3).keys == ids[5:8]
    assert users.read(ids[6], 3).keys is None


def test_new_users_sort_at_the_newest_end_with_later_times() -> None:
    users = make()
    before = unchanged()
    created = users.create(3)
    assert ids_of(users) == before + created
    assert created == sorted(created)
    assert shown(users, created[0])["createdAt"] > shown(users, before[-1])["createdAt"]  # type: ignore[operator]


def test_random_new_ids_sort_anywhere() -> None:
    users = make(new_ids="random")
    created = users.create(50)
    places = ids_of(users)
    assert set(created) < set(places)
    assert places.index(min(created)) < 100 < places.index(max(created))


def test_changes_are_later_than_every_time_that_a_user_has() -> None:
    users = make()
    latest = max(
        max(shown(users, identity)["createdAt"], shown(users, identity)["updatedAt"]) for identity in ids_of(users)
    )  # type: ignore[type-var]
    changed = [*users.create(3), unchanged()[500]]
    assert users.update(unchanged()[500])
    assert all(shown(users, identity)["updatedAt"] > latest for identity in changed)  # type: ignore[operator]


def test_an_update_changes_only_the_update_time() -> None:
    users = make()
    identity = unchanged()[500]
    before = shown(users, identity)
    assert users.update(identity)
    after = shown(users, identity)
    assert after["updatedAt"] > before["updatedAt"]  # type: ignore[operator]
    assert after | {"updatedAt": before["updatedAt"]} == before
    assert users.update(identity)
    assert shown(users, identity)["updatedAt"] > after["updatedAt"]  # type: ignore[operator]


def test_a_listed_delete_leaves_the_row_with_its_time() -> None:
    users = make()
    identity = unchanged()[7]
    assert users.delete(identity)
    assert ids_of(users) == unchanged()
    assert shown(users, identity)["deletedAt"] == shown(users, identity)["updatedAt"] is not None
    assert users.was_deleted(identity)
    assert not users.delete(identity)


def test_a_hidden_delete_is_seen_by_fetch_alone() -> None:
    users = make(deleted="hidden")
    identity = unchanged()[7]
    assert users.delete(identity)
    assert ids_of(users) == [one for one in unchanged() if one != identity]
    assert shown(users, identity)["deletedAt"] is not None
    assert users.was_deleted(identity)
    assert (users.delete(identity), users.update(identity)) == (False, False)


def test_a_gone_user_is_nowhere() -> None:
    users = make(deleted="gone")
    identity = unchanged()[7]
    assert users.update(identity)
    assert users.delete(identity)
    assert ids_of(users) == [one for one in unchanged() if one != identity]
    assert users.get(identity) is None
    assert users.was_deleted(identity)
    assert (users.delete(identity), users.update(identity)) == (False, False)


def test_created_users_are_updated_and_deleted_too() -> None:
    users = make(3, deleted="gone")
    first, second = users.create(2)
    assert users.update(first)
    assert shown(users, first)["updatedAt"] > shown(users, second)["updatedAt"]  # type: ignore[operator]
    assert users.delete(first)
    assert ids_of(users) == [*unchanged(3), second]
    assert users.was_deleted(first)
    assert not users.was_deleted(second)


def test_unknown_users_are_not_changed() -> None:
    users = make()
    stranger = make_id(1, 1)
    assert (users.delete(stranger), users.update(stranger), users.delete(""), users.was_deleted("")) == (False,) * 4


def test_some_id_names_every_listed_user_sooner_or_later() -> None:
    users = make(5, deleted="gone")
    users.create(2)
    users.delete(unchanged(5)[0])
    assert {users.some_id() for _ in range(200)} == set(ids_of(users))
    assert make(0).some_id() is None


def test_reading_nothing_gives_nothing() -> None:
    assert make().read(OLDEST_KEY, 0) == Stretch([])
