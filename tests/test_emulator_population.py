"""The emulator's users: how they look, that a seed fixes them, and that a hundred million cost nothing."""

import json
import re
import tracemalloc
from itertools import pairwise

import pytest

from syncer.emulator.population import (
    BLOCK_USERS,
    ID_PATTERN,
    ID_PREFIX,
    START_MS,
    STEP_MS,
    Fields,
    Population,
    Style,
    fields_of,
    make_id,
    time_of_id,
)


def population(users: int = 2500, seed: int = 1, style: Style | None = None, share: float = 0.03) -> Population:
    return Population(seed, users, style or Style(), share)


def test_ids_rise_strictly_and_have_the_documented_form() -> None:
    users = [json.loads(row) for row in population().rows(0, 2500)]
    ids = [user["id"] for user in users]
    assert all(ID_PATTERN.fullmatch(one) and len(one) == len(ID_PREFIX) + 26 for one in ids)
    assert all(older < newer for older, newer in pairwise(ids))


def test_a_user_has_the_four_fields_and_is_created_at_the_time_in_its_id() -> None:
    for row in population().rows(0, 2500):
        user = json.loads(row)
        assert list(user) == ["id", "createdAt", "updatedAt", "deletedAt"]
        assert user["createdAt"] == Style().time(time_of_id(user["id"]))
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", user["updatedAt"])
        assert user["updatedAt"] >= user["createdAt"]
        assert user["deletedAt"] in (None, user["updatedAt"])


def test_the_deleted_share_is_kept() -> None:
    def deleted(share: float) -> int:
        return sum(json.loads(row)["deletedAt"] is not None for row in population(10_000, share=share).rows(0, 10_000))

    assert (deleted(0.0), deleted(1.0)) == (0, 10_000)
    assert 200 < deleted(0.03) < 400


def test_the_same_seed_gives_the_same_users_and_another_gives_others() -> None:
    first = population().rows(0, 2500)
    assert population().rows(0, 2500) == first
    assert not set(population(seed=2).rows(0, 2500)) & set(first)


def test_more_users_only_add_to_the_end() -> None:
    assert population(5000).rows(0, 2500) == population(2500).rows(0, 9999)


def test_rows_are_the_same_whichever_blocks_are_cached() -> None:
    small = Population(1, 5000, Style(), blocks_kept=2)
    forwards = [small.row(at) for at in range(0, 5000, 7)]
    backwards = [small.row(at) for at in reversed(range(0, 5000, 7))]
    assert forwards == backwards[::-1] == population(5000).rows(0, 5000)[::7]


def test_a_hundred_million_users_cost_no_more_than_a_few_blocks() -> None:
    tracemalloc.start()
    users = Population(1, 100_000_000, Style(), blocks_kept=4)
    last = users.id_at(99_999_999)
    for position in (0, 50_000_000, 99_999_999, 12_345_678, 77, 31_999_999):
        assert users.find(users.id_at(position)) == position
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert users.find(last) == 99_999_999
    assert peak_bytes < 24_000_000


def test_position_from_finds_the_first_user_at_or_behind_any_key() -> None:
    users = population(1500)
    ids = [users.id_at(at) for at in range(1500)]
    for at in (0, 1, 999, 1000, 1499):
        assert users.position_from(ids[at]) == at
        assert users.position_from(make_id(time_of_id(ids[at]), (1 << 80) - 1)) == at + 1
        assert users.position_from(make_id(time_of_id(ids[at]), 0)) == at
        assert users.position_from(users.floor(at)) == at
    assert users.position_from(make_id(0, 0)) == 0
    assert users.position_from(make_id(START_MS + 10**9, 0)) == 1500


@pytest.mark.parametrize(
    "identity", ["", "comms_pushnotificationuser_", "comms_pushnotificationuser_8" + "0" * 25, make_id(START_MS, 5)]
)
def test_find_answers_none_for_what_is_no_user(identity: str) -> None:
    assert population().find(identity) is None


def test_time_of_id_refuses_what_is_no_id() -> None:
    with pytest.raises(ValueError, match="not a user id"):
        time_of_id("comms_pushnotificationuser_U")


def test_rows_outside_the_population_are_left_out() -> None:
    users = population(1500)
    assert users.rows(-5, 1) == [users.row(0)]
    assert users.rows(1499, 9999) == [users.row(1499)]
    assert users.rows(1500, 1600) == []


@pytest.mark.parametrize(
    ("style", "pattern"),
    [
        (Style(fractions="ms"), r"\d\d\.\d{3}Z"),
        (Style(fractions="us"), r"\d\d\.\d{6}Z"),
        (Style(fractions="ns"), r"\d\d\.\d{9}Z"),
        (Style(offsets=True), r"\d\d\+00:00"),
        (Style(fractions="ms", offsets=True), r"\d\d\.\d{3}\+00:00"),
    ],
)
def test_times_are_written_in_the_style_asked_for(style: Style, pattern: str) -> None:
    rows = [json.loads(row) for row in population(300, style=style).rows(0, 300)]
    for user in rows:
        assert re.fullmatch(r"2\d{3}-\d\d-\d\dT\d\d:\d\d:" + pattern, user["createdAt"])
        assert re.fullmatch(r"2\d{3}-\d\d-\d\dT\d\d:\d\d:" + pattern, user["updatedAt"])
        assert user["updatedAt"] >= user["createdAt"]
        assert user["createdAt"] == style.time(time_of_id(user["id"]))


def test_related_and_the_extra_field_are_added() -> None:
    def one(style: Style) -> dict[str, object]:
        user: dict[str, object] = json.loads(population(1, style=style).row(0))
        return user

    assert one(Style(related="empty"))["related"] == []
    assert list(one(Style(related="filled"))["related"][0]) == ["id", "name", "uri"]  # type: ignore[index]
    extra = one(Style(extra_field=True))["attributes"]
    assert extra["counter"] == 123456789012345678901234567890  # type: ignore[index]


def test_fields_of_reads_back_what_row_wrote() -> None:
    style = Style(fractions="us", related="filled", extra_field=True)
    rows = population(BLOCK_USERS, style=style, share=0.5).rows(0, BLOCK_USERS)
    assert [fields_of(row).row(style) for row in rows] == rows
    assert fields_of(Fields("a", "b", "c", "d").row(style)) == Fields("a", "b", "c", "d")


def test_blocks_of_users_cover_the_same_time() -> None:
    assert time_of_id(population(3000).id_at(2000)) - START_MS in range(2000 * STEP_MS, 2001 * STEP_MS)
