"""The program as it is used: real processes, real sockets, and readers that know nothing of syncer."""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tests.processes import (
    SECRET,
    SID,
    Emulator,
    data_files,
    emulator,
    environment,
    export,
    export_flags,
    start_syncer,
    syncer,
    unpacked,
)

BOTH = ("--format", "parquet", "--format", "ndjson")
DEBUG = ("--log-level", "debug")
KILLS = 20
SIZES = [0, 1, 49, 50, 51, 1000, 1001, pytest.param(100_000, marks=pytest.mark.slow)]
PAGE_SIZES = [1, 50, 137, 1000]
LOOK_BACK_PAGES = 16
"""Pages of a list of 16 to 199 that are asked for again after the walk, to see whether tokens name places."""


@pytest.fixture(scope="module")
def thousand() -> Iterator[Emulator]:
    with emulator("--users", "1001", "--seed", "7", "--related", "filled", "--extra-field") as running:
        yield running


def ndjson_objects(folder: Path) -> list[Any]:
    """Every object of the newest snapshot, by a decompressor of its own."""
    text = b""
    for name, data in sorted(data_files(folder).items()):
        if name.startswith("ndjson/"):
            text += unpacked(data)
    return [json.loads(line) for line in text.splitlines()]


def seen_by_duckdb(folder: Path) -> list[tuple[Any, ...]]:
    glob = str(folder / "exports" / "parquet" / "**" / "*.parquet")
    times = "epoch_us(created_at), epoch_us(updated_at), epoch_us(deleted_at)"
    query = f"SELECT id, {times} FROM read_parquet(?, hive_partitioning=true) ORDER BY id"
    return duckdb.connect().execute(query, [glob]).fetchall()


