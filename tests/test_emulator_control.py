"""The emulator's own endpoints."""

import json

import pytest

from syncer.emulator.control import Control
from syncer.emulator.faults import Faults
from syncer.emulator.journal import Journal
from syncer.emulator.options import Options
from syncer.emulator.service import Service
from tests.emulator_client import client, users_of_pages


async def test_stats_and_log_agree_with_what_a_client_counted() -> None:
    async with client(users=250) as one:
        pages = await one.walk(100)
        await one.user("x")
        stats = (await one.control("GET", "stats")).json
        lines = [json.loads(line) for line in (await one.control("GET", "log")).body.splitlines()]
    assert (stats["requests"], stats["by_status"], stats["by_operation"]) == (
        len(pages) + 1,
        {"200": 3, "400": 1},
        {"list": 3, "fetch": 1},
    )
    assert (stats["users"], stats["active"], stats["max_concurrent"]) == (250, 0, 1)
    assert [(line["n"], line["status"], line["users"], line["page_size"]) for line in lines] == [
        (1, 200, 100, 100),
        (2, 200, 100, 100),
        (3, 200, 50, 100),
        (4, 400, None, None),
    ]
    assert lines[0]["token"] is None
    assert len({line["token"] for line in lines[1:3]}) == 2
    assert all(line["start"] <= line["end"] for line in lines)


async def test_no_page_token_and_no_secret_is_in_the_log() -> None:
    async with client(users=250) as one:
        pages = await one.walk(100)
        log = (await one.control("GET", "log")).body.decode()
    assert pages[0]["pagination"]["next"] not in log
    assert "secret" not in log


async def test_truth_is_what_a_walk_shows_before_and_after_changes() -> None:
    async with client(users=2300, deleted="gone") as one:
        for _ in range(2):
            truth = [json.loads(line) for line in (await one.control("GET", "truth")).body.splitlines()]
            assert truth == users_of_pages(await one.walk(500))
            await one.control("POST", "changes", {"create": 5, "delete": 7, "update": 9})
        assert len(truth) == 2298


async def test_changes_name_the_users_they_changed() -> None:
    async with client(users=10, deleted="gone") as one:
        ids = [user["id"] for user in (await one.page()).json["users"]]
        wanted = {"create": 2, "delete": [ids[0], "nobody"], "update": [ids[0], ids[1]]}
        done = (await one.control("POST", "changes", wanted)).json
        assert (done["deleted"], done["updated"], len(done["created"]), done["users"]) == ([ids[0]], [ids[1]], 2, 11)
        assert [user["id"] for user in (await one.page()).json["users"]] == [*ids[1:], *done["created"]]


async def test_queued_faults_meet_the_requests_they_are_meant_for() -> None:
    async with client(users=10) as one:
        wanted = {
            "faults": [{"kind": "503:2", "count": 2}, {"kind": "500", "at": 4}, {"kind": "404", "operation": "fetch"}]
        }
        assert (await one.control("POST", "faults", wanted)).json == {"waiting": 4}
        first = await one.page()
        assert (first.status, first.headers["Retry-After"]) == (503, "2")
        assert [(await one.page()).status for _ in range(4)] == [503, 200, 500, 200]
        assert (await one.control("POST", "faults", {"clear": True})).json == {"waiting": 0}


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("faults", {"faults": [{"kind": "nothing"}]}),
        ("faults", {"faults": [{}]}),
        ("faults", {"faults": 5}),
        ("faults", {"faults": [{"kind": "500", "operation": "sing"}]}),
        ("faults", {"faults": [{"kind": "500", "count": -1}]}),
        ("faults", []),
        ("changes", {"create": "many"}),
        ("changes", {"delete": -1}),
        ("changes", 5),
    ],
)
async def test_a_wrong_control_request_answers_400(what: str, body: object) -> None:
    async with client(users=10) as one:
        got = await one.control("POST", what, body)
        assert (got.status, list(got.json)) == (400, ["error"])


async def test_unknown_endpoints_answer_404() -> None:
    async with client(users=10) as one:
        assert (await one.control("GET", "nothing")).status == 404
        assert (await one.control("POST", "stats")).status == 404


async def test_control_requests_are_not_counted() -> None:
    async with client(users=10) as one:
        await one.control("GET", "stats")
        assert one.emulator.stats["requests"] == 0


async def test_callers_from_elsewhere_are_refused() -> None:
    class Request:
        method, path = "GET", "/emulator/stats"

        def __init__(self, remote: str | None) -> None:
            self.remote = remote

    control = Control(Service(Options(), lambda: 0.0, lambda: 0.0), Journal(), Faults(1))
    remotes = ("127.0.0.1", "::1", "192.0.2.7", "fe80::1%eth0", None)
    statuses = [(await control.handle(Request(remote))).status for remote in remotes]  # type: ignore[arg-type]
    assert statuses == [200, 200, 403, 403, 403]
