"""What lies beside the users of a snapshot: the hash tree's file, the rejects, and what is foreign."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import BinaryIO

import orjson

from syncer.errors import SnapshotMismatch
from syncer.model import Check
from syncer.snapshot import layout
from syncer.snapshot.manifest import Manifest, RejectsFacts
from syncer.snapshot.part_readers import BYTES_AT_ONCE, bytes_problem
from syncer.snapshot.store import FileMissing, Store
from syncer.snapshot.tree_file import read_tree, root_of_table

_NAMED_MAX = 5
_OWN_NAMES = {
    *(layout.MANIFEST_NAME, layout.SIGNATURE_NAME, layout.PRUNED_NAME, layout.COPY_NAME),
    *(layout.PAGES_NAME, layout.TREE_NAME, layout.REJECTS_NAME),
}
"""Of files beside a manifest."""


def verdict(name: str, problems: list[str], well: str) -> Check:
    """A check that passes without problems."""
    return Check(name, not problems, "; ".join(problems) if problems else well)


def absence(store: Store, path: str) -> str:
    """A half sentence about a file that could not be opened."""
    return "is not a file" if store.exists(path) else "is not there"


def check_folders(store: Store, manifest: Manifest) -> Check:
    """Readers of partitions take every file that they find: each must be named by the manifest, and be a file."""
    problems: list[str] = []
    for kind in layout.DATA_FOLDERS:
        problems += _foreign(store, layout.data_folder(kind, manifest.account_sid, manifest.snapshot_id), manifest)
    own = layout.snapshot_folder(manifest.account_sid, manifest.snapshot_id)
    found = store.names(own)
    unnamed = {layout.TREE_NAME: manifest.tree is None, layout.REJECTS_NAME: manifest.rejects.path is None}
    problems += [f"{own}/{name} is foreign" for name in found if unnamed.get(name)]
    problems += [f"{own}/{name} is a link or a device" for name in store.strangers(own)]
    beside = [name for name in found if name not in _OWN_NAMES]  # nobody reads these
    well = "hold what the manifest names, and nothing else" + (f" but {', '.join(_first(beside))}" if beside else "")
    return verdict("folders", _first(problems), well)


def _foreign(store: Store, folder: str, manifest: Manifest) -> Iterator[str]:
    files = [*manifest.files, *(manifest.changes.files if manifest.changes else ())]
    named = {path.rpartition("/")[2] for path in (facts.path for facts in files) if path.rpartition("/")[0] == folder}
    found = store.names(folder)
    yield from (f"{folder}/{name} is foreign" for name in found if name not in {*named, layout.SUCCESS_NAME})
    strangers = store.strangers(folder)
    yield from (f"{folder}/{name} is a link or a device" for name in strangers)
    parent, _, name = folder.rpartition("/")
    if name in store.strangers(parent):
        yield f"{folder} is a link"
    if (named or found) and store.size(f"{folder}/{layout.SUCCESS_NAME}") != 0:
        yield f"{folder}/{layout.SUCCESS_NAME} is not there, or not empty"


def _first(problems: list[str]) -> list[str]:
    more = len(problems) - _NAMED_MAX
    return [*problems[:_NAMED_MAX], f"{more} more"] if more > 0 else problems


def check_tree_file(store: Store, manifest: Manifest, rows: tuple[bytes, bytes] | None) -> list[Check]:
    """The leaves in the file: they lead to the root, and with their first ids they are those of the rows.

    ``rows``: what ``verify_rows.Reading`` says of its leaves; rows that lead elsewhere are not those of the file.
    """
    facts = manifest.tree
    if facts is None:
        return []
    if facts.path != layout.tree_path(manifest.account_sid, manifest.snapshot_id):
        return [Check("tree", False, f"{facts.path} is not where the hash tree lies")]
    try:
        with store.open(facts.path) as file:
            if problem := bytes_problem(file, facts.bytes, facts.sha256):
                return [Check("tree", False, f"{facts.path} {problem}")]
            table = read_tree(file, facts.path)
    except FileMissing:
        return [Check("tree", False, f"{facts.path} {absence(store, facts.path)}")]
    except SnapshotMismatch as error:
        return [Check("tree", False, error.message)]
    root, leaves = root_of_table(table)
    if (leaves, root.hex()) != (facts.leaves, facts.root):
        return [Check("tree", False, f"{facts.path} does not hold the leaves of the root")]
    digest = hashlib.sha256()
    for batch in table.to_batches():
        for first_id, leaf in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            digest.update(first_id.encode() + leaf)
    if rows is not None and rows[0] == root and rows[1] != digest.digest():
        return [Check("tree", False, f"{facts.path} does not name the first users of the leaves")]
    return [Check("tree", True, f"{facts.path} holds the leaves of the root")]


def check_copy(store: Store, manifest: Manifest) -> list[Check]:
    """The list of files for a warehouse's COPY, if there is one: it names the Parquet parts and no others."""
    path = layout.copy_path(manifest.account_sid, manifest.snapshot_id)
    parts = [(facts.path, facts.bytes) for facts in manifest.files if facts.format == "parquet"]
    try:
        entries = orjson.loads(store.read(path))["entries"]
        named = [(entry["url"], entry["meta"]["content_length"]) for entry in entries]
        ok = len(named) == len(parts) and all(
            url.endswith(f"/{part}") and size == length
            for (url, size), (part, length) in zip(named, parts, strict=True)
        )
    except FileMissing:
        return []
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, SnapshotMismatch):
        ok = False
    return [Check("copy", ok, f"{path} {'names' if ok else 'does not name'} the parts of the snapshot")]


def check_rejects(store: Store, manifest: Manifest) -> list[Check]:
    """Users that break the contract, a line each."""
    facts = manifest.rejects
    if facts.path is None:
        return [Check("rejects", facts.count == 0, "none" if facts.count == 0 else "they are counted but have no file")]
    if facts.path != layout.rejects_path(manifest.account_sid, manifest.snapshot_id):
        return [Check("rejects", False, f"{facts.path} is not where the rejects lie")]
    try:
        with store.open(facts.path) as file:
            problem = _rejects_problem(file, facts)
    except FileMissing:
        problem = absence(store, facts.path)
    return [Check("rejects", not problem, f"{facts.path} {problem}" if problem else f"{facts.count} kept whole")]


def _rejects_problem(file: BinaryIO, facts: RejectsFacts) -> str:
    if problem := bytes_problem(file, facts.bytes or 0, facts.sha256 or ""):
        return problem
    lines = sum(block.count(b"\n") for block in iter(lambda: file.read(BYTES_AT_ONCE), b""))
    return "" if lines == facts.count else f"holds {lines} users instead of {facts.count}"
