"""Making a proof that a user is, or is not, in a snapshot: one block of rows and its path to the root in the manifest.

Reads the hash tree and the one or two blocks around the user; to check a proof needs none of this.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from syncer.errors import SnapshotMismatch
from syncer.snapshot.columns import USER_SCHEMA
from syncer.snapshot.hash_tree import LEAF_ROWS, audit_path, hash_leaves
from syncer.snapshot.manifest import FileFacts, Manifest, TreeFacts
from syncer.snapshot.part_readers import PartFault
from syncer.snapshot.proof_check import check_gap, check_kind, find_user
from syncer.snapshot.proof_file import Block, Proof, Row
from syncer.snapshot.reading import read_part
from syncer.snapshot.store import FileMissing, Store
from syncer.snapshot.tree_file import read_tree, root_of_table


def prove_user(store: Store, manifest: Manifest, manifest_sha256: str, user_id: str) -> Proof:
    """Make a proof. Raises SnapshotMismatch when the tree or the block is not what the manifest says."""
    facts = manifest.tree
    if facts is None:
        raise SnapshotMismatch(
            "the snapshot is older than hash trees: nothing can be proven of it",
            hint="export again, and prove from that",
        )
    check_kind(facts)
    blocks = tuple(_blocks_around(store, manifest, facts, user_id))
    finding = find_user(user_id, blocks)
    if finding.row is None:
        check_gap(blocks, finding, facts)
    return Proof(manifest.account_sid, manifest.snapshot_id, manifest_sha256, user_id, finding.row is not None, blocks)


def _blocks_around(store: Store, manifest: Manifest, facts: TreeFacts, user_id: str) -> Iterator[Block]:
    first_ids, digests = _leaves(store, facts)
    if not digests:
        return
    leaf = max((pc.sum(pc.less_equal(first_ids, user_id)).as_py() or 0) - 1, 0)
    block = _read_block(store, manifest, digests, leaf)
    yield block
    if user_id > block.rows[-1].id and leaf + 1 < len(digests):
        yield _read_block(store, manifest, digests, leaf + 1)


def _leaves(store: Store, facts: TreeFacts) -> tuple[Any, list[bytes]]:
    try:
        with store.open(facts.path) as file:
            table = read_tree(file, facts.path)
    except FileMissing:
        raise _damaged(f"{facts.path} is not there") from None
    root, leaves = root_of_table(table)
    if (root.hex(), leaves) != (facts.root, facts.leaves):
        raise _damaged(f"{facts.path} does not hold the leaves of the root in the manifest")
    return table.column("first_id"), table.column("digest").to_pylist()


def _read_block(store: Store, manifest: Manifest, digests: list[bytes], leaf: int) -> Block:
    table = _read_rows(store, manifest, leaf * LEAF_ROWS, LEAF_ROWS)
    if [found.digest for found in hash_leaves(table)] != [digests[leaf]]:
        raise _damaged(f"rows {leaf * LEAF_ROWS} and on are not those of the hash tree")
    path = tuple(digest.hex() for digest in audit_path(digests, leaf))
    times = [table.column(name).cast(pa.int64()) for name in ("created_at", "updated_at", "deleted_at")]
    columns = [table.column("id"), *times, table.column("extra")]
    return Block(leaf, path, tuple(map(Row, *(column.to_pylist() for column in columns))))


def _read_rows(store: Store, manifest: Manifest, first: int, count: int) -> Any:
    """Some rows by their place in the snapshot; fewer at its end."""
    form = "parquet" if "parquet" in manifest.formats else "ndjson"
    tables, start = [USER_SCHEMA.empty_table()], 0
    for facts in manifest.files:
        if facts.format == form:
            skip, take = max(first - start, 0), min(first + count, start + facts.rows) - max(first, start)
            if take > 0:
                tables.append(_read_slice(store, manifest, facts, skip, take))
            start += facts.rows
    return pa.concat_tables(tables).combine_chunks()


def _read_slice(store: Store, manifest: Manifest, facts: FileFacts, skip: int, take: int) -> Any:
    try:
        with store.open(facts.path) as file:
            tables = _row_groups(file) if facts.format == "parquet" else _lines(file, facts, manifest)
            return _slice(tables, skip, take)
    except (PartFault, pa.ArrowException, OSError, FileMissing):
        raise _damaged(f"{facts.path} cannot be read: it is damaged or not there") from None


def _slice(tables: Iterator[tuple[int, Any]], skip: int, take: int) -> Any:
    """Rows out of pieces, each with the number of its rows and what reads it: none is read that is not needed."""
    found = [USER_SCHEMA.empty_table()]
    for rows, read in tables:
        if take > 0 and skip < rows:
            found.append(read().slice(skip, take))
            take -= found[-1].num_rows
        skip = max(skip - rows, 0)
        if take <= 0:
            break
    return pa.concat_tables(found)


def _row_groups(file: Any) -> Iterator[tuple[int, Any]]:
    parquet = pq.ParquetFile(file, page_checksum_verification=True, pre_buffer=False)
    for group in range(parquet.metadata.num_row_groups):
        yield parquet.metadata.row_group(group).num_rows, lambda group=group: _read_group(parquet, group)


def _read_group(parquet: Any, group: int) -> Any:
    table = parquet.read_row_group(group)
    table.validate(full=True)  # text that is no UTF-8 would fail later
    return table


def _lines(file: Any, facts: FileFacts, manifest: Manifest) -> Iterator[tuple[int, Any]]:
    for batch in read_part(file, facts, manifest):
        yield batch.num_rows, lambda batch=batch: pa.Table.from_batches([batch])


def _damaged(sentence: str) -> SnapshotMismatch:
    return SnapshotMismatch(sentence, hint="`syncer verify` names all that is wrong; restore the files from a copy")