def as_rows(truth: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    def microseconds(key: str) -> list[int | None]:
        times = pa.array([user[key] for user in truth], pa.string()).cast(pa.timestamp("us", "UTC"))
        return pc.cast(times, pa.int64()).to_pylist()

    times = map(microseconds, ("createdAt", "updatedAt", "deletedAt"))
    return list(zip([user["id"] for user in truth], *times, strict=True))


@pytest.mark.parametrize("users", SIZES)
@pytest.mark.parametrize("order", ["oldest", "newest"])
def test_independent_readers_agree_with_the_truth(users: int, order: str, tmp_path: Path) -> None:
    with emulator("--users", str(users), "--order", order, "--related", "empty") as running:
        truth = running.truth()
        assert len(truth) == users
        for page_size in PAGE_SIZES[users == 100_000 :]:  # a hundred thousand requests would take minutes
            folder = tmp_path / str(page_size)
            printed = export(running.url, folder, *BOTH, "--page-size", str(page_size))["snapshots"][0]
            assert printed["pages"] == max(1, -(-users // page_size))
            assert seen_by_duckdb(folder) == as_rows(truth)
            assert ndjson_objects(folder) == truth


def test_unknown_fields_are_kept_in_both_formats(thousand: Emulator, tmp_path: Path) -> None:
    export(thousand.url, tmp_path, "--format", "parquet", "--format", "ndjson")
    truth = thousand.truth()
    assert ndjson_objects(tmp_path) == truth
    files = sorted((tmp_path / "exports" / "parquet").glob("**/*.parquet"))
    extra = pa.concat_tables([pq.ParquetFile(f).read() for f in files])["extra"].to_pylist()
    known = {"id", "createdAt", "updatedAt", "deletedAt"}
    assert [json.loads(text) for text in extra] == [{k: v for k, v in u.items() if k not in known} for u in truth]


def test_data_files_are_byte_identical_whatever_the_crawl_was_like(tmp_path: Path) -> None:
    both = ("--format", "parquet", "--format", "ndjson")
    found = []
    for n, flags in enumerate(
        [(), ("--order", "newest"), ("--short-pages", "0.3", "--empty-pages", "0.2"), ("--fault", "500=0.05")]
    ):
        with emulator("--users", "5000", "--seed", "3", *flags) as running:
            for size in ("1000", "137"):
                folder = tmp_path / f"{n}-{size}"
                export(running.url, folder, *both, "--page-size", size)
                found.append(data_files(folder))
                export(running.url, folder, *both, "--page-size", size, "--concurrency", "7")  # by entries
                found.append(data_files(folder))
    assert all(files == found[0] for files in found)
    assert set(found[0]) == {"parquet/part-00000.parquet", "ndjson/part-00000.ndjson.zst"}


def test_the_printed_json_and_the_manifest_have_the_fixed_keys(thousand: Emulator, tmp_path: Path) -> None:
    printed = export(thousand.url, tmp_path)
    assert set(printed) == {"version", "snapshots", "failed"}
    assert (printed["version"], printed["failed"]) == (1, [])
    snapshot = printed["snapshots"][0]
    assert {
        "account_sid",
        "snapshot_id",
        "verdict",
        "users",
        "pages",
        "requests",
        "retries",
        "seconds",
        "manifest",
    } <= set(snapshot)
    assert (snapshot["account_sid"], snapshot["verdict"], snapshot["users"], snapshot["pages"]) == (
        SID,
        "complete",
        1001,
        2,
    )
    manifest = json.loads((tmp_path / "exports" / snapshot["manifest"]).read_bytes())
    assert {
        "version", "snapshot_id", "account_sid", "verdict", "started_at", "finished_at", "users", "deleted_users",
        "files",
        "crawl", "checks", "previous", "tool",
    } <= set(manifest)  # fmt: skip
    assert {
        "pages", "requests", "retries", "throttled", "walkers", "entries_used", "entries_refused", "overlap_users",
        "order",
        "resumed",
    } <= set(manifest["crawl"])  # fmt: skip
    latest = json.loads((tmp_path / "exports" / "snapshots" / f"account_sid={SID}" / "latest.json").read_bytes())
    assert latest["snapshot_id"] == snapshot["snapshot_id"]


def test_nothing_but_parts_and_success_lies_in_the_data_folders(thousand: Emulator, tmp_path: Path) -> None:
    export(thousand.url, tmp_path, "--format", "parquet", "--format", "ndjson")
    names = {p.name for kind in ("parquet", "ndjson") for p in (tmp_path / "exports" / kind).rglob("*") if p.is_file()}
    assert names == {"part-00000.parquet", "part-00000.ndjson.zst", "_SUCCESS"}
    assert not list((tmp_path / "exports" / ".staging").rglob("*.*"))


def test_snapshots_form_a_chain(thousand: Emulator, tmp_path: Path) -> None:
    ids = [export(thousand.url, tmp_path)["snapshots"][0]["snapshot_id"] for _ in range(2)]
    assert ids == sorted(set(ids))
    listed = json.loads(syncer("snapshots", "--destination", str(tmp_path / "exports"), "--json").stdout)
    assert [s["snapshot_id"] for s in listed["snapshots"]] in (ids, ids[::-1])
    for name in ("latest", "previous", *ids):
        done = syncer("verify", name, "--destination", str(tmp_path / "exports"))
        assert done.returncode == 0, done.stderr + done.stdout


def test_verify_names_a_damaged_part(thousand: Emulator, tmp_path: Path) -> None:
    export(thousand.url, tmp_path)
    part = next((tmp_path / "exports" / "parquet").rglob("part-00000.parquet"))
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.chmod(0o644)
    part.write_bytes(data)
    done = syncer("verify", "--destination", str(tmp_path / "exports"))
    assert done.returncode == 8
    assert "part-00000.parquet" in done.stdout + done.stderr


@pytest.mark.parametrize("walkers", ["1", "6"])
def test_a_second_night_is_walked_from_entries_with_hardly_any_more_requests(walkers: str, tmp_path: Path) -> None:
    with emulator("--users", "4000", "--seed", "5") as running:
        first = export(running.url, tmp_path, "--page-size", "50", "--concurrency", walkers)["snapshots"][0]
        running.change(create=37)
        second = export(running.url, tmp_path, "--page-size", "50", "--concurrency", walkers)["snapshots"][0]
        assert (first["users"], second["users"]) == (4000, 4037)
        assert second["requests"] <= first["requests"] * 1.05 + 2
        manifest = json.loads((tmp_path / "exports" / second["manifest"]).read_bytes())
        assert (manifest["crawl"]["entries_used"] > 0) == (walkers == "6")
        assert syncer("verify", "--destination", str(tmp_path / "exports")).returncode == 0


def test_a_killed_export_goes_on_where_it_stood_and_gives_the_same_bytes(tmp_path: Path) -> None:
    both = ("--format", "parquet", "--format", "ndjson")
    users = ("--users", "10000", "--seed", "11")
    with emulator(*users) as running:  # the same list; how fast it is walked left alone is not the point
        export(running.url, tmp_path / "calm", *both, "--page-size", "50")
        calm = len(running.lists())
    with emulator(*users, "--latency", "60") as running:
        r = random.Random(2)
        folder = tmp_path / "killed"
        for _ in range(KILLS):
            process = start_syncer(*export_flags(running.url, folder, *both, "--page-size", "50"))
            time.sleep(r.uniform(0.3, 0.9))
            process.send_signal(signal.SIGKILL)
            process.communicate()
            assert process.returncode == -signal.SIGKILL
            assert not list(folder.glob("exports/snapshots/*/*/manifest.json"))
        printed = export(running.url, folder, *both, "--page-size", "50")["snapshots"][0]
        asked_again = len(running.lists()) - calm
        assert (printed["users"], printed["pages"]) == (10000, 200)
        assert asked_again <= 2 * KILLS  # one walker: the page on the wire and the one being written
        assert data_files(folder) == data_files(tmp_path / "calm")


def wait_for_pages(running: Emulator, pages: int) -> None:
    """Until so many have been asked for; a machine may have other work."""
    give_up_at = time.monotonic() + 60
    while len(running.lists()) < pages:
        assert time.monotonic() < give_up_at
        time.sleep(0.05)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_keeps_progress_and_ends_soon(number: signal.Signals, code: int, tmp_path: Path) -> None:
    with emulator("--users", "2500", "--latency", "30") as running:
        process = start_syncer(*export_flags(running.url, tmp_path, "--page-size", "50"))
        wait_for_pages(running, 20)
        sent = time.monotonic()
        process.send_signal(number)
        _, errors = process.communicate(timeout=10)
        assert time.monotonic() - sent < 5
        assert process.returncode == code, errors
        done = len(running.lists())
        printed = export(running.url, tmp_path, "--page-size", "50")["snapshots"][0]
        assert len(running.lists()) - done <= 50 - done + 2 + LOOK_BACK_PAGES
        manifest = json.loads((tmp_path / "exports" / printed["manifest"]).read_bytes())
        assert manifest["crawl"]["resumed"] is True
        assert printed["users"] == 2500


def test_a_second_run_of_an_account_is_refused_at_once_and_says_who_holds_it(tmp_path: Path) -> None:
    with emulator("--users", "5000", "--latency", "50") as running:
        process = start_syncer(*export_flags(running.url, tmp_path, "--page-size", "50"))
        wait_for_pages(running, 1)
        done = syncer(*export_flags(running.url, tmp_path))
        assert done.returncode == 7
        assert f"process {process.pid}" in done.stderr
        assert "since" in done.stderr
        process.kill()
        process.communicate()
        export(running.url, tmp_path)  # the kernel freed the lock


ONLY_LATER = "429:date=1"
"""Asks to wait a second, again and again: nothing but the deadline ends that."""
NEVER_WHOLE = ("drip:0.05=1", "drip-head:0.05=1", "stall=1", "stall-body=1")
"""Answers that nothing but a timeout ends."""
REFUSALS = [
    (("--fault", "missing-pagination=1"), 5),
    (("--fault", "next-number=1"), 5),
    (("--fault", "next-url=1"), 5),
    (("--fault", "self-loop=1"), 5),
    (("--fault", "loop=1"), 5),
    (("--fault", "repeat-page=1"), 5),
    (("--fault", "null-users=1"), 5),
    (("--fault", "bad-row=1"), 5),
    (("--fault", "dup-row=1"), 5),
    (("--forbidden",), 3),
    (("--fault", "500=1"), 4),
    (("--fault", "502=1"), 4),
    (("--fault", "504=1"), 4),
    (("--fault", "reset=1"), 4),
    (("--fault", "cut=1"), 4),
    (("--fault", "cut-chunked=1"), 4),
    (("--fault", "cut-close=1"), 4),
    (("--fault", "html200=1"), 4),
    (("--fault", "empty200=1"), 4),
    (("--fault", "json-broken=1"), 4),
    (("--fault", "bad-encoding=1"), 4),
    (("--fault", "huge=1"), 4),
    (("--fault", "bomb=1"), 4),
    (("--fault", "redirect=1"), 5),
    (("--fault", "400=1"), 5),
    (("--fault", "404=1"), 5),
    (("--fault", "418=1"), 5),
    (("--fault", "401=1"), 3),
    (("--fault", "403=1", "--auth-body", "hostile"), 3),
    (("--fault", "409=1", "--error-body", "hostile"), 5),
    (("--fault", "429:3600=1"), 4),
    (("--fault", "503:3600=1"), 4),
    (("--fault", ONLY_LATER, "--error-body", "empty"), 4),
    (("--fault", "gzip-crc=1"), 4),
    (("--fault", "two-lengths=1"), 4),
    (("--fault", "length-and-chunked=1"), 4),
    (("--fault", "long-header=1"), 4),
    *((("--fault", fault), 4) for fault in NEVER_WHOLE),
]


@pytest.mark.slow
@pytest.mark.parametrize(("flags", "code"), REFUSALS)
def test_every_fault_that_lasts_ends_with_its_exit_code_one_sentence_and_nothing_published(
    flags: tuple[str, ...], code: int, tmp_path: Path
) -> None:
    whole, silent = ("300ms", "200ms") if flags[-1] in NEVER_WHOLE else ("1s", "700ms")
    (tmp_path / "config.toml").write_text(f'request_timeout = "{whole}"\nread_timeout = "{silent}"\n', encoding="utf-8")
    deadline = "5s" if ONLY_LATER in flags else "20s"
    limits = ("--page-size", "50", "--deadline", deadline, "--config", str(tmp_path / "config.toml"), *DEBUG)
    with emulator("--users", "300", *flags) as running:
        done = syncer(*export_flags(running.url, tmp_path, *limits), timeout=90)
    assert done.returncode == code, done.stderr
    assert re.fullmatch(r"[\x20-\x7e\n]*", done.stderr)
    assert [failed["exit_code"] for failed in json.loads(done.stdout)["failed"]] == [code]
    errors = [line for line in done.stderr.splitlines() if "error:" in line]
    assert len(errors) == 1
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("exports/snapshots/*/*/manifest.json"))
    assert not list(tmp_path.glob("exports/parquet/**/*.parquet"))
    assert_no_secret_in(done.stdout + done.stderr, tmp_path)


def assert_no_secret_in(text: str, folder: Path) -> None:
    """In no form, nor in any file below the folder; and no page token in the text."""
    basic = b64encode(f"{SID}:{SECRET}".encode()).decode()
    files = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    for form in (SECRET, basic, basic.rstrip("="), SECRET.replace("-", "%2D")):
        assert form not in text
        assert not [data for data in files if form.encode() in data]
    assert '"PK"' not in text
    assert "eyJ" not in text  # base64 of a token's opening


def test_faults_that_come_and_go_do_not_change_the_snapshot(tmp_path: Path) -> None:
    faults = [
        f"--fault={kind}=0.01"
        for kind in ("500", "503", "reset", "cut", "html200", "json-broken", "cut-chunked", "gzip-cut")
    ]
    with emulator("--users", "3000", "--concurrency", "3", "--retry-after", "zero", *faults) as running:
        printed = export(running.url, tmp_path, "--page-size", "50")["snapshots"][0]
        assert printed["users"] == 3000
        assert seen_by_duckdb(tmp_path) == as_rows(running.truth())


HANGING = """
import os, sys, threading, time
from syncer.commands import interrupts, main
interrupts.STOP_SECONDS = 1.0
os.fsync = lambda _: threading.current_thread() is threading.main_thread() or time.sleep(600)
sys.exit(main.main(sys.argv[1:]))
"""


def test_the_deadline_ends_a_run_whose_disk_does_not_answer(tmp_path: Path) -> None:
    with emulator("--users", "400") as running:
        flags = export_flags(running.url, tmp_path, "--page-size", "50")
        command = [sys.executable, "-c", HANGING, *flags, "--deadline", "3s"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment())
        assert done.returncode == 4, done.stderr
        assert "the deadline of 3.0 s has passed, and what was at work then does not stop" in done.stderr
        assert len(running.lists()) >= 8
        asked = len(running.lists())
        assert export(running.url, tmp_path, "--page-size", "50")["snapshots"][0]["users"] == 400
        assert len(running.lists()) - asked <= 8 + 2


def test_the_deadline_ends_a_run_and_keeps_its_progress(tmp_path: Path) -> None:
    with emulator("--users", "2500", "--latency", "100") as running:
        done = syncer(*export_flags(running.url, tmp_path, "--page-size", "50", "--deadline", "2s"))
        assert done.returncode == 4
        assert "deadline" in done.stderr
        asked = len(running.lists())
        assert asked > 5
        export(running.url, tmp_path, "--page-size", "50")
        assert len(running.lists()) <= 50 + 2 + LOOK_BACK_PAGES


def test_rejects_are_kept_whole_and_counted_when_allowed(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[guards]\nmax_rejects = 100\n")
    with emulator("--users", "300", "--fault", "bad-row=1") as running:
        printed = export(running.url, tmp_path, "--page-size", "50", "--config", str(config))["snapshots"][0]
    manifest = json.loads((tmp_path / "exports" / printed["manifest"]).read_bytes())
    rejects = (tmp_path / "exports" / manifest["rejects"]["path"]).read_bytes().splitlines()
    assert manifest["rejects"]["count"] == len(rejects) > 0
    assert all({"reason", "user"} == set(json.loads(line)) for line in rejects)
    assert printed["users"] + len(rejects) >= 300


def test_no_secret_and_no_page_token_appears_anywhere(tmp_path: Path) -> None:
    with emulator("--users", "500", "--fault", "500=0.2") as running:
        process = start_syncer(*export_flags(running.url, tmp_path, "--page-size", "50", "--log-level", "debug"))
        arguments = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        out, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    assert SECRET.encode() not in arguments
    assert_no_secret_in(out + errors, tmp_path)


def test_a_crash_of_the_interpreter_leaves_no_core_that_would_hold_the_secret() -> None:
    with emulator() as running:
        limits = Path(f"/proc/{running.process.pid}/limits").read_text(encoding="utf-8")
    assert re.search(r"^Max core file size +0 ", limits, re.M)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["export", "--page-size", "0"], 2, "page"),
        (["export", "--page-size", "lots"], 2, "page"),
        (["export", "--format", "csv"], 2, "csv"),
        (["export", "--base-url", "http://api.example.com/v1"], 2, "https"),
        (["export", "--config", "no-such-file.toml"], 2, "no-such-file.toml"),
        (["exprot"], 2, "export"),
        (["verify", "--destination", "nowhere"], 2, "nowhere"),
    ],
)
def test_wrong_usage_is_one_sentence_and_exit_code_2(
    arguments: list[str], code: int, words: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "syncer", *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment(),
        timeout=30,
    )
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_without_credentials_nothing_is_asked(tmp_path: Path) -> None:
    done = syncer(*export_flags("http://127.0.0.1:9/v1", tmp_path), TWILIO_AUTH_TOKEN="")
    assert done.returncode == 2
    assert "TWILIO_AUTH_TOKEN" in done.stderr
