"""Proofs: every user is proven to be there, every other id not to be, and nothing that was changed proves anything."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from syncer.errors import SnapshotMismatch
from syncer.snapshot import layout
from syncer.snapshot.catalog import Published, load_latest
from syncer.snapshot.evidence import prove_user
from syncer.snapshot.hash_tree import LEAF_ROWS
from syncer.snapshot.local_store import LocalStore
from syncer.snapshot.manifest_json import build
from syncer.snapshot.proof_check import check_proof
from syncer.snapshot.proof_file import Proof, build_proof, parse_proof
from syncer.snapshot.publish import publish
from syncer.snapshot.sinks import SinkOptions
from tests.snapshot_data import ACCOUNT, chunked, make_users, spool, stage_snapshot

COUNT = 3 * LEAF_ROWS + 10
USERS = [{**user, "plan": "größer"} if place % 3 else user for place, user in enumerate(make_users(COUNT))]
IDS = [str(user["id"]) for user in USERS]
OPTIONS = SinkOptions(part_rows=384, group_rows=128, frame_rows=64)


def published(root: Path, users: list[Any], formats: Any = ("parquet", "ndjson")) -> tuple[LocalStore, Published]:
    store = LocalStore(root)
    publish(store, stage_snapshot(store, spool([chunked(users, 100)]), formats=formats, options=OPTIONS))
    latest = load_latest(store, ACCOUNT)
    assert latest is not None
    return store, latest


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[LocalStore, Published]:
    """A snapshot whose parts end within leaves."""
    return published(tmp_path_factory.mktemp("sound"), USERS)


def proof_of(sound: tuple[LocalStore, Published], user_id: str) -> Proof:
    store, latest = sound
    proof = prove_user(store, latest.manifest, latest.sha256, user_id)
    assert parse_proof(build_proof(proof)) == proof
    return proof


def manifest_of(sound: tuple[LocalStore, Published]) -> bytes:
    store, latest = sound
    return store.read(latest.path)


BORDERS = [*range(0, COUNT, 97), LEAF_ROWS - 1, LEAF_ROWS, 2 * LEAF_ROWS - 1, 2 * LEAF_ROWS, COUNT - 1]


@pytest.mark.parametrize("place", BORDERS)
def test_a_user_is_proven_to_be_there_by_one_block(sound: tuple[LocalStore, Published], place: int) -> None:
    proof = proof_of(sound, IDS[place])
    finding = check_proof(proof, manifest_of(sound))
    assert finding.row is not None
    assert (finding.row.id, len(proof.blocks), proof.present) == (IDS[place], 1, True)
    assert (finding.row.extra is None) == (place % 3 == 0)


@pytest.mark.parametrize("place", [-1, *BORDERS])
def test_an_id_between_two_users_is_proven_not_to_be_there(sound: tuple[LocalStore, Published], place: int) -> None:
    user_id = "a" if place < 0 else IDS[place] + "0"
    finding = check_proof(proof_of(sound, user_id), manifest_of(sound))
    before = IDS[place] if place >= 0 else None
    after = IDS[place + 1] if place + 1 < COUNT else None
    if before and place % LEAF_ROWS:  # the block's own rows are neighbours; those of others need not be in the proof
        assert finding.before == before
    assert (finding.row, finding.after) == (None, after)


@pytest.mark.parametrize("formats", [("parquet",), ("ndjson",)])
def test_every_format_gives_the_same_proof(sound: tuple[LocalStore, Published], formats: Any, tmp_path: Path) -> None:
    other = published(tmp_path, USERS, formats)
    for user_id in (IDS[0], IDS[400], IDS[-1], "zz"):
        assert proof_of(other, user_id).blocks == proof_of(sound, user_id).blocks


def test_in_an_empty_snapshot_nobody_is(tmp_path: Path) -> None:
    empty = published(tmp_path, [])
    proof = proof_of(empty, "a")
    assert (proof.blocks, check_proof(proof, manifest_of(empty)).row) == ((), None)


def change(path: tuple[Any, ...], value: Any) -> Callable[[Any], None]:
    def apply(document: Any) -> None:
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = value(document[path[-1]]) if callable(value) else value

    return apply


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (change(("present",), False), "says that the user is not there"),
        (change(("user_id",), "x"), "says that the user is there"),
        (change(("manifest_sha256",), "0" * 64), "another manifest"),
        (change(("snapshot_id",), "20200101T000000Z"), "another snapshot"),
        (change(("blocks", 0, "leaf"), 2), "block 2 of the proof does not lead to the root"),
        (change(("blocks", 0, "leaf"), 99), "block 99 of the proof does not lead to the root"),
        (change(("blocks", 0, "rows"), lambda rows: rows[:-1]), "does not lead to the root"),
        (change(("blocks", 0, "rows"), []), "does not lead to the root"),
        (change(("blocks", 0, "rows", 5, 1), lambda time: time + 1), "does not lead to the root"),
        (change(("blocks", 0, "rows", 5, 4), "x"), "does not lead to the root"),
        (change(("blocks", 0, "path"), lambda path: path[:-1]), "does not lead to the root"),
        (change(("blocks", 0, "path", 0), "0" * 64), "does not lead to the root"),
        (change(("blocks", 0, "path", 0), "00"), "not a sha256 in hex"),
        (change(("blocks", 0, "path", 0), "x" * 64), "not a sha256 in hex"),
        (change(("blocks", 0, "rows", 5), [1, 2, 3, 4, 5]), "a row is not an id"),
        (change(("blocks", 0, "rows", 5), ["a"]), "a row is not an id"),
        (change(("blocks", 0, "rows", 5, 1), 1 << 63), "a row is not an id"),
        (change(("blocks", 0, "rows", 5, 3), True), "a row is not an id"),
        (change(("blocks", 0, "rows"), [5]), "rows is not a list of lists"),
        (change(("kind",), "other"), "not known to this version"),
    ],
)
def test_a_changed_proof_proves_nothing(sound: tuple[LocalStore, Published], changed: Any, told: str) -> None:
    document = orjson.loads(build_proof(proof_of(sound, IDS[300])))
    changed(document)
    with pytest.raises(SnapshotMismatch, match=told):
        check_proof(parse_proof(orjson.dumps(document)), manifest_of(sound))


def test_a_proof_of_absence_leaves_no_gap(sound: tuple[LocalStore, Published]) -> None:
    manifest = manifest_of(sound)
    between = proof_of(sound, IDS[LEAF_ROWS - 1] + "0")
    assert [block.leaf for block in between.blocks] == [0, 1]
    far = proof_of(sound, IDS[-1])
    gaps = [
        replace(between, blocks=between.blocks[:1]),
        replace(between, blocks=between.blocks[1:]),
        replace(between, blocks=(between.blocks[0], far.blocks[0])),
        replace(between, blocks=between.blocks[::-1]),
        replace(between, blocks=()),
        replace(between, user_id=IDS[5], present=False, blocks=between.blocks[1:]),
    ]
    for gap in gaps:
        with pytest.raises(SnapshotMismatch, match="leaves a gap"):
            check_proof(gap, manifest)


def test_a_manifest_without_a_tree_proves_nothing(sound: tuple[LocalStore, Published]) -> None:
    store, latest = sound
    bare = replace(latest.manifest, tree=None)
    with pytest.raises(SnapshotMismatch, match="older than hash trees"):
        prove_user(store, bare, latest.sha256, IDS[0])
    proof = replace(proof_of(sound, IDS[0]), manifest_sha256=hashlib.sha256(build(bare)).hexdigest())
    with pytest.raises(SnapshotMismatch, match="older than hash trees"):
        check_proof(proof, build(bare))


@pytest.mark.parametrize("data", [b"", b"[]", b"{}"])
def test_what_is_no_proof_is_named_so(data: bytes) -> None:
    with pytest.raises(SnapshotMismatch, match="the proof is"):
        parse_proof(data)


def test_damaged_data_cannot_be_proven(tmp_path: Path) -> None:
    store, latest = published(tmp_path, USERS)
    part = tmp_path / latest.manifest.files[0].path
    tree = tmp_path / layout.tree_path(ACCOUNT, latest.manifest.snapshot_id)
    whole = tree.read_bytes()
    for path, told in ((part, "damaged or not there"), (tree, "damaged")):
        path.write_bytes(path.read_bytes()[:-9])
        with pytest.raises(SnapshotMismatch, match=told):
            prove_user(store, latest.manifest, latest.sha256, IDS[0])
    other, _ = published(tmp_path / "other", USERS[1:])
    tree.write_bytes(other.read(layout.tree_path(ACCOUNT, latest.manifest.snapshot_id)))
    with pytest.raises(SnapshotMismatch, match="does not hold the leaves"):
        prove_user(store, latest.manifest, latest.sha256, IDS[0])
    tree.write_bytes(whole)
    part.write_bytes(other.read(latest.manifest.files[0].path))
    with pytest.raises(SnapshotMismatch, match="are not those of the hash tree"):
        prove_user(store, latest.manifest, latest.sha256, IDS[0])


def test_a_tree_that_is_gone_or_of_another_kind_proves_nothing(tmp_path: Path) -> None:
    store, latest = published(tmp_path, USERS)
    facts = latest.manifest.tree
    assert facts is not None
    for other in (replace(facts, algorithm="sha256-rows-9"), replace(facts, leaf_rows=LEAF_ROWS * 2)):
        with pytest.raises(SnapshotMismatch, match="no hash tree of a kind that is known"):
            prove_user(store, replace(latest.manifest, tree=other), latest.sha256, IDS[0])
    (tmp_path / facts.path).unlink()
    with pytest.raises(SnapshotMismatch, match=r"tree.parquet is not there; `syncer verify` names all"):
        prove_user(store, latest.manifest, latest.sha256, IDS[0])


def test_a_tree_file_that_leads_astray_makes_no_false_proof_of_absence(tmp_path: Path) -> None:
    store, latest = published(tmp_path, USERS)
    path = tmp_path / layout.tree_path(ACCOUNT, latest.manifest.snapshot_id)
    table = pq.read_table(path, partitioning=None)
    pq.write_table(table.set_column(0, table.schema.field(0), pa.array(["zzz"] * table.num_rows)), path)
    with pytest.raises(SnapshotMismatch, match="leaves a gap"):
        prove_user(store, latest.manifest, latest.sha256, IDS[-1])
