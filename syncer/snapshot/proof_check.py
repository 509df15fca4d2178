"""What a proof proves, judged by the manifest and nothing else. Pure: no I/O, no store."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pyarrow as pa

from syncer.snapshot.columns import USER_SCHEMA
from syncer.snapshot.hash_tree import ALGORITHM, LEAF_ROWS, hash_leaves, root_of_path
from syncer.snapshot.manifest import TreeFacts
from syncer.snapshot.manifest_json import parse
from syncer.snapshot.proof_file import Block, Proof, Row, wrong


@dataclass(frozen=True, slots=True)
class Finding:
    """What rows prove of a user: its row, or the neighbours between which it would stand."""

    row: Row | None
    before: str | None
    after: str | None


def check_proof(proof: Proof, manifest_data: bytes) -> Finding:
    """What the proof proves under this manifest. Raises SnapshotMismatch when it proves nothing."""
    manifest = parse(manifest_data)
    if hashlib.sha256(manifest_data).hexdigest() != proof.manifest_sha256:
        raise wrong("the proof was made for another manifest than this one")
    if (manifest.account_sid, manifest.snapshot_id) != (proof.account_sid, proof.snapshot_id):
        raise wrong("the proof names another snapshot than its manifest")
    facts = manifest.tree
    if facts is None:
        raise wrong("the manifest is older than hash trees: nothing can be proven by it")
    check_kind(facts)
    for block in proof.blocks:
        _check_block(block, facts)
    finding = find_user(proof.user_id, proof.blocks)
    if (finding.row is not None) != proof.present:
        raise wrong(f"the proof says that the user is {'' if proof.present else 'not '}there, and its rows do not")
    if finding.row is None:
        check_gap(proof.blocks, finding, facts)
    return finding


def find_user(user_id: str, blocks: Sequence[Block]) -> Finding:
    """What rows say of a user, whatever they are worth."""
    ids = [row.id for block in blocks for row in block.rows]
    row = next((row for block in blocks for row in block.rows if row.id == user_id), None)
    before = max((i for i in ids if i < user_id), default=None)
    return Finding(row, before, min((i for i in ids if i > user_id), default=None))


def check_kind(facts: TreeFacts) -> None:
    """Raises SnapshotMismatch for a tree of a kind that is not known here."""
    if (facts.algorithm, facts.leaf_rows) != (ALGORITHM, LEAF_ROWS):
        raise wrong("the manifest has no hash tree of a kind that is known to this version of syncer")


def _check_block(block: Block, facts: TreeFacts) -> None:
    is_whole = len(block.rows) == LEAF_ROWS or (block.leaf == facts.leaves - 1 and 0 < len(block.rows) < LEAF_ROWS)
    path = [bytes.fromhex(digest) for digest in block.path]
    root = root_of_path(_digest(block.rows), block.leaf, facts.leaves, path) if is_whole else None
    if root is None or root.hex() != facts.root:
        raise wrong(f"block {block.leaf} of the proof does not lead to the root in the manifest")


def check_gap(blocks: Sequence[Block], finding: Finding, facts: TreeFacts) -> None:
    """No row is left out between the two neighbours: the blocks follow each other, and their rows rise."""
    ids = [row.id for block in blocks for row in block.rows]
    leaves = [block.leaf for block in blocks]
    follows = leaves == list(range(leaves[0], leaves[0] + len(leaves))) if leaves else facts.leaves == 0
    rises = all(one < other for one, other in pairwise(ids))
    begins = finding.before is not None or not leaves or leaves[0] == 0
    ends = finding.after is not None or not leaves or leaves[-1] == facts.leaves - 1
    if not (follows and rises and begins and ends):
        raise wrong("the proof leaves a gap in which the user could stand")


def _digest(rows: Sequence[Row]) -> bytes:
    columns = [[getattr(row, name) for row in rows] for name in USER_SCHEMA.names]
    arrays = [
        pa.array(values, _plain(field)).cast(field.type) for values, field in zip(columns, USER_SCHEMA, strict=True)
    ]
    return next(hash_leaves(pa.Table.from_arrays(arrays, schema=USER_SCHEMA))).digest


def _plain(field: Any) -> Any:
    return pa.int64() if pa.types.is_timestamp(field.type) else field.type
