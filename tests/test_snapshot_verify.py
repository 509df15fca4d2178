"""Verify: a whole snapshot passes, and whatever is wrong is found and named."""

from __future__ import annotations

import hashlib
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from syncer.errors import SnapshotMismatch
from syncer.model import Check
from syncer.snapshot import layout
from syncer.snapshot.catalog import load_latest, load_snapshot
from syncer.snapshot.local_store import LocalStore
from syncer.snapshot.manifest import Manifest, Previous, ReconciliationFacts, RejectsFacts
from syncer.snapshot.publish import publish
from syncer.snapshot.sinks import SinkOptions
from syncer.snapshot.verify import verify_snapshot
from tests.snapshot_data import (
    ACCOUNT,
    COMPRESSIONS,
    SMALL,
    SNAPSHOT,
    chunked,
    make_users,
    spool,
    stage_snapshot,
    tree,
)

PLACE = f"account_sid={ACCOUNT}/snapshot_date=2026-11-23/snapshot_id={SNAPSHOT}"
PARQUET = f"parquet/{PLACE}/part-00001.parquet"
NDJSON = f"ndjson/{PLACE}/part-00000.ndjson.zst"
PAGES = f"snapshots/account_sid={ACCOUNT}/{SNAPSHOT}/pages.parquet"

LINE = b'{"id":"a","createdAt":"2026-01-01T00:00:00Z","updatedAt":"2026-01-01T00:00:00Z","deletedAt":null}\n'


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    root = tmp_path_factory.mktemp("whole")
    store = LocalStore(root)
    users = make_users(150)
    manifest = stage_snapshot(store, spool([chunked(users[:90], 20), chunked(users[85:], 17)]))
    publish(store, manifest)
    return root, manifest


@pytest.fixture
def whole(template: tuple[Path, Manifest], tmp_path: Path) -> tuple[LocalStore, Manifest]:
    shutil.copytree(template[0], tmp_path / "root")
    return LocalStore(tmp_path / "root"), template[1]


def failed(store: LocalStore, manifest: Manifest) -> dict[str, str]:
    return {check.name: check.detail for check in verify_snapshot(store, ACCOUNT, manifest) if not check.ok}


def test_a_whole_snapshot_passes_every_check(whole: tuple[LocalStore, Manifest]) -> None:
    store, manifest = whole
    checks = verify_snapshot(store, ACCOUNT, manifest)
    assert [check.name for check in checks if not check.ok] == []
    by_name = {check.name: check.detail for check in checks}
    assert len(by_name) == len(checks) == 6 + 13
    assert by_name["pages"] == (
        "the users of 7 pages are those that were served; 2 pages overlap others and are proven by the sums"
    )
    assert by_name["sums"] == "155 users served, all accounted for"


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("count", [0, 1, 150])
def test_every_kind_of_snapshot_passes(tmp_path: Path, compression: Any, count: int) -> None:
    store = LocalStore(tmp_path)
    options = replace(SMALL, ndjson_compression=compression, parquet_profile="compact")
    manifest = stage_snapshot(store, spool([chunked(make_users(count), 20)]), options=options)
    publish(store, manifest)
    assert failed(store, manifest) == {}


@pytest.mark.parametrize("form", ["parquet", "ndjson"])
def test_a_snapshot_of_one_format_passes(tmp_path: Path, form: Any) -> None:
    store = LocalStore(tmp_path)
    manifest = stage_snapshot(store, spool([chunked(make_users(50), 20)]), formats=[form], options=SinkOptions())
    publish(store, manifest)
    assert failed(store, manifest) == {}
    assert "formats_agree" not in {check.name for check in verify_snapshot(store, ACCOUNT, manifest)}


def test_every_flipped_bit_is_found(whole: tuple[LocalStore, Manifest]) -> None:
    store, manifest = whole
    chance = random.Random(7)
    paths = [*(facts.path for facts in manifest.files), PAGES, layout.manifest_path(ACCOUNT, SNAPSHOT)]
    for _ in range(200):
        path = store.root / chance.choice(paths)
        data = path.read_bytes()
        bit = chance.randrange(len(data) * 8)
        path.write_bytes(flipped(data, bit))
        assert not is_accepted(store, manifest), f"bit {bit} of {path.name}"
        path.write_bytes(data)


