"""Every kind of answer to `syncer fetch` and `syncer delete`: what becomes of that id and of the rest, and the code."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from syncer.commands.main import main
from tests.processes import SECRET, SID, Emulator, emulator
from tests.test_commands_by_id import break_next, receipts

REFUSED = [402, 405, 406, 409, 410, 413, 415, 418, 422, 431, 451, 499]
ENDS_THE_RUN = {"401": 3, "403": 3}
FAILS_THE_ID = {"400": 5, **{str(status): 5 for status in REFUSED}, "redirect": 5}
PASSES = [
    *("429:0", "429:none", "429:date", "429:nonsense", "503:0", "503:none"),
    *("408", "425", "500", "501", "502", "504", "507", "520", "529", "599"),
    *("reset", "cut", "cut-chunked", "gzip-crc", "two-lengths", "length-and-chunked"),
    *("long-header", "html200", "bad-encoding"),
]
NOT_A_USER = ["empty200", "json-broken", "cut-close", "gzip-cut"]
"""What is only wrong where a body is needed: a deletion is believed by its status."""


@dataclass(frozen=True)
class Runs:
    """Runs commands in this process against one emulator, each with users that no other run has touched."""

    service: Emulator
    ids: Iterator[str]
    call: Callable[..., tuple[int, str, str]]

    def take(self, count: int) -> list[str]:
        return [next(self.ids) for _ in range(count)]

    def report(self, command: str, *args: str) -> tuple[int, dict[str, Any]]:
        agreed = ["--yes"] if command == "delete" else ["--output", "users.ndjson"]
        code, out, _ = self.call(command, *args, *agreed, "--json", "--concurrency", "1")
        return code, dict(json.loads(out))


@pytest.fixture(scope="module")
def service() -> Iterator[Emulator]:
    with emulator("--users", "2000", "--deleted-share", "0") as running:
        yield running


@pytest.fixture(scope="module")
def all_ids(service: Emulator) -> Iterator[str]:
    return iter([user["id"] for user in service.truth()])


@pytest.fixture
def runs(
    service: Emulator,
    all_ids: Iterator[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Runs]:
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", SID)
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", SECRET)
    monkeypatch.chdir(tmp_path)

    def call(command: str, *args: str) -> tuple[int, str, str]:
        where = ["--base-url", service.url, "--state-dir", "state", "--rate", "1000"]
        code = main([command, *args, *where, "--progress", "never", "--log-level", "error"])
        done = capsys.readouterr()
        return code, done.out, done.err

    yield Runs(service, all_ids, call)
    break_next(service, "400", 0)


@pytest.mark.parametrize("kind", PASSES)
def test_an_answer_that_passes_costs_another_attempt_and_no_id(runs: Runs, kind: str, tmp_path: Path) -> None:
    several = runs.take(2)
    for command in ("fetch", "delete"):
        break_next(runs.service, kind)
        code, report = runs.report(command, *several)
        assert (code, report["failed"], report["retries"]) == (0, [], 1)
    found = receipts(tmp_path)
    assert {(r["id"], r["outcome"]) for r in found} == {(user_id, "accepted") for user_id in several}
    assert sorted(r["attempts"] for r in found) == [1, 2]  # either request may have been the first on the wire


@pytest.mark.parametrize("kind", NOT_A_USER)
def test_a_broken_body_matters_where_a_user_is_read_only(runs: Runs, kind: str, tmp_path: Path) -> None:
    several = runs.take(2)
    break_next(runs.service, kind)
    code, report = runs.report("fetch", *several)
    assert (code, report["found"], report["retries"]) == (0, 2, 1)
    break_next(runs.service, kind)
    assert runs.report("delete", *several)[0] == 0
    assert [(r["outcome"], r["attempts"]) for r in receipts(tmp_path)] == [("accepted", 1)] * 2


@pytest.mark.parametrize(("kind", "code"), FAILS_THE_ID.items())
def test_an_answer_that_stays_fails_its_id_with_its_code_and_the_run_with_nine(
    runs: Runs, kind: str, code: int, tmp_path: Path
) -> None:
    several = runs.take(3)
    for command in ("fetch", "delete"):
        break_next(runs.service, kind)
        ended, report = runs.report(command, *several)
        assert (ended, [(f["id"], f["exit_code"]) for f in report["failed"]]) == (9, [(several[0], code)])
        assert (report["untried"], report["retries"]) == (0, 0)
        break_next(runs.service, kind, 9)
        alone = runs.take(1)
        assert runs.report(command, *alone)[0] == code
        break_next(runs.service, kind, 0)
        assert runs.report(command, *several)[0] == 0
    assert [r["outcome"] for r in receipts(tmp_path) if r["id"] == several[0]] == ["failed", "accepted"]
    assert all(SECRET not in r["error"] and f"HTTP {kind}" in r["error"] for r in receipts(tmp_path)
               if r["outcome"] == "failed" and kind != "redirect")  # fmt: skip


@pytest.mark.parametrize(("kind", "code"), ENDS_THE_RUN.items())
def test_credentials_that_are_refused_end_the_run_and_its_code_is_theirs(
    runs: Runs, kind: str, code: int, tmp_path: Path
) -> None:
    several = runs.take(3)
    for command in ("fetch", "delete"):
        break_next(runs.service, kind, 9)
        ended, report = runs.report(command, *several)
        assert (ended, [f["exit_code"] for f in report["failed"]], report["untried"]) == (code, [code], 2)
        break_next(runs.service, kind, 0)
        assert runs.report(command, *several)[0] == 0


def test_an_answer_that_is_never_one_fails_its_id_with_four(runs: Runs, tmp_path: Path) -> None:
    several = runs.take(3)
    for command in ("fetch", "delete"):
        break_next(runs.service, "html200", 3)
        ended, report = runs.report(command, *several)
        assert (ended, [(f["id"], f["exit_code"]) for f in report["failed"]]) == (9, [(several[0], 4)])
    assert next((r["outcome"], r["ambiguous"]) for r in receipts(tmp_path)) == ("failed", True)
    ended, report = runs.report("delete", *several)  # the requests of before may have been carried out
    assert (ended, report["outcomes"]["accepted"] + report["outcomes"]["presumed"]) == (0, 3)


@pytest.mark.parametrize("kind", ["stall", "stall-body", "drip", "drip-head"])
def test_an_answer_that_never_ends_is_cut_by_the_deadline(runs: Runs, kind: str, tmp_path: Path) -> None:
    for command in ("fetch", "delete"):
        break_next(runs.service, kind, 9)
        ended, report = runs.report(command, *runs.take(1), "--deadline", "700ms")
        assert (ended, [f["exit_code"] for f in report["failed"]]) == (4, [4])


def test_a_body_without_end_is_not_read_to_its_end(runs: Runs) -> None:
    for kind in ("huge", "bomb"):
        break_next(runs.service, kind)
        ended, report = runs.report("fetch", *runs.take(1), "--deadline", "60s")
        assert (ended, report["found"], report["retries"]) == (0, 1, 1)


@pytest.mark.parametrize("second", [202, 404])
@pytest.mark.parametrize("body", ["yes", "no"])
def test_a_deletion_is_accepted_with_a_body_or_only_a_header_and_once(
    runs: Runs, second: int, body: str, tmp_path: Path
) -> None:
    with emulator("--users", "3", "--deleted-share", "0", "--second-delete", str(second), "--delete-body", body) as one:
        user_id = one.truth()[0]["id"]
        flags = ["delete", user_id, "--yes", "--base-url", one.url, "--state-dir", str(tmp_path / "state")]
        assert [main(flags), main(flags)] == [0, 0]
        (receipt,) = receipts(tmp_path)
        assert (receipt["outcome"], receipt["location"].rpartition("/")[2]) == ("accepted", user_id)
        assert receipt["resource_id"] == (user_id if body == "yes" else None)
        elsewhere = [*flags[:-1], str(tmp_path / "elsewhere")]
        assert main(elsewhere) == 0
    outcome = json.loads((tmp_path / "elsewhere" / SID / "receipts.ndjson").read_bytes())["outcome"]
    assert outcome == ("accepted" if second == 202 else "already_absent")


@pytest.mark.parametrize("status", [400, 404])
def test_what_is_no_id_to_the_service_is_an_outcome_of_that_id(runs: Runs, status: int, tmp_path: Path) -> None:
    """Our pattern and the service's may differ: 400 fails the id, 404 says that it is not there."""
    with emulator("--users", "3", "--malformed-id", str(status), "--fault", f"{status}=1") as one:
        flags = [one.truth()[0]["id"], "--base-url", one.url, "--state-dir", str(tmp_path / "state")]
        assert main(["fetch", *flags]) == (5 if status == 400 else 0)
        assert main(["delete", *flags, "--yes"]) == (5 if status == 400 else 0)
    (receipt,) = receipts(tmp_path)
    assert receipt["outcome"] == ("failed" if status == 400 else "already_absent")
