"""Does a snapshot match its manifest? Every file is read again, as a stream; nothing is changed.

Whether its pages prove coverage is the crawl's question; this room says whether the page index is the one that was
published and whether the users are those of its pages.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, BinaryIO

import pyarrow as pa

from syncer.errors import SnapshotMismatch
from syncer.model import Check
from syncer.snapshot import layout
from syncer.snapshot.chain import check_previous
from syncer.snapshot.hash_tree import ALGORITHM, LEAF_ROWS, RowHasher
from syncer.snapshot.layout import Format
from syncer.snapshot.manifest import FileFacts, Manifest
from syncer.snapshot.page_cover import PageCover, PageSpan
from syncer.snapshot.pages import read_page_columns
from syncer.snapshot.part_readers import Ids, PartFault, check_bytes, check_counts, hash_file
from syncer.snapshot.reading import read_part
from syncer.snapshot.store import FileMissing, Store
from syncer.snapshot.tree_file import read_tree, root_of_table

_SPAN_COLUMNS = ("stretch", "sequence", "users", "rejects", "min_id", "max_id", "digest")


@dataclass(slots=True)
class _Reading:
    """One format's parts, read one after the other."""

    rows: int = 0
    deleted: int = 0
    largest_id: str | None = None
    digest: Any = field(default_factory=hashlib.sha256)
    added: int = 0
    """Users met that were fetched one by one: they stand on no page."""
    hasher: RowHasher = field(default_factory=RowHasher)
    is_whole: bool = True
    checks: list[Check] = field(default_factory=list)


@dataclass(slots=True)
class _Index:
    """What the page index amounts to."""

    pages: int = 0
    accepted: int = 0
    rejects: int = 0
    spans: list[Any] = field(default_factory=list)


def verify_snapshot(store: Store, account_sid: str, manifest: Manifest) -> list[Check]:
    """Every check by name: a part's check has its path as name. Memory grows with the pages only, 150 bytes each.

    Raises StorageFailed when the store cannot be read at all; whatever is missing or wrong is a failed check.
    """
    checks = [_check_manifest(account_sid, manifest)]
    index, index_check = _read_index(store, manifest)
    cover = PageCover(_spans(index), manifest.crawl.moved_users) if index else None
    readings: dict[Format, _Reading] = {}
    for form in manifest.formats:
        readings[form] = _read_format(store, manifest, form, cover if not readings else None)
        checks += readings[form].checks
        checks.append(_check_users(manifest, form, readings[form]))
        checks.append(_check_tree(manifest, form, readings[form]))
    if len(readings) > 1:
        checks.append(_check_formats_agree(list(readings.values())))
    checks += [index_check, *_check_tree_file(store, manifest, next(iter(readings.values()), None))]
    if index and cover:
        checks.append(_check_sums(manifest, index))
        checks.append(_check_cover(cover, next(iter(readings.values()))))
    checks += _check_reconciliation(manifest, list(readings.values()))
    checks += _check_changes(store, manifest)
    return [*checks, *_check_rejects(store, manifest), check_previous(store, manifest)]


def _check_manifest(account_sid: str, manifest: Manifest) -> Check:
    problems = []
    if manifest.account_sid != account_sid:
        problems.append("it is of another account")
    if manifest.verdict != "complete":
        problems.append(f"its verdict is {manifest.verdict}")
    if failed := [check.name for check in manifest.checks if not check.ok]:
        problems.append(f"it was published with failed checks: {', '.join(failed)}")
    if not manifest.formats or {facts.format for facts in manifest.files} != set(manifest.formats):
        problems.append("its files are not of its formats")
    for facts in manifest.files:
        if facts.path.rpartition("/")[0] != layout.partition_folder(facts.format, account_sid, manifest.snapshot_id):
            problems.append(f"{facts.path} is not in the snapshot's folder")
    return _check("manifest", problems, "reads well and is complete")


def _read_format(store: Store, manifest: Manifest, form: Format, cover: PageCover | None) -> _Reading:
    reading = _Reading()
    for facts in manifest.files:
        if facts.format == form:
            reading.checks.append(_read_part(store, manifest, facts, reading, cover))
            reading.is_whole = reading.is_whole and reading.checks[-1].ok
    if cover is not None:
        cover.finish()
    return reading


