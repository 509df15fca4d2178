"""The page index of a snapshot: is it the one that was published, and do the users stand on its pages?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from syncer.errors import SnapshotMismatch
from syncer.model import Check
from syncer.snapshot import layout
from syncer.snapshot.manifest import Manifest
from syncer.snapshot.page_cover import PageCover, PageSpan
from syncer.snapshot.pages import read_page_columns
from syncer.snapshot.part_readers import bytes_problem
from syncer.snapshot.store import FileMissing, Store
from syncer.snapshot.verify_files import absence, verdict

_SPAN_COLUMNS = ("stretch", "sequence", "users", "rejects", "min_id", "max_id", "digest")


@dataclass(slots=True)
class Index:
    """What the page index amounts to."""

    pages: int = 0
    accepted: int = 0
    rejects: int = 0
    spans: list[Any] = field(default_factory=list)


def read_index(store: Store, manifest: Manifest) -> tuple[Index | None, Check]:
    """The page index; None when it is not the one that the manifest names."""
    facts = manifest.page_index
    if facts.path != layout.page_index_path(manifest.account_sid, manifest.snapshot_id):
        return None, Check("page_index", False, f"{facts.path} is not where the page index lies")
    try:
        with store.open(facts.path) as file:
            if problem := bytes_problem(file, facts.bytes, facts.sha256):
                return None, Check("page_index", False, f"{facts.path} {problem}")
            index = _index(read_page_columns(file, facts.path, _SPAN_COLUMNS), facts.path)
    except FileMissing:
        return None, Check("page_index", False, f"{facts.path} {absence(store, facts.path)}")
    except SnapshotMismatch as error:
        return None, Check("page_index", False, error.message)
    ok = index.pages == facts.rows
    return index, Check("page_index", ok, f"{index.pages} pages" + ("" if ok else f" instead of {facts.rows}"))


def _index(batches: Iterator[Any], path: str) -> Index:
    index = Index()
    for batch in batches:
        if not _is_possible(batch):
            raise SnapshotMismatch(f"{path} holds a page that no list has")
        index.pages += batch.num_rows
        index.accepted += sum(batch.column("users").to_pylist()) - sum(batch.column("rejects").to_pylist())
        index.rejects += sum(batch.column("rejects").to_pylist())
        index.spans.append(batch.filter(batch.column("min_id").is_valid()))
    return index


def _is_possible(batch: Any) -> bool:
    """Whether each page has a smallest and a largest id, or neither, and no fewer users than rejects."""
    low, high, users, rejects = (batch.column(name) for name in ("min_id", "max_id", "users", "rejects"))
    rules = (
        pc.equal(low.is_valid(), high.is_valid()),
        pc.fill_null(pc.less_equal(low, high), True),
        pc.and_(pc.less_equal(0, rejects), pc.less_equal(rejects, users)),
    )
    return all(pc.all(rule, min_count=0).as_py() for rule in rules)


def page_spans(index: Index) -> Iterator[PageSpan]:
    """Pages that hold users, by their smallest id; they can be taken once."""
    if not index.spans:
        return
    table = pa.Table.from_batches(index.spans).sort_by("min_id")
    index.spans.clear()
    for batch in table.to_batches(max_chunksize=1024):
        for row in zip(*(batch.column(name).to_pylist() for name in _SPAN_COLUMNS), strict=True):
            stretch, sequence, users, rejects, min_id, max_id, digest = row
            place = f"page {sequence} of stretch {stretch}"
            yield PageSpan(min_id, max_id, digest, users - rejects, place)


def check_sums(manifest: Manifest, index: Index) -> Check:
    """Users served, less those served twice, are the users of the snapshot."""
    crawl = manifest.crawl
    problems = []
    if index.pages != crawl.pages:
        problems.append(f"the manifest counts {crawl.pages} pages and the page index {index.pages}")
    listed = manifest.users - len(manifest.added)
    if index.accepted != listed + crawl.overlap_users + crawl.moved_users:
        problems.append(
            f"the pages served {index.accepted} users; {listed} of them are in the snapshot, and"
            f" {crawl.overlap_users + crawl.moved_users} were served twice"
        )
    if index.rejects != manifest.rejects.count:
        problems.append(f"the pages served {index.rejects} rejects; the manifest counts {manifest.rejects.count}")
    return verdict("sums", problems, f"{index.accepted} users served, all accounted for")


def check_cover(cover: PageCover, *, is_whole: bool) -> Check:
    """Each page's users are there, and nobody else."""
    if not is_whole:
        return Check("pages", False, "cannot be told: parts are damaged")
    problems = list(cover.faults)
    if cover.users_off_pages:
        problems.append(f"{cover.users_off_pages} users stand on no page")
    unproven = cover.overlapping_pages + cover.repeated_pages
    well = f"the users of {cover.proven_pages} pages are those that were served" + (
        f"; {unproven} pages overlap others and are proven by the sums" if unproven else ""
    )
    return verdict("pages", problems, well)