def flipped(data: bytes, bit: int) -> bytes:
    damaged = bytearray(data)
    damaged[bit // 8] ^= 1 << (bit % 8)
    return bytes(damaged)


def is_accepted(store: LocalStore, manifest: Manifest) -> bool:
    """As a later run judges: the manifest by the hash that its successor keeps, the rest by the manifest."""
    try:
        found = load_snapshot(store, ACCOUNT, SNAPSHOT)
    except SnapshotMismatch:
        return False
    kept = hashlib.sha256(store.read(layout.manifest_path(ACCOUNT, SNAPSHOT))).hexdigest()
    pointer = orjson.loads(store.read(layout.latest_path(ACCOUNT)))
    return kept == pointer["sha256"] and failed(store, found.manifest) == {}


@pytest.mark.parametrize("path", [PARQUET, NDJSON, PAGES])
def test_a_missing_short_or_changed_file_is_named(whole: tuple[LocalStore, Manifest], path: str) -> None:
    store, manifest = whole
    name = "page_index" if path == PAGES else path
    data = store.read(path)
    store.put_replace(path, data[:-1])
    assert f"has {len(data) - 1} bytes instead of {len(data)}" in failed(store, manifest)[name]
    store.put_replace(path, flipped(data, 100))
    assert "has another sha256" in failed(store, manifest)[name]
    store.remove(path)
    assert "is not there" in failed(store, manifest)[name]


def rewritten(store: LocalStore, manifest: Manifest, path: str, data: bytes) -> Manifest:
    """As if the manifest had been written for other content: only the content itself can tell."""
    store.put_replace(path, data)
    sha256 = hashlib.sha256(data).hexdigest()
    if path == PAGES:
        return replace(manifest, page_index=replace(manifest.page_index, bytes=len(data), sha256=sha256))
    files = tuple(replace(f, bytes=len(data), sha256=sha256) if f.path == path else f for f in manifest.files)
    return replace(manifest, files=files)


def parquet_of(table: Any, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    options = {"sorting_columns": [pq.SortingColumn(0)], **options}
    pq.write_table(table, sink, compression="zstd", **options)
    data = sink.getvalue().to_pybytes()
    assert isinstance(data, bytes)
    return data


Change = Callable[[Any], bytes]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: parquet_of(t.slice(1)), "the part has 63 rows instead of 64"),
        (lambda t: parquet_of(pa.concat_tables([t.slice(0, 1), t])), "is not in strictly ascending order of ids"),
        (lambda t: parquet_of(t.take(list(reversed(range(64))))), "is not in strictly ascending order of ids"),
        (lambda t: parquet_of(t.drop_columns("extra")), "does not have the columns of a snapshot"),
        (lambda t: parquet_of(t, sorting_columns=None), "does not say that it is sorted by id"),
        (lambda t: b"PAR1 no parquet PAR1", "cannot be read as Parquet: it is damaged"),
        (lambda t: flipped(parquet_of(t, write_page_checksum=True), 8 * 400), "it is damaged"),
    ],
)
def test_a_part_with_other_users_than_its_manifest_says_is_named(
    whole: tuple[LocalStore, Manifest], change: Change, message: str
) -> None:
    store, manifest = whole
    table = pq.read_table(store.root / PARQUET, partitioning=None)
    wrong = failed(store, rewritten(store, manifest, PARQUET, change(table)))
    assert message in wrong[PARQUET]
    assert wrong["formats_agree"] == wrong["pages"] == "cannot be told: parts are damaged"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no zstd", "cannot be decompressed: it is damaged"),
        (b"{}\n", "holds a line that is not a user"),
        (b"\n", "holds a line that is not a user"),
        (b'["id"]\n', "holds a line that is not a user"),
        (b'{"id":5}\n', "holds a line that is not a user"),
        (b'{"id":"a"}', "does not end with a line end"),
        (b'{"id":"a","createdAt":"x","updatedAt":"x"}\n', "holds a line that is not a user"),
        (LINE.strip() + b"," + LINE, "holds a line that is not a user"),
        (LINE * 2, "is not in strictly ascending order of ids"),
        (LINE, "has 1 rows instead of 64"),
    ],
)
def test_lines_that_are_not_the_users_are_named(
    whole: tuple[LocalStore, Manifest], content: bytes, message: str
) -> None:
    store, manifest = whole
    data = content if content == b"no zstd" else pa.Codec("zstd").compress(content, asbytes=True)
    assert message in failed(store, rewritten(store, manifest, NDJSON, data))[NDJSON]


