from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from syncer.model import Check
from syncer.summary import summary_text


@dataclass(frozen=True)
class Part:
    format: str
    rows: int
    bytes: int


@dataclass(frozen=True)
class Result:
    account_sid: str = "AC" + "0" * 32
    snapshot_id: str = "20261123T020000Z"
    verdict: str = "complete"
    users: int = 100_000
    deleted_users: int = 2938
    pages: int = 100
    requests: int = 103
    retries: int = 3
    throttled: int = 1
    seconds: float = 12.5
    manifest: str = "snapshots/x/manifest.json"
    destination: str = "exports/"
    files: tuple[Part, ...] = (
        Part("parquet", 60_000, 1_200_000),
        Part("parquet", 40_000, 800_000),
        Part("ndjson", 1, 7),
    )
    checks: tuple[Check, ...] = (
        Check("chain", True, "100 pages"),
        Check("stable", False, "3 moved"),
        Check("order", True, ""),
    )
    notes: tuple[str, ...] = ("walked by one walker",)
    resumed: bool = False
    previous_users: int | None = 99_000
    reasons: list[str] = field(default_factory=list)


def test_the_summary_says_it_all() -> None:
    assert summary_text(Result(), 100) == (
        "Snapshot 20261123T020000Z of AC00000000000000000000000000000000: complete\n"
        "  users      100,000 (2,938 deleted), 1,000 more than last time\n"
        "  pages      100 in 103 requests, 3 of them retries; 1 answer 429\n"
        "  time       12.5 s, 8,000 users a second\n"
        "  files      parquet: 2 parts, 2.0 MB; ndjson: 1 part, 7 B\n"
        "  checks     chain, order ok; stable NOT ok (3 moved)\n"
        "  manifest   exports/snapshots/x/manifest.json\n"
        "  note       walked by one walker\n"
        "  proven     Every user that existed from the first request to the last, and kept its place in the\n"
        "             list, is in the snapshot exactly once.\n"
    )


@pytest.mark.parametrize(
    ("previous", "words"),
    [
        (None, "the first snapshot of this account"),
        (100_000, "as many as last time"),
        (100_007, "7 fewer than last time"),
    ],
)
def test_users_are_compared_with_the_last_snapshot(previous: int | None, words: str) -> None:
    assert words in summary_text(replace(Result(), previous_users=previous), 200)


def test_a_resumed_run_of_no_time_is_told_without_a_speed() -> None:
    told = summary_text(replace(Result(), seconds=0.0, resumed=True), 80)
    assert "  time       0.00 s, resumed from an unfinished run\n" in told


def test_a_run_without_trouble_and_one_without_success_are_told_too() -> None:
    calm = summary_text(replace(Result(), pages=1, requests=1, retries=0, throttled=0), 80)
    assert "  pages      1 in 1 request, no retries\n" in calm
    assert "  checks     a NOT ok (why)\n" in summary_text(replace(Result(), checks=(Check("a", False, "why"),)), 80)


def test_nothing_is_claimed_of_an_incomplete_run() -> None:
    assert "Every user" not in summary_text(replace(Result(), verdict="incomplete"))


@pytest.mark.parametrize("width", [40, 80, 120])
def test_no_line_is_wider_than_the_terminal_unless_a_word_is(width: int) -> None:
    told = summary_text(replace(Result(), account_sid="AC0", checks=(Check("a", True, ""),)), width)
    assert max(map(len, told.splitlines()[1:])) <= max(width, len("  manifest   exports/snapshots/x/manifest.json"))


def test_hostile_text_is_escaped() -> None:
    told = summary_text(replace(Result(), notes=("\x1b[2J\u202e",)), 80)
    assert "\\x1b[2J\\u202e" in told
    assert "\x1b" not in told
