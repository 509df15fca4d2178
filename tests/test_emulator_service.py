"""The three operations without a socket: every knob does what it says."""

import json
from dataclasses import dataclass
from typing import Any

import pytest

from syncer.emulator.answers import Answer
from syncer.emulator.faults import parse_fault
from syncer.emulator.options import Options
from syncer.emulator.population import make_id
from syncer.emulator.service import Call, Service, bad_row, parse_page_size, users_of

ACCOUNT = "AC1"
STRANGER = make_id(1, 1)


@dataclass
class Api:
    """A service with a clock that stands still until it is moved."""

    service: Service
    now: list[float]

    def call(
        self, operation: str, user_id: str | None = None, fault: str | None = None, number: int = 0, **query: Any
    ) -> Answer:
        account = str(query.pop("account", ACCOUNT))
        credential = str(query.pop("credential", account))
        texts = {key: str(value) for key, value in query.items()}
        broken = parse_fault(fault) if fault else None
        return self.service.answer(Call(operation, account, credential, texts, user_id, broken, number))

    def page(self, **query: Any) -> Any:
        answer = self.call("list", **query)
        assert answer.status == 200
        return json.loads(answer.body)

    def walk(self, page_size: int, pages_max: int = 500, **query: Any) -> list[Any]:
        pages = [self.page(pageSize=page_size, **query)]
        while (token := pages[-1]["pagination"].get("next")) and len(pages) < pages_max:
            pages.append(self.page(pageSize=page_size, pageToken=token, **query))
        return pages

    def ids(self, page_size: int = 100) -> list[str]:
        return [user["id"] for page in self.walk(page_size) for user in page["users"]]


def api(**options: Any) -> Api:
    now = [1000.0]
    service = Service(Options(**({"users": 120} | options)), lambda: now[0], lambda: now[0])
    service.base_url = "http://here/v1"
    return Api(service, now)


def ids_at_start(**options: Any) -> list[str]:
    return [json.loads(row)["id"] for row in users_of(Options(**({"users": 120} | options))).all()]


# Pages


def test_a_page_has_fifty_users_unless_said_and_names_itself_and_the_next() -> None:
    page = api().page()
    assert list(page) == ["users", "pagination"]
    assert list(page["pagination"]) == ["next", "self"]
    assert [user["id"] for user in page["users"]] == ids_at_start()[:50]


@pytest.mark.parametrize("text", ["0", "1001", "-1", "", "ten", "1e2", " 5", "+5", "5.0", "99999999999", "٣"])
def test_page_sizes_outside_one_to_a_thousand_answer_400(text: str) -> None:
    answer = api().call("list", pageSize=text)
    assert (answer.status, json.loads(answer.body)["errors"][0]["code"]) == (400, 20404)


def test_page_sizes_are_parsed() -> None:
    assert [parse_page_size(text) for text in (None, "1", "1000", "007")] == [50, 1, 1000, 7]


def test_unknown_parameters_are_ignored_as_a_misspelt_token_is() -> None:
    one = api()
    assert one.page(pagetoken=one.page()["pagination"]["next"], Filter="x") == one.page()


@pytest.mark.parametrize("options", [{}, {"token_kind": "offset"}, {"order": "newest"}, {"empty_pages": 1.0}])
def test_self_fetches_the_same_page_again(options: dict[str, Any]) -> None:
    one = api(**options)
    for page in one.walk(30):
        assert one.page(pageSize=30, pageToken=page["pagination"]["self"]) == page


@pytest.mark.parametrize("order", ["oldest", "newest"])
@pytest.mark.parametrize("kind", ["key", "offset"])
@pytest.mark.parametrize("end", ["null", "absent", "empty", "empty-page"])
@pytest.mark.parametrize("share", [0.0, 0.4])
def test_a_walk_shows_every_user_once_in_order(order: str, kind: str, end: str, share: float) -> None:
    one = api(order=order, token_kind=kind, end=end, short_pages=share, empty_pages=share)
    expected = ids_at_start() if order == "oldest" else ids_at_start()[::-1]
    assert one.ids(13) == one.ids(40) == expected


