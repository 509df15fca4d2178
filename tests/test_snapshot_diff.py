"""What changed between two snapshots, against a plain comparison of dictionaries."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from syncer.snapshot.columns import USER_SCHEMA
from syncer.snapshot.diff import CHANGE_SCHEMA, ChangeCounts, Diff

Row = tuple[str, datetime, datetime, datetime | None, str | None]
Rows = dict[str, Row]
T = datetime(2026, 1, 1, tzinfo=UTC)


def make_rows(chance: random.Random, count: int, share: float) -> Rows:
    return {
        f"u{n:05d}": (
            f"u{n:05d}",
            T,
            T + timedelta(seconds=chance.randrange(2)),
            chance.choice([None, None, T, T + timedelta(seconds=1)]),
            chance.choice([None, '{"a":1}', '{"a":2}']),
        )
        for n in range(count)
        if chance.random() < share
    }


def batches(rows: Rows, chance: random.Random) -> list[Any]:
    rest = [dict(zip(USER_SCHEMA.names, rows[i], strict=True)) for i in sorted(rows)]
    cut = []
    while rest:
        size = chance.randrange(1, 200)
        cut.append(pa.RecordBatch.from_pylist(rest[:size], schema=USER_SCHEMA))
        rest = rest[size:]
    return cut


def word(old: Row | None, new: Row | None) -> str:
    if old is None:
        return "created"
    if new is None:
        return "purged" if old[3] else "vanished"
    if old == new:
        return "unchanged"
    if old[3] and new[3]:
        return "updated"
    return "deleted" if new[3] else "returned" if old[3] else "updated"


def expected(old: Rows, new: Rows) -> list[tuple[Any, ...]]:
    nothing = ("", None, None, None, None)
    rows = []
    for i in sorted(old.keys() | new.keys()):
        change = word(old.get(i), new.get(i))
        if change != "unchanged":
            rows.append((change, i, *old.get(i, nothing)[1:], *new.get(i, nothing)[1:]))
    return rows


@pytest.mark.parametrize("users", [0, 1, 1000])
@pytest.mark.parametrize("shares", [(1, 1), (0.9, 0.95), (0.5, 0.5), (0, 1), (1, 0)])
@pytest.mark.parametrize("seed", range(3))
def test_every_change_is_found_with_both_versions(users: int, shares: tuple[float, float], seed: int) -> None:
    chance = random.Random(f"{users} {shares} {seed}")
    old, new = make_rows(chance, users, shares[0]), make_rows(chance, users, shares[1])
    new.update({i: old[i] for i in list(new) if i in old and chance.random() < 0.7})
    diff = Diff()
    tables = list(diff.tables(batches(old, chance), batches(new, chance)))
    assert all(table.schema.equals(CHANGE_SCHEMA) and table.num_rows for table in tables)
    found = [tuple(row.values()) for table in tables for row in table.to_pylist()]
    assert found == expected(old, new)
    words = [word(old.get(i), new.get(i)) for i in old.keys() | new.keys()]
    assert diff.counts == ChangeCounts(**{name: words.count(name) for name in set(words)})
    assert diff.counts.changes == len(found)


def test_a_snapshot_does_not_differ_from_itself() -> None:
    chance = random.Random(1)
    rows = make_rows(chance, 1000, 1)
    diff = Diff()
    assert list(diff.tables(batches(rows, chance), batches(rows, chance))) == []
    assert diff.counts == ChangeCounts(unchanged=1000)


def test_vanished_is_only_said_between_complete_snapshots() -> None:
    old = {"a": ("a", T, T, None, None), "b": ("b", T, T, T, None)}
    whole, partial = Diff(), Diff(complete=False)
    for diff in (whole, partial):
        list(diff.tables(batches(old, random.Random(1)), []))
    nothing = {"created": 0, "updated": 0, "deleted": 0, "returned": 0, "unchanged": 0}
    assert whole.by_change() == {**nothing, "vanished": 1, "purged": 1}
    assert partial.by_change() == {**nothing, "missing": 1, "purged": 1}


@pytest.mark.parametrize("seed", range(5))
def test_erased_users_that_only_the_old_snapshot_holds_are_neither_named_nor_counted(seed: int) -> None:
    chance = random.Random(seed)
    old, new = make_rows(chance, 500, 0.9), make_rows(chance, 500, 0.9)
    erased = {user_id for user_id in old.keys() - new.keys() if chance.random() < 0.5}
    diff, without = Diff(is_erased=erased.__contains__), Diff()
    kept = {user_id: row for user_id, row in old.items() if user_id not in erased}
    found = [row for table in diff.tables(batches(old, chance), batches(new, chance)) for row in table.to_pylist()]
    plain = [row for table in without.tables(batches(kept, chance), batches(new, chance)) for row in table.to_pylist()]
    assert found == plain
    assert erased
    assert diff.counts == without.counts
