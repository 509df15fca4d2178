"""The spool: pages and decisions survive; circles and repeats are refused; nothing half is ever there."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from syncer.crawl import spool as spool_module
from syncer.crawl.plan import Plan, PlannedStretch, plan_sequential
from syncer.crawl.recorded_pages import rejects_lines
from syncer.crawl.spool import Entry, PageRepeated, RunFacts, Spool
from syncer.crawl.spool_tables import NOWHERE, SortedPage
from syncer.crawl.stretch import Stretch
from syncer.errors import CoverageNotProven, StorageFailed
from syncer.model import EncodedPage, PageRecord, Reject, Token

FACTS = RunFacts("AC1", "20261124T020000Z", "2026-11-24T02:00:00+00:00", "https://api.invalid/v1", False, "")
TWO = Plan((PlannedStretch(None, 2), PlannedStretch(Token("e"), None)), "")


def pack(batch: object) -> bytes:
    return repr(batch).encode()


def entry(
    stretch: int, sequence: int, token: str | None, following: str | None, ids: str, *, first: str | None = None,
    rejects: tuple[Reject, ...] = (), **more: object,
) -> Entry:  # fmt: skip
    low, high = (min(ids), max(ids)) if ids else (None, None)
    record = PageRecord(
        stretch, sequence, stretch * 100 + sequence + 1, Token(token) if token else None,
        Token(following) if following else None, None if following else "null", 10, len(ids) + len(rejects),
        len(rejects),
        ids[0] if ids else None, ids[-1] if ids else None, low, high, ids.encode(), **more,  # type: ignore[arg-type]
    )  # fmt: skip
    encoded = EncodedPage(list(ids), low, high, len(ids) + len(rejects), ids.encode(), ids, rejects)
    return Entry(record, encoded, tuple(first) if first is not None else None)


_opened: list[Spool] = []


def open_spool(path: Path) -> Spool:
    """A spool that is closed after the test, whatever becomes of it."""
    _opened.append(Spool(path, pack))
    return _opened[-1]


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while _opened:
        _opened.pop().close()


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    found = open_spool(tmp_path / "AC1" / "spool.sqlite")
    found.begin(FACTS, TWO)
    return found


def reopened(spool: Spool) -> Spool:
    spool.close()
    return open_spool(spool.path)


def test_a_new_spool_holds_no_run(tmp_path: Path) -> None:
    assert open_spool(tmp_path / "s.sqlite").facts() is None


def test_a_run_comes_back_as_it_was_left(spool: Spool) -> None:
    spool.record(
        [entry(0, 0, None, "1", "ab", first="ab"), entry(1, 0, "e", None, "xy", first="xy", ending="end")],
        {"requests": 7},
    )
    spool = reopened(spool)
    assert spool.facts() == FACTS
    assert spool.number("requests") == 7
    assert spool.number("never set") == 0
    assert spool.stretches() == [
        Stretch(0, None, 2, Token("1"), 1, "waiting", ["a", "b"], last_id="b"),
        Stretch(1, Token("e"), None, None, 1, "ended", ["x", "y"], 0, "end", None, last_id="y"),
    ]
    assert (spool.count_pages(), spool.count_users(), spool.last_asked()) == (2, (4, 0), 101)


def test_pages_come_in_list_order_and_users_in_order_of_min_id(spool: Spool) -> None:
    first, second, empty = entry(0, 0, None, "1", "xy"), entry(0, 1, "1", "2", "ab"), entry(0, 2, "2", "3", "")
    spool.record([first, second, empty], {})
    assert list(spool.pages()) == [first.record, second.record, empty.record]
    pages = list(spool.sorted_pages())
    assert [replace(page, place=NOWHERE) for page in pages] == [
        SortedPage(2, 0, 1, 2, "a", "b"),
        SortedPage(1, 0, 0, 1, "x", "y"),
    ]
    assert [spool.payload(page) for page in pages] == [b"'ab'", b"'xy'"]
    assert spool.page(0, 1) == second.record
    assert spool.page(0, 9) is None
    assert spool.last_pages() == {0: empty.record}


def test_a_token_met_twice_in_a_stretch_is_a_circle_and_nothing_of_that_page_stays(spool: Spool) -> None:
    spool.record([entry(0, 0, None, "1", "ab"), entry(0, 1, "1", "2", "cd")], {"requests": 2})
    with pytest.raises(CoverageNotProven, match="goes round in a circle: page 3 of stretch 0") as caught:
        spool.record([entry(0, 2, "2", "1", "ef"), entry(0, 3, "1", "2", "gh")], {"requests": 4})
    assert caught.value.exit_code == 5
    assert spool.count_pages() == 2
    assert spool.number("requests") == 2


def test_the_same_token_in_two_stretches_is_no_circle(spool: Spool) -> None:
    spool.record([entry(0, 0, None, "1", "ab"), entry(0, 1, "1", "2", "cd"), entry(1, 0, "1", "2", "cd")], {})
    assert spool.count_pages() == 3


def test_the_same_users_on_two_pages_of_a_stretch_are_refused_but_empty_pages_are_not(spool: Spool) -> None:
    spool.record([entry(0, 0, None, "1", "ab"), entry(0, 1, "1", "2", ""), entry(0, 2, "2", "3", "")], {})
    with pytest.raises(PageRepeated) as caught:
        spool.record([entry(0, 3, "3", "4", "ab")], {})
    assert caught.value.stretch == 0


def test_a_suspect_stretch_is_walked_again_once(spool: Spool) -> None:
    spool.record([entry(0, 0, None, "1", "ab", first="ab"), entry(1, 0, "e", "f", "xy", first="xy")], {})
    assert spool.mark_rewalked(0)
    assert [(s.sequence, s.next, s.first_ids) for s in spool.stretches()] == [(0, None, []), (1, "f", ["x", "y"])]
    assert not spool.mark_rewalked(0)


def test_to_walk_the_first_stretch_again_is_a_walk_from_the_start_and_there_are_three(spool: Spool) -> None:
    assert spool.mark_rewalked(1)
    assert spool.number("restarts") == 0
    for walks in (1, 2):
        assert spool.mark_rewalked(0)
        assert spool.number("restarts") == walks
        spool.restart(FACTS, plan_sequential(""))
        spool.set_numbers(restarts=walks)
    assert not spool.mark_rewalked(0)


def test_a_rewound_stretch_asks_again_from_there(spool: Spool) -> None:
    reject = Reject(2, "no id", b"{}")
    spool.record([entry(0, 0, None, "1", "ab", first="ab"), entry(0, 1, "1", "2", "cd", rejects=(reject,))], {})
    spool.rewind(0, 1)
    assert next((s.sequence, s.next, s.first_ids) for s in spool.stretches()) == (1, "1", ["a", "b"])
    assert list(spool.rejects()) == []
    spool.rewind(0, 0)
    assert next((s.sequence, s.next, s.first_ids) for s in spool.stretches()) == (0, None, [])


def test_rejects_are_kept_whole_in_list_order(spool: Spool) -> None:
    late, early = Reject(0, "no id", b'{"x":1}'), Reject(3, 'unreadable "time"', b"{}")
    spool.record([entry(1, 0, "e", None, "", rejects=(late,)), entry(0, 0, None, "1", "a", rejects=(early,))], {})
    assert list(spool.rejects()) == [early, late]
    assert b"".join(rejects_lines(spool.rejects())) == (
        b'{"reason":"unreadable \\"time\\"","user":{}}\n{"reason":"no id","user":{"x":1}}\n'
    )


def test_a_restart_drops_pages_but_keeps_counts(spool: Spool) -> None:
    spool.record([entry(0, 0, None, "1", "ab")], {"requests": 3})
    spool.restart(FACTS, plan_sequential("lost"))
    assert (spool.count_pages(), spool.number("requests"), spool.number("restarts")) == (0, 3, 1)
    assert [s.entry for s in spool.stretches()] == [None]


@pytest.mark.parametrize("how", ["rewind", "rewalk", "restart", "power cut"])
def test_what_was_counted_stays_when_pages_go(spool: Spool, how: str) -> None:
    spool.record([entry(0, 0, None, "1", "ab")], {"requests": 3, "began_at": 100})
    spool.checkpoint()
    spool.record([entry(0, 1, "1", "2", "cd")], {"requests": 7, "retries": 2, "throttled": 1, "began_at": 100})
    if how == "rewind":
        spool.rewind(0, 1)
    elif how == "rewalk":
        assert spool.mark_rewalked(0)
    elif how == "restart":
        spool.restart(FACTS, TWO)
    else:
        payloads = spool.path.with_suffix(".payloads")
        payloads.write_bytes(payloads.read_bytes()[:-1])
    spool = reopened(spool)
    assert spool.count_pages() < 2
    assert [spool.number(name) for name in ("requests", "retries", "throttled", "began_at")] == [7, 2, 1, 100]


@pytest.mark.parametrize("how", ["restart", "rewind", "rewalk", "begin"])
def test_pages_that_take_the_numbers_of_synced_ones_can_be_lost_like_any_other(spool: Spool, how: str) -> None:
    def walk(first: int, last: int) -> None:
        for n in range(first, last):
            spool.record([entry(0, n, str(n) if n else None, str(n + 1), f"{n:03d}")], {})

    walk(0, 9)
    spool.checkpoint()
    kept = 4 if how == "rewind" else 0
    if how == "restart":
        spool.restart(FACTS, TWO)
    elif how == "rewalk":
        assert spool.mark_rewalked(0)
    elif how == "begin":
        spool.begin(FACTS, TWO)
    else:
        spool.rewind(0, kept)
    walk(kept, kept + 3)
    payloads = spool.path.with_suffix(".payloads")
    payloads.write_bytes(payloads.read_bytes()[:-1])
    spool = reopened(spool)
    assert (spool.lost_pages, spool.count_pages()) == (1, kept + 2)
    assert [spool.payload(page) for page in spool.sorted_pages()]


def test_a_new_run_forgets_the_old_one(spool: Spool) -> None:
    spool.record([entry(0, 0, None, "1", "ab")], {"requests": 3})
    spool.begin(FACTS, TWO)
    assert (spool.count_pages(), spool.number("requests")) == (0, 0)


def test_a_removed_spool_leaves_no_file(spool: Spool) -> None:
    spool.remove()
    assert list(spool.path.parent.iterdir()) == []


def test_a_full_disk_is_one_sentence_and_the_last_state_stays(spool: Spool) -> None:
    spool.record([entry(0, 0, None, "1", "ab")], {})
    limit = spool._db.execute("PRAGMA page_count").fetchone()[0]
    spool._db.execute(f"PRAGMA max_page_count = {limit}")
    big = entry(0, 1, "1", "2", "c" * 300_000)
    with pytest.raises(StorageFailed, match=r"the spool .* cannot be written: database or disk is full"):
        spool.record([big], {})
    assert spool.count_pages() == 1


def payload_path(spool: Spool) -> Path:
    return spool.path.with_suffix(".payloads")


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_every_flipped_bit_of_a_payload_is_noticed_when_it_is_read(spool: Spool) -> None:
    spool.record([entry(0, 0, None, "1", "ab"), entry(0, 1, "1", "2", "cd")], {})
    good = payload_path(spool).read_bytes()
    pages = list(spool.sorted_pages())
    for bit in range(len(good) * 8):
        payload_path(spool).write_bytes(flipped(good, bit))
        with pytest.raises(StorageFailed, match="a page in the spool is damaged"):
            [spool.payload(page) for page in pages]


@pytest.mark.parametrize("kept", range(3))
def test_pages_whose_payload_a_power_cut_took_are_asked_again(spool: Spool, kept: int) -> None:
    spool.record([entry(0, n, str(n) if n else None, str(n + 1), "abcdef"[2 * n : 2 * n + 2]) for n in range(3)], {})
    payload_path(spool).write_bytes(payload_path(spool).read_bytes()[: 4 * kept + 3])
    spool = reopened(spool)
    assert (spool.lost_pages, spool.count_pages()) == (3 - kept, kept)
    assert spool.stretches()[0].sequence == kept
    assert [spool.payload(page) for page in spool.sorted_pages()] == [b"'ab'", b"'cd'"][:kept]
    spool.record([entry(0, kept, str(kept) if kept else None, "9", "xy")], {})
    assert [spool.payload(page) for page in spool.sorted_pages()][-1] == b"'xy'"


def test_a_lost_page_takes_those_after_it_in_its_stretch_and_no_others(spool: Spool) -> None:
    pages = [entry(0, 0, None, "1", "ab", first="ab"), entry(1, 0, "e", "f", "xy"), entry(0, 1, "1", "2", "cd")]
    spool.record(pages, {})
    payload_path(spool).write_bytes(flipped(payload_path(spool).read_bytes(), 0))
    spool = reopened(spool)
    assert (spool.lost_pages, [page.stretch for page in spool.pages()]) == (2, [1])
    assert (spool.stretches()[0].sequence, spool.stretches()[0].first_ids) == (0, [])


def test_what_was_synced_is_not_read_again_when_the_spool_is_opened(spool: Spool) -> None:
    spool.record([entry(0, 0, None, "1", "ab")], {})
    spool.checkpoint()
    payload_path(spool).write_bytes(b"")
    assert reopened(spool).count_pages() == 1


def test_a_checkpoint_is_due_after_so_many_bytes_and_the_log_is_used_again(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "CHECKPOINT_BYTES", 8)
    spool.record([entry(0, 0, None, "1", "ab")], {})
    assert not spool.is_checkpoint_due
    spool.record([entry(0, 1, "1", "2", "cd")], {})
    assert spool.is_checkpoint_due
    log = spool.path.with_name("spool.sqlite-wal")
    spool.checkpoint()
    before = log.stat().st_size
    assert not spool.is_checkpoint_due
    spool.record([entry(0, 2, "2", "3", "ef")], {})
    assert log.stat().st_size == before
    assert reopened(spool).count_pages() == 3


def test_a_spool_of_another_version_is_emptied(spool: Spool) -> None:
    spool.record([entry(0, 0, None, "1", "ab")], {})
    spool._db.execute("PRAGMA user_version = 1")
    spool._db.execute("ALTER TABLE pages DROP COLUMN payload_bytes")
    assert not spool.is_emptied
    spool = reopened(spool)
    assert (spool.facts(), spool.count_pages(), spool.is_emptied) == (None, 0, True)
    spool.begin(FACTS, TWO)
    spool.record([entry(0, 0, None, "1", "ab")], {})
    assert [spool.payload(page) for page in spool.sorted_pages()] == [b"'ab'"]


def test_a_disk_that_fills_while_a_payload_is_written_names_nothing_of_it(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write

    def full(descriptor: int, data: bytes) -> int:
        if len(data) > 2:
            return write(descriptor, bytes(data)[:2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    spool.record([entry(0, 0, None, "1", "ab")], {})
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(StorageFailed, match="No space left"):
            spool.record([entry(0, 1, "1", "2", "cd")], {})
    spool.record([entry(0, 1, "1", "2", "ef")], {})
    spool = reopened(spool)
    assert [spool.payload(page) for page in spool.sorted_pages()] == [b"'ab'", b"'ef'"]


def test_a_file_that_is_no_spool_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "spool.sqlite"
    path.write_bytes(b"nonsense" * 1000)
    with pytest.raises(StorageFailed, match="not a database"):
        open_spool(path)


def test_readers_outside_see_only_whole_transactions(spool: Spool) -> None:
    spool.record([entry(0, 0, None, "1", "ab")], {"requests": 1})
    other = sqlite3.connect(spool.path)
    assert other.execute("SELECT count(*) FROM pages").fetchone() == (1,)
    other.close()
