"""Many walkers in real processes: how fast, with how many requests, the same bytes; and what is said without them."""

from __future__ import annotations

import json
import subprocess
import time
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.processes import SID, Emulator, data_files, emulator, export, export_flags, syncer

PAGES = 150


def manifest(folder: Path, printed: dict[str, Any]) -> dict[str, Any]:
    return dict(json.loads((folder / "exports" / printed["manifest"]).read_bytes()))


def told(running: Emulator, folder: Path, *more: str, **env: str) -> str:
    """The summary that a person sees, on one line."""
    flags = [flag for flag in export_flags(running.url, folder, "--page-size", "50", *more) if flag != "--json"]
    done = syncer(*flags, **env)
    assert done.returncode == 0, done.stderr
    return " ".join(done.stderr.split())


def verified(folder: Path) -> subprocess.CompletedProcess[str]:
    return syncer("verify", "--destination", str(folder / "exports"))


@pytest.mark.slow
def test_eight_walkers_are_five_times_as_fast_with_hardly_any_more_requests_and_the_same_bytes(tmp_path: Path) -> None:
    with emulator("--users", str(PAGES * 50), "--latency", "50") as running:
        flags = ("--page-size", "50", "--concurrency", "8")
        one = export(running.url, tmp_path, *flags)["snapshots"][0]
        files = data_files(tmp_path)
        many = [export(running.url, tmp_path, *flags)["snapshots"][0] for _ in range(2)]
        assert one["seconds"] / min(run["seconds"] for run in many) >= 5
        assert max(run["requests"] for run in many) <= 1.05 * one["requests"]
        assert data_files(tmp_path) == files
        crawl = manifest(tmp_path, many[1])["crawl"]
        assert (crawl["walkers"], crawl["entries_refused"]) == (8, 0)
        assert crawl["entries_used"] >= 8
        assert verified(tmp_path).returncode == 0


def test_pages_become_smaller_where_the_service_cannot_serve_large_ones(tmp_path: Path) -> None:
    with emulator("--users", "1500", "--max-page-size-ok", "100") as running:
        printed = export(running.url, tmp_path, "--page-size", "1000")["snapshots"][0]
        assert (printed["users"], printed["verdict"]) == (1500, "complete")
        sizes = [entry["page_size"] for entry in running.lists() if entry["status"] == 200]
        assert set(sizes) == {100}
        assert verified(tmp_path).returncode == 0
    with emulator("--users", "1500") as running:
        export(running.url, tmp_path / "calm")
        assert data_files(tmp_path / "calm") == data_files(tmp_path)


def test_pages_become_larger_again_and_a_night_of_several_sizes_is_one_chain_with_entries_for_the_next(
    tmp_path: Path,
) -> None:
    with emulator("--users", "8000") as running:
        running.fail({"kind": "500", "count": 3, "at": 10, "operation": "list"})
        first = manifest(tmp_path, export(running.url, tmp_path, "--page-size", "200")["snapshots"][0])
        index = pq.read_table(tmp_path / "exports" / first["page_index"]["path"])
        assert [size for size, _ in groupby(index["page_size"].to_pylist())] == [200, 100, 200]
        assert verified(tmp_path).returncode == 0
        files, before = data_files(tmp_path), len(running.lists())
        second = manifest(tmp_path, export(running.url, tmp_path, "--page-size", "200")["snapshots"][0])
        assert {(entry["page_size"], entry["status"]) for entry in running.lists()[before:]} == {(200, 200)}
        assert second["crawl"]["entries_used"] >= 4
        assert data_files(tmp_path) == files


@pytest.mark.parametrize("bound", [(), ("--token-bound-to-page-size",)])
def test_a_size_that_was_not_served_is_not_asked_for_the_next_night_and_many_walkers_share_the_list(
    bound: tuple[str, ...], tmp_path: Path
) -> None:
    with emulator("--users", "3000", "--max-page-size-ok", "100", *bound) as running:
        export(running.url, tmp_path, "--page-size", "500")  # two sizes are given up: once may be a bad minute
        before = len(running.lists())
        printed = export(running.url, tmp_path, "--page-size", "500")["snapshots"][0]
        asked = running.lists()[before:]
        assert {(entry["page_size"], entry["status"]) for entry in asked} == {(100, 200)}
        assert manifest(tmp_path, printed)["crawl"]["entries_used"] == 7
        flags = export_flags(running.url, tmp_path, "--page-size", "500")
        said = " ".join(syncer(*[flag for flag in flags if flag != "--json"]).stderr.split())
        assert "100 users a page were asked for: a run of the last 7 days asked for more in vain" in said
        assert verified(tmp_path).returncode == 0


