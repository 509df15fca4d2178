"""The file that `syncer prove` writes: what a proof holds, to JSON and back, strictly. Pure: no I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from syncer.errors import SnapshotMismatch
from syncer.snapshot.shape import Shape, ShapeFault

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
        raise wrong("the proof is not JSON") from None
    except ShapeFault as fault:
        raise wrong(f"the proof is wrong: {fault}") from None


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


def wrong(sentence: str) -> SnapshotMismatch:
    """A proof that proves nothing."""
    return SnapshotMismatch(sentence, hint="do not rely on it; ask for a proof from the snapshot itself")