def test_the_end_is_written_as_asked() -> None:
    ends = {end: api(end=end).walk(60)[-1] for end in ("null", "absent", "empty", "empty-page")}
    assert ends["null"]["pagination"]["next"] is None
    assert "next" not in ends["absent"]["pagination"]
    assert ends["empty"]["pagination"]["next"] == ""
    assert (ends["empty-page"]["users"], ends["empty-page"]["pagination"]["next"]) == ([], None)


def test_an_account_without_users_is_one_empty_page() -> None:
    assert [(page["users"], page["pagination"]["next"]) for page in api(users=0).walk(50)] == [([], None)]
    assert api(users=0, churn_update=1.0, churn_delete=1.0).page()["users"] == []


def test_short_and_empty_pages_have_a_next() -> None:
    pages = api(short_pages=0.4, empty_pages=0.4).walk(10)
    sizes = [len(page["users"]) for page in pages[:-1]]
    assert 0 in sizes
    assert any(0 < size < 10 for size in sizes)
    assert all(page["pagination"]["next"] for page in pages[:-1])


def test_page_sizes_above_the_one_that_works_answer_500() -> None:
    one = api(max_page_size_ok=100)
    assert (one.call("list", pageSize=101).status, one.call("list", pageSize=100).status) == (500, 200)


# Tokens


def test_a_token_of_another_account_or_none_of_ours_answers_400() -> None:
    one = api()
    token = one.page()["pagination"]["next"]
    assert one.call("list", pageToken=token, account="AC2").status == 400
    assert one.call("list", pageToken=token.replace("=", " ")[:-1] + "*").status == 400
    assert one.call("list", pageToken="").status == 400


def test_a_token_may_be_bound_to_the_page_size() -> None:
    for bound, status in ((False, 200), (True, 400)):
        one = api(token_bound_to_page_size=bound)
        token = one.page(pageSize=10)["pagination"]["next"]
        assert one.call("list", pageToken=token, pageSize=20).status == status
        assert one.call("list", pageToken=token, pageSize=10).status == 200


def test_a_token_may_be_bound_to_the_credential() -> None:
    for bound, status in ((False, 200), (True, 400)):
        one = api(token_bound_to_credential=bound)
        token = one.page(credential="SK1")["pagination"]["next"]
        assert one.call("list", pageToken=token, credential="SK2").status == status
        assert one.call("list", pageToken=token, credential="SK1").status == 200


def test_a_token_may_grow_stale() -> None:
    for ttl, status in ((None, 200), (60.0, 400)):
        one = api(token_ttl=ttl)
        token = one.page()["pagination"]["next"]
        one.now[0] += 60
        assert one.call("list", pageToken=token).status == 200
        one.now[0] += 2
        assert one.call("list", pageToken=token).status == status


def test_a_key_token_is_still_a_place_when_its_row_is_gone_and_an_offset_slips() -> None:
    for kind, missed in (("key", 0), ("offset", 1)):
        one = api(token_kind=kind, deleted="gone")
        ids = ids_at_start()
        page = one.page()
        one.call("delete", page["users"][-1]["id"])
        after = one.page(pageToken=page["pagination"]["next"])["users"]
        assert after[0]["id"] == ids[50 + missed]


# Users


def test_fetch_shows_a_user_and_404_for_none() -> None:
    one = api()
    user = one.page()["users"][3]
    assert json.loads(one.call("fetch", user["id"]).body) == user
    assert one.call("fetch", STRANGER).status == 404


@pytest.mark.parametrize(("knob", "status"), [(400, 400), (404, 404)])
def test_what_is_no_id_answers_as_the_knob_says(knob: int, status: int) -> None:
    one = api(malformed_id=knob)
    for operation in ("fetch", "delete"):
        for user_id in ("x", "..", STRANGER + "$", STRANGER.upper(), "1"):
            assert one.call(operation, user_id).status == status


