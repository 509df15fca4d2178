"""Proofs that a user is, or is not, in a snapshot: one block of rows and its path to the root in the manifest.

To make one reads one block of the snapshot; to check one needs the proof and the manifest, and nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from syncer.errors import SnapshotMismatch
from syncer.snapshot.columns import USER_SCHEMA
from syncer.snapshot.hash_tree import ALGORITHM, LEAF_ROWS, audit_path, hash_leaves, root_of_path
from syncer.snapshot.manifest import FileFacts, Manifest, TreeFacts
from syncer.snapshot.manifest_json import parse
from syncer.snapshot.part_readers import PartFault
from syncer.snapshot.reading import read_part
from syncer.snapshot.shape import Shape, ShapeFault
from syncer.snapshot.store import FileMissing, Store
from syncer.snapshot.tree_file import read_tree, root_of_table

VERSION = 1
KIND = "syncer-proof"


@dataclass(frozen=True, slots=True)
class Row:
    """A user's row; times in microseconds since 1970, UTC."""

    id: str
    created_at: int
    updated_at: int
    deleted_at: int | None
    extra: str | None


@dataclass(frozen=True, slots=True)
class Block:
    """A leaf's rows, its number from 0, and the hashes that lead from it to the root, in hex."""

    leaf: int
    path: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Proof:
    """What ``syncer prove`` writes. Two blocks where the user would stand between them; none for no users."""

    account_sid: str
    snapshot_id: str
    manifest_sha256: str
    user_id: str
    present: bool
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """What rows prove of a user: its row, or the neighbours between which it would stand."""

    row: Row | None
    before: str | None
    after: str | None


def prove_user(store: Store, manifest: Manifest, manifest_sha256: str, user_id: str) -> Proof:
    """Make a proof. Raises SnapshotMismatch when the tree or the block is not what the manifest says."""
    facts = manifest.tree
    if facts is None:
        raise SnapshotMismatch(
            "the snapshot is older than hash trees: nothing can be proven of it",
            hint="export again, and prove from that",
        )
    _check_kind(facts)
    blocks = tuple(_blocks_around(store, manifest, facts, user_id))
    finding = _find(user_id, blocks)
    if finding.row is None:
        _check_gap(blocks, finding, facts)
    return Proof(manifest.account_sid, manifest.snapshot_id, manifest_sha256, user_id, finding.row is not None, blocks)


def build_proof(proof: Proof) -> bytes:
    """The content of a proof file: JSON, a row to a line."""
    head = {"version": VERSION, "kind": KIND, **{k: v for k, v in asdict(proof).items() if k != "blocks"}}
    blocks = [
        {"leaf": block.leaf, "path": list(block.path), "rows": [list(asdict(row).values()) for row in block.rows]}
        for block in proof.blocks
    ]
    return orjson.dumps({**head, "blocks": blocks}).replace(b"],[", b"],\n[") + b"\n"


def parse_proof(data: bytes) -> Proof:
    """Read a proof file. Raises SnapshotMismatch."""
    try:
        top = Shape(orjson.loads(data), "")
        if top.integer("version") != VERSION or top.text("kind") != KIND:
            raise ShapeFault("it is of a kind or version that is not known to this version of syncer")
        return Proof(
            account_sid=top.text("account_sid"),
            snapshot_id=top.text("snapshot_id"),
            manifest_sha256=top.sha256("manifest_sha256"),
            user_id=top.text("user_id"),
            present=top.truth("present"),
            blocks=tuple(_block(shape) for shape in top.objects("blocks")),
        )
    except orjson.JSONDecodeError:
        raise _wrong("the proof is not JSON") from None
    except ShapeFault as fault:
        raise _wrong(f"the proof is wrong: {fault}") from None


def check_proof(proof: Proof, manifest_data: bytes) -> Finding:
    """What the proof proves under this manifest. Raises SnapshotMismatch when it proves nothing."""
    manifest = parse(manifest_data)
    if hashlib.sha256(manifest_data).hexdigest() != proof.manifest_sha256:
        raise _wrong("the proof was made for another manifest than this one")
    if (manifest.account_sid, manifest.snapshot_id) != (proof.account_sid, proof.snapshot_id):
        raise _wrong("the proof names another snapshot than its manifest")
    facts = manifest.tree
    if facts is None:
        raise _wrong("the manifest is older than hash trees: nothing can be proven by it")
    _check_kind(facts)
    for block in proof.blocks:
        _check_block(block, facts)
    finding = _find(proof.user_id, proof.blocks)
    if (finding.row is not None) != proof.present:
        raise _wrong(f"the proof says that the user is {'' if proof.present else 'not '}there, and its rows do not")
    if finding.row is None:
        _check_gap(proof.blocks, finding, facts)
    return finding


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
        yield parquet.metadata.row_group(group).num_rows, lambda group=group: parquet.read_row_group(group)