def test_tokens_bound_to_a_page_size_are_followed_with_the_size_they_came_with(tmp_path: Path) -> None:
    flags = ("--users", "1500", "--max-page-size-ok", "100", "--token-bound-to-page-size")
    with emulator(*flags) as running:
        printed = export(running.url, tmp_path, "--page-size", "200")["snapshots"][0]
        assert (printed["users"], printed["verdict"]) == (1500, "complete")
        assert verified(tmp_path).returncode == 0


def test_a_first_run_says_that_the_next_one_will_be_faster_and_why(tmp_path: Path) -> None:
    with emulator("--users", "600") as running:
        first, second = told(running, tmp_path), told(running, tmp_path)
    assert "this is the first snapshot; the next run is faster: it starts at many places of the list at once" in first
    assert "walked by one walker" not in second


def test_where_tokens_differ_from_night_to_night_there_are_no_more_borders_than_walkers_need(tmp_path: Path) -> None:
    with emulator("--users", "2000", "--token-ttl", "86400") as running:  # such a token holds the second of its making
        flags = ("--page-size", "50", "--concurrency", "4")

        def night() -> tuple[int, int]:
            time.sleep(1.01 - time.time() % 1)
            said = manifest(tmp_path, export(running.url, tmp_path, *flags)["snapshots"][0])
            return said["crawl"]["entries_used"], said["page_index"]["rows"]

        assert [night() for _ in range(4)] == [(0, 40), (11, 51), (3, 43), (3, 43)]
        assert verified(tmp_path).returncode == 0


def test_one_walker_by_choice_is_said_so(tmp_path: Path) -> None:
    with emulator("--users", "600") as running:
        told(running, tmp_path)
        assert "walked by one walker: --sequential was given" in told(running, tmp_path, "--sequential")


def test_entries_that_are_refused_cost_their_speed_only_and_are_said(tmp_path: Path) -> None:
    key = {"TWILIO_AUTH_TOKEN": "", "TWILIO_API_KEY": "SK" + "1" * 32, "TWILIO_API_SECRET": "key-secret"}
    with emulator("--users", "1200", "--token-bound-to-credential", "--account", SID) as running:
        told(running, tmp_path)
        before = len(running.lists())
        second = told(running, tmp_path, **key)
        refused = [entry for entry in running.lists()[before:] if entry["status"] == 400]
        assert len(running.lists()) - before == before + len(refused)
        assert len(refused) == 2  # one entry, asked twice: it might have been a fault on the way
    assert "the API refused 1 entry of the last snapshot, so one walker walked the whole list" in second
    assert verified(tmp_path).returncode == 0


@pytest.mark.parametrize("latency", ["0", "20"])
def test_entries_that_are_answered_with_the_first_page_cost_two_requests_in_all_and_are_said(
    latency: str, tmp_path: Path
) -> None:
    key = {"TWILIO_AUTH_TOKEN": "", "TWILIO_API_KEY": "SK" + "1" * 32, "TWILIO_API_SECRET": "key-secret"}
    bound = ("--token-bound-to-credential", "--bad-token", "first-page", "--account", SID)
    with emulator("--users", "3000", "--latency", latency, *bound) as running:
        told(running, tmp_path)
        before = len(running.lists())
        second = told(running, tmp_path, **key)
        assert len(running.lists()) - before <= before + 2  # the entry, and the page after it that had left already
    assert "the API refused 1 entry of the last snapshot, so one walker walked the whole list" in second
    assert verified(tmp_path).returncode == 0


def test_another_page_size_than_last_time_is_walked_by_one_walker_and_said(tmp_path: Path) -> None:
    with emulator("--users", "1200") as running:
        told(running, tmp_path)
        other = told(running, tmp_path, "--page-size", "40")
        assert "the last snapshot was crawled with 50 users a page, not 40" in other


@pytest.mark.parametrize("flags", [("--reorder-on-update", "--churn-update", "3"), ("--token-kind", "offset")])
def test_a_list_that_does_not_keep_its_order_ends_in_a_named_verdict_or_a_true_one(
    flags: tuple[str, ...], tmp_path: Path
) -> None:
    with emulator("--users", "2000", "--churn-delete", "2", "--deleted", "gone", *flags) as running:
        shrinking = export_flags(running.url, tmp_path, "--page-size", "50", "--allow-shrink")
        done = [syncer(*shrinking) for _ in range(2)]
    for one in done:
        assert one.returncode in (0, 5), one.stderr
        assert "Traceback" not in one.stderr
        if one.returncode == 5:
            assert "order is not stable" in one.stderr or "do not name places" in one.stderr or "twice" in one.stderr
    if "offset" in flags:  # an updated user that moves to the end of the list is met there: that list may end well
        assert 5 in [one.returncode for one in done]