def test_delete_answers_202_with_a_receipt_and_its_place() -> None:
    answer = api().call("delete", ids_at_start()[0])
    place = f"http://here/v1/PushNotifications/Users/{ids_at_start()[0]}"
    assert (answer.status, answer.headers) == (202, {"Location": place})
    assert json.loads(answer.body) == {"resourceId": ids_at_start()[0], "resourceLocation": place}


def test_delete_may_have_no_body() -> None:
    answer = api(delete_body="no").call("delete", ids_at_start()[0])
    assert (answer.status, answer.body, answer.content_type, list(answer.headers)) == (202, b"", None, ["Location"])


@pytest.mark.parametrize(
    ("deleted", "listed", "fetched"), [("listed", True, 200), ("hidden", False, 200), ("gone", False, 404)]
)
def test_a_deleted_user_is_shown_as_the_knob_says(deleted: str, listed: bool, fetched: int) -> None:
    one = api(deleted=deleted, deleted_share=0.0)
    identity = one.ids()[10]
    one.call("delete", identity)
    assert (identity in one.ids(), one.call("fetch", identity).status) == (listed, fetched)
    if fetched == 200:
        assert json.loads(one.call("fetch", identity).body)["deletedAt"] is not None


@pytest.mark.parametrize("deleted", ["listed", "hidden", "gone"])
@pytest.mark.parametrize("second", [202, 404])
def test_a_second_delete_answers_as_the_knob_says(deleted: str, second: int) -> None:
    one = api(deleted=deleted, second_delete=second, deleted_share=0.0)
    identity = one.ids()[10]
    assert [one.call("delete", identity).status for _ in range(2)] == [202, second]
    assert one.call("delete", STRANGER).status == 404


def test_a_delete_takes_effect_after_its_delay() -> None:
    one = api(delete_delay=30.0, deleted="gone", second_delete=404)
    identity = one.ids()[10]
    assert [one.call("delete", identity).status for _ in range(2)] == [202, 202]
    one.now[0] += 29
    assert one.call("fetch", identity).status == 200
    one.now[0] += 2
    assert (one.call("fetch", identity).status, one.call("delete", identity).status) == (404, 404)


def test_users_deleted_before_the_start_are_listed_only_where_deleted_users_are() -> None:
    def deleted(**options: Any) -> int:
        return sum(user["deletedAt"] is not None for user in api(**options).page(pageSize=120)["users"])

    assert deleted(deleted_share=1.0) == 120
    assert deleted(deleted_share=1.0, deleted="gone") == 0


def test_users_are_written_in_the_style_asked_for() -> None:
    user = api(fractions="ns", offsets=True, related="empty", extra_field=True).page()["users"][0]
    assert user["createdAt"].endswith("217409+00:00")
    assert list(user)[4:] == ["related", "attributes"]


# Changes while it runs


def test_churn_creates_deletes_and_updates_as_often_as_expected() -> None:
    one = api(users=1000, churn_create=2.0, deleted="gone")
    one.walk(100, 10)
    assert len(one.service.users) == 1020
    one = api(users=1000, churn_delete=0.5, deleted="gone")
    for _ in range(100):
        one.page()
    assert 930 < len(one.service.users) < 970
    one = api(users=1000, churn_update=1.0)
    before = {row["id"]: row["updatedAt"] for row in api(users=1000).page(pageSize=1000)["users"]}
    one.walk(100)
    after = {row["id"]: row["updatedAt"] for row in one.page(pageSize=1000)["users"]}
    assert after.keys() == before.keys()
    assert 5 <= sum(after[key] != before[key] for key in before) <= 11


def test_churn_is_fixed_by_the_seed() -> None:
    def walked(seed: int) -> list[Any]:
        return api(seed=seed, churn_create=0.5, churn_delete=0.5, churn_update=0.5).walk(10)

    assert walked(1) == walked(1) != walked(2)