def test_another_user_in_the_same_place_is_found_by_the_formats_and_by_the_pages(
    whole: tuple[LocalStore, Manifest],
) -> None:
    store, manifest = whole
    table = pq.read_table(store.root / PARQUET, partitioning=None)
    ids = table.column("id").to_pylist()
    ids[50] += "x"
    changed = table.set_column(0, table.schema.field("id"), pa.array(ids))
    wrong = failed(store, rewritten(store, manifest, PARQUET, parquet_of(changed)))
    assert set(wrong) == {"formats_agree", "pages", "tree_parquet"}
    assert wrong["pages"] == "page 1 of stretch 1 held 17 users, and those between its ids are others (17)"


def test_a_page_index_with_other_pages_is_found_by_the_sums(whole: tuple[LocalStore, Manifest]) -> None:
    store, manifest = whole
    index = pq.read_table(store.root / PAGES, partitioning=None)
    wrong = failed(store, rewritten(store, manifest, PAGES, parquet_of(index.slice(1), sorting_columns=None)))
    assert wrong == {
        "page_index": "8 pages instead of 9",
        "sums": "the manifest counts 9 pages and the page index 8; the pages served 135 users; 150 of them are in the"
        " snapshot, and 5 were served twice",
        "pages": "20 users stand on no page",
    }
    assert failed(store, rewritten(store, manifest, PAGES, parquet_of(pa.table({"a": [1]}), sorting_columns=None))) == {
        "page_index": f"{PAGES} does not have the columns of a page index"
    }


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda m: replace(m, account_sid="AC1"), {"manifest", "page_index", "tree"}),
        (lambda m: replace(m, verdict="incomplete"), {"manifest"}),
        (lambda m: replace(m, checks=(Check("chain", False, "gap"),)), {"manifest"}),
        (lambda m: replace(m, formats=("parquet",)), {"manifest"}),
        (lambda m: replace(m, users=149), {"users_parquet", "users_ndjson", "sums"}),
        (lambda m: replace(m, deleted_users=0), {"users_parquet", "users_ndjson"}),
        (lambda m: replace(m, crawl=replace(m.crawl, overlap_users=4)), {"sums"}),
        (lambda m: replace(m, crawl=replace(m.crawl, pages=8)), {"sums"}),
        (lambda m: replace(m, rejects=RejectsFacts(2)), {"sums", "rejects"}),
        (lambda m: replace(m, rejects=RejectsFacts(0, "x", 1, "0" * 64)), {"rejects"}),
        (lambda m: replace(m, page_index=replace(m.page_index, path="elsewhere")), {"page_index"}),
        (lambda m: replace(m, files=(replace(m.files[0], path="x/y"), *m.files[1:])),
         {"manifest", "folders", "x/y", "users_parquet", "tree_parquet", "formats_agree", "pages"}),
        (lambda m: replace(m, tree=None), {"folders"}),
        (lambda m: replace(m, formats=("parquet", "parquet", "ndjson")), {"manifest"}),
        (lambda m: replace(m, files=m.files[1:]), {"manifest", "folders", "users_parquet", "tree_parquet",
         "formats_agree", "pages"}),
        (lambda m: replace(m, files=(m.files[1], m.files[0], *m.files[2:])),
         {"manifest", "users_parquet", "tree_parquet", "formats_agree", "pages", PARQUET.replace("-00001", "-00000")}),
        (lambda m: replace(m, started_at="2026-11-23T02:00:01Z"), {"manifest"}),
        (lambda m: replace(m, finished_at="2026-11-23T01:59:59+00:00"), {"manifest"}),
        (lambda m: replace(m, tree=replace(m.tree, root="0" * 64)), {"tree", "tree_parquet", "tree_ndjson"}),
        (lambda m: replace(m, tree=replace(m.tree, leaves=9)), {"tree", "tree_parquet", "tree_ndjson"}),
        (lambda m: replace(m, tree=replace(m.tree, algorithm="x")), {"tree_parquet", "tree_ndjson"}),
        (lambda m: replace(m, tree=replace(m.tree, path="x/y")), {"tree"}),
        (lambda m: replace(m, tree=replace(m.tree, sha256="0" * 64)), {"tree"}),
    ],
)  # fmt: skip
def test_a_manifest_that_says_something_else_is_found(
    whole: tuple[LocalStore, Manifest], change: Callable[[Manifest], Manifest], expected: set[str]
) -> None:
    store, manifest = whole
    assert set(failed(store, change(manifest))) == expected


