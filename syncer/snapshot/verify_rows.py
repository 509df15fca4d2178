"""The users of a snapshot, part by part and format by format: bytes, order, numbers, and the hash tree over them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import pyarrow as pa

from syncer.model import Check
from syncer.snapshot.hash_tree import ALGORITHM, LEAF_ROWS, Leaf, RowHasher
from syncer.snapshot.layout import Format
from syncer.snapshot.manifest import ADDED_MAX, FileFacts, Manifest
from syncer.snapshot.page_cover import PageCover
from syncer.snapshot.part_readers import Ids
from syncer.snapshot.reading import read_part
from syncer.snapshot.store import Store
from syncer.snapshot.verify_files import verdict
from syncer.snapshot.verify_part import check_part


@dataclass(slots=True)
class Reading:
    """One format's parts, read one after the other."""

    rows: int = 0
    deleted: int = 0
    largest_id: str | None = None
    added: int = 0
    """Users met that were fetched one by one: they stand on no page."""
    hasher: RowHasher = field(default_factory=RowHasher)
    is_whole: bool = True
    checks: list[Check] = field(default_factory=list)
    _leaves: Any = field(default_factory=hashlib.sha256)

    def note(self, leaves: list[Leaf]) -> None:
        """Leaves that the rows have filled."""
        for leaf in leaves:
            self._leaves.update(leaf.first_id.encode() + leaf.digest)

    @property
    def leaves(self) -> tuple[bytes, bytes]:
        """The root, and the sha256 of all first ids and leaves one after the other."""
        return self.hasher.head.root, self._leaves.digest()


def read_format(store: Store, manifest: Manifest, form: Format, cover: PageCover | None) -> Reading:
    """Every part of a format, a check for each; ``cover`` is shown the ids."""
    reading = Reading()
    for facts in manifest.files:
        if facts.format == form:
            reading.checks.append(_read_part(store, manifest, facts, reading, cover))
            reading.is_whole = reading.is_whole and reading.checks[-1].ok
    reading.note(reading.hasher.finish())
    if cover is not None:
        cover.finish()
    return reading


def _read_part(store: Store, manifest: Manifest, facts: FileFacts, reading: Reading, cover: PageCover | None) -> Check:
    ids = Ids(after=reading.largest_id)

    def read(file: BinaryIO) -> None:
        for batch in read_part(file, facts, manifest):
            ids.add(batch.column("id"), batch.num_rows - batch.column("deleted_at").null_count)
            reading.note(reading.hasher.add(pa.Table.from_batches([batch])))
            _take(batch.column("id"), reading, cover, manifest.added)

    check = check_part(store, facts, ids, read, "rows")
    reading.rows += ids.rows
    reading.deleted += ids.deleted
    reading.largest_id = ids.largest
    return check


def _take(column: Any, reading: Reading, cover: PageCover | None, added: frozenset[str]) -> None:
    if cover is None and not added:
        return
    ids = column.to_pylist()
    listed = [i for i in ids if i not in added] if added else ids
    reading.added += len(ids) - len(listed)
    if cover is not None:
        cover.add(listed)


def check_users(manifest: Manifest, form: Format, reading: Reading) -> Check:
    """How many there are."""
    problems = []
    if reading.rows != manifest.users:
        problems.append(f"there are {reading.rows} users instead of {manifest.users}")
    if reading.deleted != manifest.deleted_users:
        problems.append(f"{reading.deleted} of them are deleted instead of {manifest.deleted_users}")
    return verdict(
        f"users_{form}", problems, f"{manifest.users} users, each once, {manifest.deleted_users} of them deleted"
    )


def check_tree(manifest: Manifest, form: Format, reading: Reading) -> Check:
    """The root over the rows themselves: it holds for every format alike."""
    name, facts = f"tree_{form}", manifest.tree
    if facts is None:
        return Check(name, True, "the manifest is older than hash trees")
    if (facts.algorithm, facts.leaf_rows) != (ALGORITHM, LEAF_ROWS):
        return Check(name, False, f"a tree of kind {facts.algorithm} is not known to this version of syncer")
    if not reading.is_whole:
        return Check(name, False, "cannot be told: parts are damaged")
    head = reading.hasher.head
    ok = (head.leaves, head.root.hex()) == (facts.leaves, facts.root)
    return Check(
        name, ok, f"{head.leaves} blocks of rows {'lead' if ok else 'do not lead'} to the root in the manifest"
    )


def check_formats_agree(readings: list[Reading]) -> Check:
    """Whether all formats hold the same users, with the same values."""
    if not all(reading.is_whole for reading in readings):
        return Check("formats_agree", False, "cannot be told: parts are damaged")
    agree = len({reading.hasher.head.root for reading in readings}) == 1
    return Check("formats_agree", agree, "all hold the same users" if agree else "the formats hold different users")


def check_reconciliation(manifest: Manifest, readings: list[Reading]) -> list[Check]:
    """What the manifest says of users that were fetched one by one."""
    facts = manifest.reconciliation
    if facts is None:
        return []
    problems = []
    if facts.missing != facts.gone + len(facts.added) or len(manifest.added) != len(facts.added):
        problems.append("its figures do not add up")
    if len(facts.added) > ADDED_MAX:
        problems.append(f"more than {ADDED_MAX} users stand on no page")
    if any(reading.added != len(facts.added) for reading in readings):
        problems.append("not all users that were fetched one by one are in the snapshot")
    well = f"{facts.missing} missing users were fetched: {facts.gone} do not exist, {len(facts.added)} were added"
    return [verdict("reconciliation", problems, well)]