def test_new_users_come_at_the_newest_end_or_anywhere() -> None:
    one = api(churn_create=3.0)
    assert one.ids(120)[:120] == ids_at_start()
    one = api(new_ids="random")
    created = one.service.users.create(30)
    assert min(created) < ids_at_start()[60]


def test_an_updated_user_moves_where_the_list_is_unstable() -> None:
    for unstable, last in ((False, 119), (True, 0)):
        one = api(reorder_on_update=unstable)
        one.service.users.update(ids_at_start()[0])
        assert one.ids()[-1] == ids_at_start()[last]


def test_a_walk_shows_every_stable_user_under_churn() -> None:
    for seed in range(20):
        one = api(seed=seed, users=300, churn_create=1.0, churn_delete=0.5, churn_update=1.0, deleted="gone")
        met = one.ids(20)
        assert len(met) == len(set(met))
        left = {json.loads(row)["id"] for row in one.service.users.all()}
        assert left & set(ids_at_start(seed=seed, users=300, deleted="gone")) <= set(met)


# Broken pages


@pytest.mark.parametrize(
    ("fault", "next_value"),
    [("next-number", 17), ("next-url", "http://here/v1/PushNotifications/Users?pageToken=")],
)
def test_next_may_be_what_it_must_not_be(fault: str, next_value: Any) -> None:
    following = api().page(fault=fault)["pagination"]["next"]
    assert following == next_value if isinstance(next_value, int) else following.startswith(next_value)


def test_pagination_and_users_may_be_missing() -> None:
    assert list(api().page(fault="missing-pagination")) == ["users"]
    assert api().page(fault="null-users")["users"] is None


def test_next_may_be_the_token_asked_with() -> None:
    one = api()
    token = one.page()["pagination"]["next"]
    assert one.page(pageToken=token, fault="self-loop")["pagination"]["next"] == token
    first = one.page(fault="self-loop")["pagination"]
    assert first["next"] == first["self"]


@pytest.mark.parametrize("period", [1, 2, 5])
@pytest.mark.parametrize("kind", ["key", "offset"])
def test_a_loop_comes_round_after_its_period(period: int, kind: str) -> None:
    pages = api(token_kind=kind).walk(10, pages_max=20, fault=f"loop:{period}")
    assert len(pages) == 20
    selves = [page["pagination"]["self"] for page in pages]
    assert len(set(selves)) == period
    assert selves[period:] == selves[:-period]


def test_a_repeated_page_stands_in_for_the_one_it_hides() -> None:
    one = api()
    first = one.page(pageSize=20)
    second = one.page(pageSize=20, pageToken=first["pagination"]["next"])
    broken = one.page(pageSize=20, pageToken=first["pagination"]["next"], fault="repeat-page")
    assert broken == {"users": first["users"], "pagination": second["pagination"]}
    assert one.page(pageSize=20, fault="repeat-page") == first


def test_a_row_may_come_twice() -> None:
    users = api().page(pageSize=5, fault="dup-row")["users"]
    assert [user["id"] for user in users] == [ids_at_start()[0], *ids_at_start()[:5]]


def test_a_row_may_break_the_contract_in_three_ways() -> None:
    row = b'{"id":"' + STRANGER.encode() + b'","createdAt":"2020","updatedAt":"2021","deletedAt":null}'
    by_number = [json.loads(bad_row(row, None, number)) for number in range(3)]
    assert by_number == [
        {"createdAt": "2020", "updatedAt": "2021", "deletedAt": None},
        {"id": STRANGER, "createdAt": "last tuesday", "updatedAt": "2021", "deletedAt": None},
        STRANGER,
    ]
    forms = ("no-id", "bad-time", "not-object")
    assert [json.loads(bad_row(row, form, 0)) for form in forms] == by_number
    assert "id" not in api().page(fault="bad-row:no-id")["users"][-1]


def test_rows_of_an_empty_page_are_not_broken() -> None:
    one = api(users=0)
    assert one.page(fault="dup-row") == one.page(fault="bad-row") == one.page()
