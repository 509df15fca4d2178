"""Files of changes in each format, whole or not there."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from syncer.errors import StorageFailed, UsageError
from syncer.snapshot.change_files import GROUP_ROWS, OutputFile, change_format
from syncer.snapshot.diff import CHANGE_SCHEMA
from tests.processes import unpacked

T = datetime(2026, 1, 2, 3, 4, 5, 600_000, tzinfo=UTC)


def table(ids: list[str]) -> Any:
    row = {"change": "created", "new_created_at": T, "new_updated_at": T, "new_extra": '{"a":"é"}'}
    return pa.Table.from_pylist([{**row, "id": i} for i in ids], schema=CHANGE_SCHEMA)


def written(path: Path, tables: list[Any]) -> Path:
    file = OutputFile(path)
    for rows in tables:
        file.write(rows)
    file.close()
    return path


def lines(path: Path) -> list[dict[str, Any]]:
    text = path.read_bytes()
    if path.name.endswith(".zst"):
        text = unpacked(text)
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("count", [0, 1, GROUP_ROWS + 7])
def test_both_formats_hold_the_same_rows(count: int, tmp_path: Path) -> None:
    ids = [f"u{n:06d}" for n in range(count)]
    tables = [table(ids[at : at + 5000]) for at in range(0, count, 5000)]
    parquet = pq.ParquetFile(written(tmp_path / "a.parquet", tables))
    assert parquet.schema_arrow.equals(CHANGE_SCHEMA)
    assert parquet.read().column("id").to_pylist() == ids
    expected = dict.fromkeys(CHANGE_SCHEMA.names)
    expected |= {"change": "created", "new_extra": '{"a":"é"}'}
    expected |= dict.fromkeys(("new_created_at", "new_updated_at"), "2026-01-02T03:04:05.600000Z")
    for name in ("a.ndjson", "a.ndjson.zst"):
        assert lines(written(tmp_path / name, tables)) == [{**expected, "id": i} for i in ids]


@pytest.mark.parametrize("name", ["changes", "changes.csv", "parquet", "x.zst"])
def test_a_name_that_does_not_say_its_format_is_wrong_usage(name: str) -> None:
    with pytest.raises(UsageError, match="does not say its format"):
        change_format(name)


def test_what_was_there_stays_until_the_file_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.parquet"
    path.parent.mkdir()
    path.write_bytes(b"before")
    file = OutputFile(path)
    file.write(table(["a"]))
    assert path.read_bytes() == b"before"
    file.abandon()
    assert [p.name for p in path.parent.iterdir()] == ["a.parquet"]
    assert path.read_bytes() == b"before"
    assert pq.ParquetFile(written(path, [table(["a"])])).metadata.num_rows == 1


def test_a_folder_that_cannot_be_made_is_a_storage_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageFailed):
        OutputFile(tmp_path / "file" / "a.parquet")