def _lines(file: Any, facts: FileFacts, manifest: Manifest) -> Iterator[tuple[int, Any]]:
    for batch in read_part(file, facts, manifest):
        yield batch.num_rows, lambda batch=batch: pa.Table.from_batches([batch])


def _find(user_id: str, blocks: Sequence[Block]) -> Finding:
    ids = [row.id for block in blocks for row in block.rows]
    row = next((row for block in blocks for row in block.rows if row.id == user_id), None)
    before = max((i for i in ids if i < user_id), default=None)
    return Finding(row, before, min((i for i in ids if i > user_id), default=None))


def _check_kind(facts: TreeFacts) -> None:
    if (facts.algorithm, facts.leaf_rows) != (ALGORITHM, LEAF_ROWS):
        raise _wrong("the manifest has no hash tree of a kind that is known to this version of syncer")


def _check_block(block: Block, facts: TreeFacts) -> None:
    is_whole = len(block.rows) == LEAF_ROWS or (block.leaf == facts.leaves - 1 and 0 < len(block.rows) < LEAF_ROWS)
    path = [bytes.fromhex(digest) for digest in block.path]
    root = root_of_path(_digest(block.rows), block.leaf, facts.leaves, path) if is_whole else None
    if root is None or root.hex() != facts.root:
        raise _wrong(f"block {block.leaf} of the proof does not lead to the root in the manifest")


def _check_gap(blocks: Sequence[Block], finding: Finding, facts: TreeFacts) -> None:
    """No row is left out between the two neighbours: the blocks follow each other, and their rows rise."""
    ids = [row.id for block in blocks for row in block.rows]
    leaves = [block.leaf for block in blocks]
    follows = leaves == list(range(leaves[0], leaves[0] + len(leaves))) if leaves else facts.leaves == 0
    rises = all(one < other for one, other in pairwise(ids))
    begins = finding.before is not None or not leaves or leaves[0] == 0
    ends = finding.after is not None or not leaves or leaves[-1] == facts.leaves - 1
    if not (follows and rises and begins and ends):
        raise _wrong("the proof leaves a gap in which the user could stand")


def _digest(rows: Sequence[Row]) -> bytes:
    columns = [[getattr(row, name) for row in rows] for name in USER_SCHEMA.names]
    arrays = [
        pa.array(values, _plain(field)).cast(field.type) for values, field in zip(columns, USER_SCHEMA, strict=True)
    ]
    return next(hash_leaves(pa.Table.from_arrays(arrays, schema=USER_SCHEMA))).digest


def _plain(field: Any) -> Any:
    return pa.int64() if pa.types.is_timestamp(field.type) else field.type


def _block(shape: Shape) -> Block:
    return Block(
        shape.integer("leaf"),
        tuple(_hex(text) for text in shape.texts("path")),
        tuple(_row(values) for values in shape.lists("rows")),
    )


def _hex(text: str) -> str:
    try:
        if len(bytes.fromhex(text)) == hashlib.sha256().digest_size and len(text) == 64:
            return text
    except ValueError:
        pass
    raise ShapeFault("a path holds what is not a sha256 in hex")


def _row(values: Sequence[Any]) -> Row:
    if len(values) == 5:
        row = Row(*values)
        times = (row.created_at, row.updated_at, 0 if row.deleted_at is None else row.deleted_at)
        if isinstance(row.id, str) and isinstance(row.extra, str | None) and all(map(_is_time, times)):
            return row
    raise ShapeFault("a row is not an id, three times in microseconds and a text")


def _is_time(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -(1 << 63) <= value < 1 << 63


def _wrong(sentence: str) -> SnapshotMismatch:
    return SnapshotMismatch(sentence, hint="do not rely on it; ask for a proof from the snapshot itself")


def _damaged(sentence: str) -> SnapshotMismatch:
    return SnapshotMismatch(sentence, hint="`syncer verify` names all that is wrong; restore the files from a copy")
