"""The page index: every field comes back, and a damaged one is not guessed around."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from syncer.errors import SnapshotMismatch
from syncer.model import PageRecord, Token
from syncer.snapshot import pages
from syncer.snapshot.local_store import LocalStore
from syncer.snapshot.manifest import PageIndexFacts
from syncer.snapshot.pages import read_page_index, write_page_index
from syncer.snapshot.store import FileMissing

FULL = PageRecord(
    stretch=0, sequence=0, asked=1, token=None, next=Token("t"), end=None, page_size=1000, users=3, rejects=1,
    first_id="a", last_id="b", min_id="a", max_id="b", digest=b"d" * 32, ending="met", stitch=1, stitch_id="b",
)  # fmt: skip
EMPTY = replace(
    FULL, stretch=1, token=Token("t"), next=None, end="absent", users=0, rejects=0, first_id=None, last_id=None,
    min_id=None, max_id=None, ending="end", stitch=None, stitch_id=None,
)  # fmt: skip


def test_pages_are_read_as_they_were_written(tmp_path: Path) -> None:
    facts = write_page_index([FULL, EMPTY], tmp_path / "pages.parquet", "final")
    assert list(read_page_index(LocalStore(tmp_path), "pages.parquet")) == [FULL, EMPTY]
    assert facts == PageIndexFacts("final", 2, (tmp_path / "pages.parquet").stat().st_size, facts.sha256)


def test_many_pages_pass_in_bounded_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "_ROWS_AT_ONCE", 5)
    monkeypatch.setattr(pages, "_GROUP_ROWS", 10)
    records = [replace(FULL, sequence=at) for at in range(35)]
    write_page_index(iter(records), tmp_path / "pages.parquet", "final")
    assert list(read_page_index(LocalStore(tmp_path), "pages.parquet")) == records
    assert pq.ParquetFile(tmp_path / "pages.parquet").metadata.num_row_groups == 4


def test_no_pages_are_an_index_without_rows(tmp_path: Path) -> None:
    assert write_page_index([], tmp_path / "pages.parquet", "final").rows == 0
    assert list(read_page_index(LocalStore(tmp_path), "pages.parquet")) == []


def test_a_missing_index_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileMissing, match=r"pages\.parquet is not there"):
        list(read_page_index(LocalStore(tmp_path), "pages.parquet"))


def test_a_damaged_index_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pages.parquet"
    write_page_index([FULL] * 100, path, "final")
    whole = path.read_bytes()
    for damaged in (b"", whole[:-1], whole[: len(whole) // 2], whole.replace(b"d" * 8, b"e" * 8)[:-4] + b"PAR2"):
        path.write_bytes(damaged)
        with pytest.raises(SnapshotMismatch, match="it is damaged"):
            list(read_page_index(LocalStore(tmp_path), "pages.parquet"))


def test_a_parquet_file_that_is_no_page_index_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"stretch": [1]}), tmp_path / "pages.parquet")
    with pytest.raises(SnapshotMismatch, match="does not have the columns of a page index"):
        list(read_page_index(LocalStore(tmp_path), "pages.parquet"))


def test_a_failure_while_writing_leaves_no_index(tmp_path: Path) -> None:
    def broken() -> object:
        yield FULL
        raise SnapshotMismatch("the spool is damaged")

    with pytest.raises(SnapshotMismatch, match="the spool"):
        write_page_index(broken(), tmp_path / "pages.parquet", "final")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
