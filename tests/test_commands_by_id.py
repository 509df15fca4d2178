"""`syncer delete` and `syncer fetch` against an emulator: every answer has its outcome and its exit code."""

from __future__ import annotations

import json
import pty
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from syncer.commands.main import main
from tests.bulk_campaign import asked_too_early, delete_campaign, fetch_campaign
from tests.limits_campaign import LIMITS, learn, problems_of
from tests.processes import SECRET, SID, Emulator, emulator

NOBODY = "comms_pushnotificationuser_" + "0" * 26


@pytest.fixture(scope="module")
def service() -> Iterator[Emulator]:
    with emulator("--users", "300", "--deleted-share", "0") as running:
        yield running


@pytest.fixture(scope="module")
def ids(service: Emulator) -> Iterator[str]:
    return iter([user["id"] for user in service.truth()])


@pytest.fixture
def run(
    service: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run a command in this process; its exit code, output and errors."""
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", SID)
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", SECRET)
    monkeypatch.chdir(tmp_path)

    def call(command: str, *args: str) -> tuple[int, str, str]:
        where = ["--base-url", service.url, "--state-dir", str(tmp_path / "state"), "--rate", "1000"]
        code = main([command, *args, *where, "--progress", "never", "--log-level", "error"])
        done = capsys.readouterr()
        return code, done.out, done.err

    return call


def break_next(service: Emulator, kind: str, count: int = 1) -> None:
    """Queue a fault for the next requests; those of the case before are forgotten."""
    body = json.dumps({"clear": True, "faults": [{"kind": kind, "count": count}] if count else []}).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{service.control_url}/faults", body), timeout=10) as answer:
        answer.read()


def receipts(tmp_path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (tmp_path / "state" / SID / "receipts.ndjson").read_bytes().splitlines()]


@pytest.mark.parametrize("kind", ["500", "reset", "stall", "json-broken"])
def test_what_never_passes_ends_with_code_4_and_is_in_doubt(
    run: Any, service: Emulator, ids: Iterator[str], kind: str, tmp_path: Path
) -> None:
    user_id = next(ids)
    break_next(service, kind, 50)
    if kind != "json-broken":  # a delete does not need its body
        assert run("delete", user_id, "--yes", "--deadline", "1s")[0] == 4
        (receipt,) = receipts(tmp_path)
        assert receipt["outcome"] == "failed"
        assert receipt["ambiguous"] is (kind != "stall")
    assert run("fetch", user_id, "--deadline", "2s")[0] == 4
    break_next(service, kind, 0)


def test_ids_that_do_not_exist_are_no_failures(run: Any, ids: Iterator[str], tmp_path: Path) -> None:
    first, second = next(ids), next(ids)
    code, out, err = run("fetch", second, NOBODY, first, second)
    assert (code, [json.loads(line)["id"] for line in out.splitlines()]) == (0, [second, first])
    assert err.splitlines() == [f"gone: {NOBODY}", "2 found, 1 gone, 0 failed"]
    assert run("delete", NOBODY, "--yes")[0] == 0
    assert [receipt["outcome"] for receipt in receipts(tmp_path)] == ["already_absent"]


def test_some_failures_are_code_9_and_the_rest_is_done(
    run: Any, service: Emulator, ids: Iterator[str], tmp_path: Path
) -> None:
    several = [next(ids) for _ in range(5)]
    break_next(service, "400")
    code, out, _ = run("delete", *several, "--yes", "--json", "--concurrency", "1")
    report = json.loads(out)
    assert (code, report["outcomes"]) == (9, {"accepted": 4, "already_absent": 0, "presumed": 0, "failed": 1})
    assert [(f["id"], f["exit_code"]) for f in report["failed"]] == [(several[0], 5)]
    before = len(service.log())
    code, out, _ = run("delete", *several, several[0], "--yes", "--json")
    report = json.loads(out)
    assert (code, report["sent"], report["done_before"], report["repeated"]) == (0, 1, 4, 1)
    assert [entry["path"].rpartition("/")[2] for entry in service.log()[before:]] == [several[0]]


def test_credentials_refused_in_the_middle_end_the_run_and_try_no_more(
    run: Any, service: Emulator, ids: Iterator[str], tmp_path: Path
) -> None:
    several = [next(ids) for _ in range(20)]
    run("delete", several[0], "--yes")
    break_next(service, "401", 50)
    code, out, _ = run("delete", *several, "--yes", "--json", "--concurrency", "2")
    break_next(service, "401", 0)
    report = json.loads(out)
    assert (code, report["outcomes"]["accepted"], report["untried"] >= 17) == (3, 1, True)


def test_nothing_is_sent_without_agreement(run: Any, service: Emulator, ids: Iterator[str], tmp_path: Path) -> None:
    user_id, before = next(ids), len(service.log())
    code, out, err = run("delete", user_id)
    assert (code, out) == (2, "")
    assert f"1 user of account {SID}" in err
    assert run("delete", user_id, "--dry-run")[:2] == (0, f"{user_id}\n")
    assert run("delete", user_id, "bad one", "--yes")[0] == 2
    assert run("delete", "--yes")[0] == 2
    assert len(service.log()) == before
    assert not (tmp_path / "state").exists() or receipts(tmp_path) == []


@pytest.mark.parametrize(("typed", "code"), [("delete 1 user of " + SID, 0), ("yes", 2), ("", 2)])
def test_a_person_types_the_number_and_the_account(
    run: Any, ids: Iterator[str], monkeypatch: pytest.MonkeyPatch, typed: str, code: int, tmp_path: Path
) -> None:
    ours, theirs = pty.openpty()
    with open(ours, "wb", buffering=0) as keyboard, open(theirs, encoding="utf-8") as terminal:
        keyboard.write(f"{typed}\n".encode())
        monkeypatch.setattr("sys.stdin", terminal)
        assert run("delete", next(ids))[0] == code
    assert len(receipts(tmp_path)) == (code == 0)


def test_more_than_the_limit_is_asked_for_by_number(
    run: Any, service: Emulator, ids: Iterator[str], tmp_path: Path
) -> None:
    path, before = tmp_path / "ids", len(service.log())
    path.write_text("".join(f"{NOBODY[:-4]}{n:04d}\n" for n in range(1001)))
    code, _, err = run("delete", "--ids-file", str(path), "--yes")
    assert (code, "--max 1001" in err, len(service.log())) == (2, True, before)
    assert run("delete", next(ids), next(ids), "--yes", "--max", "1")[0] == 2


def test_a_kill_between_request_and_receipt_makes_a_404_presumed(run: Any, tmp_path: Path) -> None:
    folder = tmp_path / "state" / SID
    folder.mkdir(parents=True)
    (folder / "receipts.ndjson.sent").write_text(f"{NOBODY}\n")
    assert run("delete", NOBODY, "--yes")[0] == 0
    assert [receipt["outcome"] for receipt in receipts(tmp_path)] == ["presumed"]
    assert [path.name for path in folder.iterdir()] == ["receipts.ndjson"]


def test_waiting_ends_when_the_users_are_gone_or_the_time_is_up(tmp_path: Path, run: Any) -> None:
    with emulator("--users", "5", "--deleted-share", "0", "--deleted", "gone", "--delete-delay", "2") as slow:
        several = [user["id"] for user in slow.truth()]
        where = ["--base-url", slow.url, "--yes", "--json"]
        code = main(["delete", several[0], "--wait", "100ms", "--state-dir", str(tmp_path / "s2"), *where])
        assert code == 4
        assert main(["delete", several[1], "--state-dir", str(tmp_path / "s2"), *where, "--wait", "20s"]) == 0
        assert several[1] not in {user["id"] for user in slow.truth()}


def test_fetch_writes_files_in_order_and_goes_on_after_failures(
    run: Any, service: Emulator, ids: Iterator[str], tmp_path: Path
) -> None:
    several = [next(ids) for _ in range(6)][::-1]
    (tmp_path / "ids.ndjson").write_text("".join(json.dumps({"id": i}) + "\n" for i in [*several, NOBODY]))
    flags = ["--ids-file", "ids.ndjson", "--output", "out.ndjson", "--json", "--concurrency", "1", "--gone", "gone.txt"]
    break_next(service, "400")
    code, out, _ = run("fetch", *flags)
    assert (code, json.loads(out)["found"], [f["id"] for f in json.loads(out)["failed"]]) == (9, 5, several[:1])
    before = len(service.log())
    code, out, _ = run("fetch", *flags)
    assert (code, len(service.log()) - before) == (0, 1)
    assert [json.loads(line)["id"] for line in (tmp_path / "out.ndjson").read_text().splitlines()] == several
    assert (tmp_path / "gone.txt").read_text() == f"{NOBODY}\n"
    assert run("fetch", "--ids-file", "ids.ndjson", "--output", "out.parquet", "--json")[0] == 0
    assert pq.read_table(tmp_path / "out.parquet").column("id").to_pylist() == several
    assert sorted(p.name for p in tmp_path.iterdir()) == ["gone.txt", "ids.ndjson", "out.ndjson", "out.parquet"]


def test_numbers_are_written_as_they_are_served(run: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with emulator("--users", "3", "--extra-field", "--deleted-share", "0") as service:
        with urllib.request.urlopen(f"{service.control_url}/truth", timeout=30) as answer:
            served = answer.read().decode()
        several = [json.loads(line)["id"] for line in served.splitlines()]
        flags = ["fetch", *several, "--base-url", service.url, "--state-dir", str(tmp_path)]
        assert "123456789012345678901234567890" in served
        same = served.replace("\\u00e9", "\u00e9")
        assert main(flags) == 0
        assert capsys.readouterr().out == same
        assert main([*flags, "--output", "users.ndjson"]) == 0
        assert (tmp_path / "users.ndjson").read_text() == same
        assert main([*flags, "--output", "users.parquet"]) == 0
        extra = pq.read_table(tmp_path / "users.parquet").column("extra").to_pylist()
        assert all('"counter":123456789012345678901234567890' in text for text in extra)


@pytest.mark.parametrize("args", [["--json", NOBODY], ["--output", "x.csv", NOBODY], ["--from", "latest", NOBODY], []])
def test_fetch_refuses_what_makes_no_sense(run: Any, service: Emulator, args: list[str]) -> None:
    before = len(service.log())
    assert run("fetch", *args)[0] == 2
    assert len(service.log()) == before


def test_no_request_leaves_within_a_retry_after(run: Any, tmp_path: Path) -> None:
    with emulator("--users", "150", "--rate", "60", "--burst", "5", "--retry-after", "1") as limited:
        (tmp_path / "ids").write_text("".join(user["id"] + "\n" for user in limited.truth()))
        flags = ["--ids-file", "ids", "--concurrency", "16", "--rate", "1000", "--progress", "never"]
        assert main(["fetch", *flags, "--base-url", limited.url, "--log-level", "error"]) == 0
        log = limited.log()
    assert any(entry["status"] == 429 for entry in log)
    assert asked_too_early(log, retry_after_seconds=1.0, on_the_way_seconds=0.1) == 0


@pytest.mark.parametrize("command", ["fetch", "delete"])
def test_sixteen_at_once_are_fourteen_times_as_fast(run: Any, command: str, tmp_path: Path) -> None:
    """Other work on the machine only ever adds time, so of each the shortest of some rounds counts."""

    def seconds(concurrency: int, count: int) -> float:
        begun = len(far.log())
        (tmp_path / "ids").write_text("".join(f"{next(several)}\n" for _ in range(count)))
        flags = ["--ids-file", "ids", "--concurrency", str(concurrency), "--rate", "10000", "--progress", "never"]
        agreed = ["--yes"] if command == "delete" else []
        where = ["--base-url", far.url, "--state-dir", str(tmp_path / "state"), "--log-level", "error"]
        assert main([command, *flags, *agreed, *where]) == 0
        log = far.log()[begun:]
        return float(max(entry["end"] for entry in log) - log[0]["start"]) / count

    with emulator("--users", "2100", "--latency", "100", "--deleted-share", "0") as far:
        several = iter([user["id"] for user in far.truth()])
        alone, together = seconds(1, 8), seconds(16, 160)
        for _ in range(11):
            if alone / together >= 14:
                break
            alone, together = min(alone, seconds(1, 8)), min(together, seconds(16, 160))
    assert alone / together >= 14


@pytest.mark.slow
def test_an_unknown_bound_on_requests_at_once_is_learnt(tmp_path: Path) -> None:
    with ThreadPoolExecutor() as threads:  # each has a service of its own, and waits for it most of the time
        runs = {
            command: threads.submit(learn, command, LIMITS[0], 18.0, tmp_path / command)
            for command in ("fetch", "delete")
        }
    learnt = {command: run.result() for command, run in runs.items()}
    assert {command: problems_of(one) for command, one in learnt.items()} == {"fetch": [], "delete": []}
    assert min(one.requests_later for one in learnt.values()) >= 200


@pytest.mark.slow
def test_a_thousand_deletes_through_faults_and_kills_each_end_once(tmp_path: Path) -> None:
    assert delete_campaign(1000, tmp_path / "delete") == []


@pytest.mark.slow
def test_a_thousand_fetches_through_faults_and_kills_each_end_once(tmp_path: Path) -> None:
    assert fetch_campaign(1000, tmp_path / "fetch") == []