def _read_part(store: Store, manifest: Manifest, facts: FileFacts, reading: _Reading, cover: PageCover | None) -> Check:
    part = Ids(after=reading.largest_id)
    try:
        with store.open(facts.path) as file:
            check_bytes(file, facts)
            for batch in read_part(file, facts, manifest):
                part.add(batch.column("id"), batch.num_rows - batch.column("deleted_at").null_count)
                reading.hasher.add(pa.Table.from_batches([batch]))
                _take(batch.column("id").to_pylist(), reading, cover, manifest.added)
            check_counts(part, facts)
    except PartFault as fault:
        return Check(facts.path, False, f"the part {fault}")
    except FileMissing:
        return Check(facts.path, False, "the part is not there")
    finally:
        reading.rows += part.rows
        reading.deleted += part.deleted
        reading.largest_id = part.largest
    return Check(facts.path, True, f"{facts.rows} rows, {facts.bytes} bytes, sha256 as in the manifest")


def _take(ids: list[str], reading: _Reading, cover: PageCover | None, added: frozenset[str]) -> None:
    reading.digest.update("".join(f"{i}\n" for i in ids).encode())
    listed = [i for i in ids if i not in added] if added else ids
    reading.added += len(ids) - len(listed)
    if cover is not None:
        cover.add(listed)


def _check_users(manifest: Manifest, form: Format, reading: _Reading) -> Check:
    problems = []
    if reading.rows != manifest.users:
        problems.append(f"there are {reading.rows} users instead of {manifest.users}")
    if reading.deleted != manifest.deleted_users:
        problems.append(f"{reading.deleted} of them are deleted instead of {manifest.deleted_users}")
    return _check(
        f"users_{form}", problems, f"{manifest.users} users, each once, {manifest.deleted_users} of them deleted"
    )


def _check_tree(manifest: Manifest, form: Format, reading: _Reading) -> Check:
    """The root over the rows themselves: it holds for every format alike."""
    name, facts = f"tree_{form}", manifest.tree
    if facts is None:
        return Check(name, True, "the manifest is older than hash trees")
    if (facts.algorithm, facts.leaf_rows) != (ALGORITHM, LEAF_ROWS):
        return Check(name, False, f"a tree of kind {facts.algorithm} is not known to this version of syncer")
    if not reading.is_whole:
        return Check(name, False, "cannot be told: parts are damaged")
    reading.hasher.finish()
    head = reading.hasher.head
    ok = (head.leaves, head.root.hex()) == (facts.leaves, facts.root)
    return Check(
        name, ok, f"{head.leaves} blocks of rows {'lead' if ok else 'do not lead'} to the root in the manifest"
    )


def _check_tree_file(store: Store, manifest: Manifest, reading: _Reading | None) -> list[Check]:
    facts = manifest.tree
    if facts is None or reading is None:
        return []
    if facts.path != layout.tree_path(manifest.account_sid, manifest.snapshot_id):
        return [Check("tree", False, f"{facts.path} is not where the hash tree lies")]
    try:
        with store.open(facts.path) as file:
            if problem := _bytes_problem(file, facts.bytes, facts.sha256):
                return [Check("tree", False, f"{facts.path} {problem}")]
            root, leaves = root_of_table(read_tree(file, facts.path))
    except (FileMissing, SnapshotMismatch) as error:
        return [Check("tree", False, error.message)]
    ok = (leaves, root.hex()) == (facts.leaves, facts.root)
    return [Check("tree", ok, f"{facts.path} {'holds' if ok else 'does not hold'} the leaves of the root")]


def _check_formats_agree(readings: list[_Reading]) -> Check:
    if not all(reading.is_whole for reading in readings):
        return Check("formats_agree", False, "cannot be told: parts are damaged")
    agree = len({reading.digest.digest() for reading in readings}) == 1
    return Check("formats_agree", agree, "all hold the same ids" if agree else "the formats hold different ids")


def _read_index(store: Store, manifest: Manifest) -> tuple[_Index | None, Check]:
    facts = manifest.page_index
    if facts.path != layout.page_index_path(manifest.account_sid, manifest.snapshot_id):
        return None, Check("page_index", False, f"{facts.path} is not where the page index lies")
    try:
        with store.open(facts.path) as file:
            if problem := _bytes_problem(file, facts.bytes, facts.sha256):
                return None, Check("page_index", False, f"{facts.path} {problem}")
            index = _index(read_page_columns(file, facts.path, _SPAN_COLUMNS))
    except (FileMissing, SnapshotMismatch) as error:
        return None, Check("page_index", False, error.message)
    ok = index.pages == facts.rows
    return index, Check("page_index", ok, f"{index.pages} pages" + ("" if ok else f" instead of {facts.rows}"))