def test_figures_of_users_that_were_fetched_one_by_one_must_add_up(whole: tuple[LocalStore, Manifest]) -> None:
    store, manifest = whole
    for facts, says in (
        (ReconciliationFacts(2, 0, ()), "its figures do not add up"),
        (ReconciliationFacts(2, 0, ("a", "a")), "its figures do not add up"),
        (ReconciliationFacts(1, 0, ("a",)), "not all users that were fetched one by one are in the snapshot"),
        (ReconciliationFacts(1001, 0, tuple(map(str, range(1001)))), "more than 1000 users stand on no page"),
    ):
        assert says in failed(store, replace(manifest, reconciliation=facts))["reconciliation"]


def test_a_tree_or_a_page_index_that_cannot_be_read_is_named(whole: tuple[LocalStore, Manifest]) -> None:
    store, manifest = whole
    assert "is damaged" in failed(store, rewritten(store, manifest, PAGES, b"PAR1 no PAR1"))["page_index"]
    tree_path = layout.tree_path(ACCOUNT, SNAPSHOT)
    store.put_replace(tree_path, b"PAR1 no PAR1")
    assert manifest.tree is not None
    facts = replace(manifest.tree, bytes=12, sha256=hashlib.sha256(b"PAR1 no PAR1").hexdigest())
    assert "is damaged" in failed(store, replace(manifest, tree=facts))["tree"]


def test_a_page_that_no_list_has_is_named(whole: tuple[LocalStore, Manifest]) -> None:
    store, manifest = whole
    index = pq.read_table(store.root / PAGES, partitioning=None)
    for name, value in (("max_id", None), ("max_id", "a"), ("users", -1), ("rejects", 999), ("rejects", -1)):
        cells = [value, *index[name].to_pylist()[1:]]
        field = index.schema.field(name)
        other = index.set_column(index.column_names.index(name), field, pa.array(cells, field.type))
        wrong = failed(store, rewritten(store, manifest, PAGES, parquet_of(other, sorting_columns=None)))
        assert wrong["page_index"] == f"{PAGES} holds a page that no list has"


def test_rejects_are_checked_by_their_hash(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    pages = spool([[[{"id": 5}, *make_users(3)]]])
    manifest = stage_snapshot(store, pages, rejects=[b'{"reason":"id is not a string","user":{"id":5}}\n'])
    publish(store, manifest)
    assert failed(store, manifest) == {}
    path = layout.rejects_path(ACCOUNT, SNAPSHOT)
    data = store.read(path)
    store.put_replace(path, data.replace(b"5", b"6"))
    assert failed(store, manifest) == {"rejects": f"{path} has another sha256"}
    store.remove(path)
    assert failed(store, manifest) == {"rejects": f"{path} is not there"}
    store.put_new(path, data * 2)
    facts = RejectsFacts(1, path, len(data) * 2, hashlib.sha256(data * 2).hexdigest())
    assert failed(store, replace(manifest, rejects=facts)) == {"rejects": f"{path} holds 2 users instead of 1"}


def test_the_chain_to_the_snapshot_before_is_checked(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    old_id = "20261122T020000Z"
    pages = spool([chunked(make_users(5), 5)])
    publish(store, stage_snapshot(store, pages, snapshot_id=old_id))
    old = load_latest(store, ACCOUNT)
    assert old is not None
    manifest = stage_snapshot(store, pages, previous=Previous(old_id, old.sha256))
    publish(store, manifest)
    assert failed(store, manifest) == {}
    store.put_replace(old.path, store.read(old.path) + b"\n")
    assert failed(store, manifest) == {"previous": f"{old.path} has changed since"}
    store.remove(old.path)
    assert failed(store, manifest) == {}


def test_verifying_changes_nothing(whole: tuple[LocalStore, Manifest]) -> None:
    store, manifest = whole
    before = tree(store.root)
    verify_snapshot(store, ACCOUNT, manifest)
    assert tree(store.root) == before
