"""The request log and its sums."""

import json
from contextlib import closing
from pathlib import Path

from syncer.emulator.journal import Journal


def test_sums_and_lines_agree_with_the_requests(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with closing(Journal(str(path))) as journal:
        first = journal.begin(10.0, "GET", "/a", "list", "RQ1")
        second = journal.begin(10.5, "GET", "/b", "fetch", "RQ2")
        first.status, first.users, first.bytes, first.early = 200, 7, 100, True
        journal.finish(first, 10.6)
        third = journal.begin(11.2, "DELETE", "/b", "delete", "RQ3")
        third.fault = "reset"
        journal.finish(third, 11.3)
        stats = journal.stats()
        journal.finish(second, 11.4)
        lines = [json.loads(line) for line in journal.lines()]
    assert stats == {
        "requests": 3,
        "active": 1,
        "by_status": {"200": 1, "none": 1},
        "by_operation": {"list": 1, "delete": 1},
        "by_fault": {"reset": 1},
        "max_concurrent": 2,
        "max_in_one_second": 2,
        "early_requests": 1,
        "users": 7,
        "bytes": 100,
        "first_start": 10.0,
        "last_end": 11.3,
    }
    assert lines[0] == {
        "n": 1,
        "start": 10.0,
        "method": "GET",
        "path": "/a",
        "operation": "list",
        "concurrency": 1,
        "request_id": "RQ1",
        "end": 10.6,
        "account": None,
        "page_size": None,
        "token": None,
        "status": 200,
        "fault": None,
        "users": 7,
        "bytes": 100,
        "early": True,
    }
    assert [json.loads(line)["n"] for line in path.read_bytes().splitlines()] == [1, 3, 2]


def test_a_log_file_is_added_to(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for _ in range(2):
        with closing(Journal(str(path))) as journal:
            journal.finish(journal.begin(0.0, "GET", "/", "list", "RQ"), 1.0)
    assert len(path.read_bytes().splitlines()) == 2


def test_an_empty_journal_has_no_times() -> None:
    with closing(Journal()) as journal:
        assert (journal.stats()["first_start"], journal.stats()["last_end"], list(journal.lines())) == (None, None, [])
