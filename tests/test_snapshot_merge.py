"""The merge against a truth in plain Python: any split, any order, overlaps, repeats, in memory and on disk."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from syncer.errors import CoverageNotProven, StorageFailed
from syncer.model import RepeatedUsers
from syncer.snapshot import merge as merge_module
from syncer.snapshot import pending, repeats
from syncer.snapshot.merge import Merge
from tests.snapshot_data import SpooledPage, User, chunked, make_users, merge, rfc3339, spool

Stretches = list[list[list[User]]]


def merged_lines(pages: Sequence[SpooledPage], work_dir: Path, pending_rows_max: int = 1_000_000) -> list[bytes]:
    tables = list(merge(pages, work_dir, pending_rows_max).tables())
    assert all(table.num_rows for table in tables)
    return [line for table in tables for line in table.column("line").to_pylist()]


def truth(pages: Sequence[SpooledPage]) -> list[bytes]:
    """Of each id the newest row; of equally old ones that of the page asked last, there the first."""
    best: dict[str, tuple[datetime, int, int]] = {}
    lines: dict[str, bytes] = {}
    for page in pages:
        for at, row in enumerate(page.encoded.batch.to_pylist()):
            rank = (row["updated_at"], page.asked, -at)
            if row["id"] not in best or rank > best[row["id"]]:
                best[row["id"]] = rank
                lines[row["id"]] = row["line"]
    return [lines[user_id] for user_id in sorted(lines, key=str.encode)]


def random_stretches(chance: random.Random) -> Stretches:
    """Users in some order, cut into stretches that may overlap, cut into pages that may be empty."""
    users = make_users(chance.randrange(0, 120), seed=chance.randrange(10**6))
    kind = chance.choice(["ascending", "descending", "shuffled", "nearly"])
    if kind == "descending":
        users.reverse()
    elif kind == "shuffled":
        chance.shuffle(users)
    elif kind == "nearly":
        for _ in range(3):
            if len(users) > 1:
                at = chance.randrange(len(users) - 1)
                users[at], users[at + 1] = users[at + 1], users[at]
    stretches: Stretches = []
    at = 0
    for _ in range(chance.randrange(1, 5)):
        start = max(0, at - chance.choice([0, 0, 3, 40]))
        at = min(len(users), at + chance.randrange(1, 60))
        stretches.append(random_pages(chance, users[start:at]))
    stretches.append(random_pages(chance, users[at:]))
    return stretches


def random_pages(chance: random.Random, users: list[User]) -> list[list[User]]:
    pages: list[list[User]] = []
    at = 0
    while at < len(users):
        size = chance.choice([0, 1, 2, 7, 20, 50])
        page = [touched(chance, user) for user in users[at : at + size]]
        if page and chance.random() < 0.1:
            page.append(touched(chance, chance.choice(page)))
        pages.append(page)
        at += size
    return pages


def touched(chance: random.Random, user: User) -> User:
    """Now and then as it was after an update, or with something that no time tells."""
    more: User = {}
    if chance.random() < 0.1:
        more["updatedAt"] = rfc3339(1_700_000_000 + chance.randrange(5))
    if chance.random() < 0.05:
        more["seen"] = chance.randrange(3)
    return user | more


@pytest.mark.parametrize("seed", range(150))
def test_any_pages_become_sorted_unique_users_in_memory_and_on_disk(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    monkeypatch.setattr(pending, "RESOLVE_ROWS", chance.choice([1, 10, 16_384]))
    pages = spool(random_stretches(chance))
    expected = truth(pages)
    assert merged_lines(pages, tmp_path) == expected
    assert merged_lines(pages, tmp_path, pending_rows_max=chance.randrange(1, 40)) == expected
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("seed", range(40))
def test_repeats_are_counted_alike_in_memory_and_on_disk(seed: int, tmp_path: Path) -> None:
    pages = spool(random_stretches(random.Random(seed)))
    in_memory, on_disk = merge(pages, tmp_path), merge(pages, tmp_path, pending_rows_max=5)
    tables = list(in_memory.tables())
    assert sum(t.num_rows for t in on_disk.tables()) == sum(t.num_rows for t in tables)
    assert in_memory.facts == on_disk.facts
    rows = Counter(user_id for page in pages for user_id in page.encoded.ids)
    facts = in_memory.facts
    assert facts.users == len(rows)
    assert sum(pair.identical + pair.updated for pair in facts.repeats) == rows.total() - len(rows)
    assert (facts.min_id, facts.max_id) == ((min(rows), max(rows)) if rows else (None, None))
    deleted = sum(t.num_rows - t.column("deleted_at").null_count for t in tables)
    assert facts.deleted_users == deleted


def test_disjoint_pages_pass_without_being_copied(tmp_path: Path) -> None:
    pages = spool([chunked(make_users(60), 20)])
    tables = list(merge(pages, tmp_path).tables())
    buffers = [chunk.buffers()[2].address for t in tables for chunk in t.column("id").chunks]
    assert buffers == [p.encoded.batch.column("id").buffers()[2].address for p in pages]


def test_a_list_that_falls_gives_the_same_users(tmp_path: Path) -> None:
    users = make_users(100)
    falling = merged_lines(spool([chunked(users[::-1], 7)]), tmp_path)
    assert falling == merged_lines(spool([chunked(users, 9)]), tmp_path)


def test_users_on_two_pages_are_reported_with_both_places(tmp_path: Path) -> None:
    users = make_users(10)
    updated = users[4] | {"updatedAt": "2030-01-01T00:00:00Z"}
    pages = spool([[users[:3], users[3:6]], [[users[2], users[3], updated], users[6:]]])
    facts = _exhausted(merge(pages, tmp_path)).facts
    assert facts.repeats == (
        RepeatedUsers(0, 0, 1, 0, identical=1, updated=0, example_id=users[2]["id"]),
        RepeatedUsers(0, 1, 1, 0, identical=1, updated=1, example_id=users[3]["id"]),
    )
    assert (facts.users, facts.overlap_users, facts.moved_users) == (10, 3, 1)


def test_a_row_that_differs_without_being_newer_is_not_called_identical(tmp_path: Path) -> None:
    user = make_users(1)[0]
    for change in ({"seen": 1}, {"deletedAt": user["updatedAt"]}, {"createdAt": "2020-01-01T00:00:00Z"}):
        facts = _exhausted(merge(spool([[[user]], [[user | change]]]), tmp_path)).facts
        assert facts.repeats == (RepeatedUsers(0, 0, 1, 0, identical=0, updated=1, example_id=user["id"]),)


def test_no_pages_give_no_tables(tmp_path: Path) -> None:
    empty = merge([], tmp_path)
    assert list(empty.tables()) == []
    facts = empty.facts
    assert (facts.users, facts.min_id, facts.max_id, facts.repeats) == (0, None, None, ())


def test_overlapping_stretches_keep_only_what_is_not_final_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending, "RESOLVE_ROWS", 50)
    monkeypatch.setattr(merge_module, "COUNTED_ROWS", 1)
    users = make_users(2000)
    pages = spool([chunked(users[0::2], 10), chunked(users[1::2], 10)])
    sizes = [table.num_rows for table in merge(pages, tmp_path, pending_rows_max=200).tables()]
    assert sum(sizes) == 2000
    assert max(sizes) <= 200


def test_more_pairs_of_pages_than_an_honest_list_makes_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repeats, "PAIRS_MAX", 5)
    users = make_users(60)
    pages = spool([chunked(users, 10), chunked(users, 7)])
    with pytest.raises(CoverageNotProven, match="does not keep its places"):
        _exhausted(merge(pages, tmp_path))


def test_pages_out_of_order_are_a_bug_and_said_so(tmp_path: Path) -> None:
    pages = spool([chunked(make_users(20), 5)])
    with pytest.raises(AssertionError, match="do not come in order"):
        _exhausted(merge(pages[::-1], tmp_path))


def test_a_disk_that_fails_while_sorting_is_a_storage_failure(tmp_path: Path) -> None:
    shuffled = make_users(50)
    random.Random(1).shuffle(shuffled)
    in_the_way = tmp_path / "file"
    in_the_way.write_bytes(b"")
    with pytest.raises(StorageFailed):
        _exhausted(merge(spool([chunked(shuffled, 5)]), in_the_way / "below", pending_rows_max=5))


def test_a_sort_file_that_cannot_be_opened_is_a_storage_failure(tmp_path: Path) -> None:
    too_long_for_sqlite = tmp_path / ("a" * 200) / ("b" * 200) / ("c" * 200)
    shuffled = make_users(50)
    random.Random(1).shuffle(shuffled)
    with pytest.raises(StorageFailed, match="unable to open database file"):
        _exhausted(merge(spool([chunked(shuffled, 5)]), too_long_for_sqlite, pending_rows_max=5))


def test_a_sort_file_left_by_a_kill_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "sort.sqlite").write_bytes(b"half a database")
    shuffled = make_users(50)
    random.Random(1).shuffle(shuffled)
    pages = spool([chunked(shuffled, 5)])
    assert merged_lines(pages, tmp_path, pending_rows_max=5) == truth(pages)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_in_the_middle_leaves_no_sort_file(tmp_path: Path) -> None:
    shuffled = make_users(50)
    random.Random(1).shuffle(shuffled)
    pages = spool([chunked(shuffled, 5)])

    def load(page: SpooledPage) -> Any:
        if page is pages[-1]:
            raise StorageFailed("a page in the spool is damaged")
        return page.encoded.batch

    with pytest.raises(StorageFailed, match="is damaged"):
        _exhausted(Merge(pages, load, work_dir=tmp_path, pending_rows_max=5))
    assert list(tmp_path.iterdir()) == []


def test_one_user_on_very_many_pages_is_one_row(tmp_path: Path) -> None:
    user = make_users(1)[0]
    stretches = [[[user | {"n": n}]] for n in range(300)]
    for limit in (1_000_000, 10):
        lines = merged_lines(spool(stretches), tmp_path, pending_rows_max=limit)
        assert lines == truth(spool(stretches))


def _exhausted(merging: Merge[SpooledPage]) -> Merge[SpooledPage]:
    assert isinstance(pa.concat_tables(merging.tables()), pa.Table)
    return merging