def _bytes_problem(file: BinaryIO, size: int, sha256: str) -> str:
    found_size, found_sha256 = hash_file(file)
    if found_size != size:
        return f"has {found_size} bytes instead of {size}"
    return "" if found_sha256 == sha256 else "has another sha256"


def _index(batches: Iterator[Any]) -> _Index:
    index = _Index()
    for batch in batches:
        index.pages += batch.num_rows
        index.accepted += sum(batch.column("users").to_pylist()) - sum(batch.column("rejects").to_pylist())
        index.rejects += sum(batch.column("rejects").to_pylist())
        index.spans.append(batch.filter(batch.column("min_id").is_valid()))
    return index


def _spans(index: _Index) -> Iterator[PageSpan]:
    if not index.spans:
        return
    table = pa.Table.from_batches(index.spans).sort_by("min_id")
    index.spans.clear()
    for batch in table.to_batches(max_chunksize=1024):
        for row in zip(*(batch.column(name).to_pylist() for name in _SPAN_COLUMNS), strict=True):
            stretch, sequence, users, rejects, min_id, max_id, digest = row
            place = f"page {sequence} of stretch {stretch}"
            yield PageSpan(min_id, max_id, digest, users - rejects, place)


def _check_sums(manifest: Manifest, index: _Index) -> Check:
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
    return _check("sums", problems, f"{index.accepted} users served, all accounted for")


def _check_cover(cover: PageCover, reading: _Reading) -> Check:
    if not reading.is_whole:
        return Check("pages", False, "cannot be told: parts are damaged")
    problems = list(cover.faults)
    if cover.users_off_pages:
        problems.append(f"{cover.users_off_pages} users stand on no page")
    unproven = cover.overlapping_pages + cover.repeated_pages
    well = f"the users of {cover.proven_pages} pages are those that were served" + (
        f"; {unproven} pages overlap others and are proven by the sums" if unproven else ""
    )
    return _check("pages", problems, well)


def _check_reconciliation(manifest: Manifest, readings: list[_Reading]) -> list[Check]:
    facts = manifest.reconciliation
    if facts is None:
        return []
    problems = []
    if facts.missing != facts.gone + len(facts.added) or len(manifest.added) != len(facts.added):
        problems.append("its figures do not add up")
    if any(reading.added != len(facts.added) for reading in readings):
        problems.append("not all users that were fetched one by one are in the snapshot")
    well = f"{facts.missing} missing users were fetched: {facts.gone} do not exist, {len(facts.added)} were added"
    return [_check("reconciliation", problems, well)]


def _check_changes(store: Store, manifest: Manifest) -> list[Check]:
    """The partition of changes by its bytes; each of its parts is a check."""
    facts = manifest.changes
    if facts is None:
        return []
    problems = []
    if manifest.previous is None or manifest.previous.snapshot_id != facts.previous:
        problems.append("they are not those since the previous snapshot")
    folder = layout.changes_folder(manifest.account_sid, manifest.snapshot_id)
    if any(part.path.rpartition("/")[0] != folder for part in facts.files):
        problems.append("a part is not in the snapshot's folder")
    rows = sum(part.rows for part in facts.files)
    if rows != sum(facts.counts.values()) - facts.counts.get("unchanged", 0):
        problems.append("their counts do not add up")
    check = _check("changes", problems, f"{rows} since {facts.previous}")
    return [check, *map(partial(_check_file, store), facts.files)]


def _check_file(store: Store, facts: FileFacts) -> Check:
    try:
        with store.open(facts.path) as file:
            problem = _bytes_problem(file, facts.bytes, facts.sha256)
    except FileMissing:
        problem = "is not there"
    return Check(facts.path, not problem, f"the part {problem}" if problem else f"{facts.rows} changes")


def _check_rejects(store: Store, manifest: Manifest) -> list[Check]:
    facts = manifest.rejects
    if facts.path is None:
        return [Check("rejects", facts.count == 0, "none" if facts.count == 0 else "they are counted but have no file")]
    if facts.path != layout.rejects_path(manifest.account_sid, manifest.snapshot_id):
        return [Check("rejects", False, f"{facts.path} is not where the rejects lie")]
    try:
        with store.open(facts.path) as file:
            problem = _bytes_problem(file, facts.bytes or 0, facts.sha256 or "")
    except FileMissing:
        problem = "is not there"
    return [Check("rejects", not problem, f"{facts.path} {problem}" if problem else f"{facts.count} kept whole")]


def _check(name: str, problems: list[str], well: str) -> Check:
    return Check(name, not problems, "; ".join(problems) if problems else well)
