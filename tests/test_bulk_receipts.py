"""Receipts survive kills, are shared by nobody, and say what must not be sent again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from syncer.bulk.journal import Journal
from syncer.bulk.receipts import Receipt, Receipts
from syncer.errors import LockHeld, UsageError

SID = "AC" + "0" * 32
URL = "https://api.invalid/v1"


async def at_once(work: Callable[[], None]) -> None:
    work()


def receipt(user_id: str, outcome: str = "accepted", **more: object) -> Receipt:
    return Receipt(user_id, outcome, SID, URL, "2026-11-24T03:00:00.000+00:00", 1, **more)  # type: ignore[arg-type]


def keep(path: Path, *receipts: Receipt, sent: tuple[str, ...] = ()) -> None:
    """A run that was killed: nothing is closed in order."""
    opened = Receipts(path, SID, URL)

    async def write() -> None:
        for user_id in sent:
            await opened.about_to_send(user_id, at_once)
        for one in receipts:
            await opened.keep(one, at_once)

    asyncio.run(write())
    opened._sent.close()
    opened._journal.close()


def test_a_receipt_is_found_again_and_the_last_one_counts(tmp_path: Path) -> None:
    path = tmp_path / "r.ndjson"
    keep(path, receipt("a", "failed", error="no"), receipt("b", "already_absent"), receipt("a"))
    again = Receipts(path, SID, URL)
    assert [again.outcome(i) for i in "abc"] == ["accepted", "already_absent", None]
    assert [again.is_final(i) for i in "abc"] == [True, True, False]
    assert again.counts(("a", "b", "c")) == {"accepted": 1, "already_absent": 1, "presumed": 0, "failed": 0}


def test_a_torn_last_line_never_counted_and_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "r.ndjson"
    keep(path, receipt("a"))
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:-20].replace(b'"a"', b'"b"'))
    keep(path, receipt("c"))
    assert [json.loads(line)["id"] for line in path.read_bytes().splitlines()] == ["a", "c"]


def test_what_was_sent_without_a_receipt_is_in_doubt(tmp_path: Path) -> None:
    path = tmp_path / "r.ndjson"
    failures = (receipt("c", "failed", error="cut", ambiguous=True), receipt("d", "failed", error="400"))
    keep(path, receipt("a"), *failures, sent=("a", "b", "c", "d"))
    again = Receipts(path, SID, URL)
    assert [again.is_in_doubt(i) for i in "abcde"] == [False, True, True, False, False]


def test_the_list_of_what_was_sent_goes_when_all_of_it_has_receipts(tmp_path: Path) -> None:
    path = tmp_path / "r.ndjson"
    keep(path, receipt("a"), sent=("a",))
    Receipts(path, SID, URL).close()
    assert [p.name for p in tmp_path.iterdir()] == ["r.ndjson"]


@pytest.mark.parametrize("line", [b"hello", b'{"id":"a"}', b"[]", b'{"id":7}'])
def test_a_file_of_something_else_is_refused(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "r.ndjson"
    path.write_bytes(line + b"\n")
    with pytest.raises(UsageError, match="not a receipt"):
        Receipts(path, SID, URL)
    assert path.read_bytes() == line + b"\n"


def test_receipts_of_another_account_are_refused(tmp_path: Path) -> None:
    keep(tmp_path / "r.ndjson", receipt("a"))
    with pytest.raises(UsageError, match="another account"):
        Receipts(tmp_path / "r.ndjson", "AC" + "1" * 32, URL)


def test_receipts_of_a_rehearsal_elsewhere_are_not_taken_for_the_services_own(tmp_path: Path) -> None:
    path, elsewhere = tmp_path / "r.ndjson", "http://127.0.0.1:8080/v1"
    keep(path, replace(receipt("a"), base_url=elsewhere))
    rehearsed = path.read_bytes()
    ours = Receipts(path, SID, URL)
    assert (ours.outcome("a"), ours.is_final("a"), ours.is_in_doubt("a")) == (None, False, False)
    ours.close()
    keep(path, receipt("a"))
    assert path.read_bytes().startswith(rehearsed)
    for url in (URL, elsewhere):
        receipts = Receipts(path, SID, url)
        assert receipts.is_final("a")
        receipts.close()


def test_two_runs_never_write_to_one_file(tmp_path: Path) -> None:
    first = Receipts(tmp_path / "r.ndjson", SID, URL)
    with pytest.raises(LockHeld):
        Receipts(tmp_path / "r.ndjson", SID, URL)
    first.close()


async def test_workers_that_wait_together_share_one_write(tmp_path: Path) -> None:
    journal, writes = Journal(tmp_path / "j"), 0

    async def slowly(work: Callable[[], None]) -> None:
        nonlocal writes
        writes += 1
        await asyncio.sleep(0.01)
        work()

    places = await asyncio.gather(*(journal.append([b"%d\n" % n], slowly) for n in range(10)))
    assert (writes, places) == (2, [2 * n for n in range(10)])
    assert [line for _, line in journal.lines()] == [b"%d" % n for n in range(10)]
