"""The manifest: fixed keys, the same bytes for the same facts, and errors that name the key."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from syncer.errors import SnapshotMismatch
from syncer.model import Check
from syncer.snapshot.manifest import (
    ErasedFacts,
    FileFacts,
    Manifest,
    PageIndexFacts,
    Previous,
    RejectsFacts,
    Tool,
    TreeFacts,
)
from syncer.snapshot.manifest_json import build, parse
from tests.snapshot_data import ACCOUNT, SNAPSHOT, STARTED, crawl_facts

SHA = "0" * 64
FULL = Manifest(
    snapshot_id=SNAPSHOT,
    account_sid=ACCOUNT,
    started_at=STARTED,
    finished_at="2026-11-23T02:01:00Z",
    users=2,
    deleted_users=1,
    files=(
        FileFacts("parquet/p", "parquet", 2, 10, SHA, "a", "b"),
        FileFacts("ndjson/n", "ndjson", 0, 1, SHA, None, None),
    ),
    page_index=PageIndexFacts("snapshots/pages.parquet", 1, 5, SHA),
    crawl=crawl_facts(1),
    checks=(Check("chain", True, "well"), Check("end_of_list", True, "reached")),
    previous=Previous("20261122T020000Z", SHA),
    tool=Tool("syncer", "0.1.0"),
    rejects=RejectsFacts(1, "snapshots/rejects.ndjson", 7, SHA),
    formats=("parquet", "ndjson"),
    tree=TreeFacts("sha256-rows-1", 256, 1, SHA, "snapshots/tree.parquet", 9, SHA),
    signed_by="SHA256:x",
)


def test_a_manifest_is_read_as_it_was_written() -> None:
    bare = replace(FULL, previous=None, rejects=RejectsFacts(), ndjson_compression="none", parquet_profile="compact")
    bare = replace(bare, tree=None, signed_by=None)
    assert [parse(build(FULL)), parse(build(bare))] == [FULL, bare]


def test_a_manifest_from_before_the_hash_tree_is_read() -> None:
    document = orjson.loads(build(FULL))
    del document["tree"], document["signed_by"]
    assert parse(orjson.dumps(document)) == replace(FULL, tree=None, signed_by=None)


def test_keys_and_their_order_are_fixed() -> None:
    document = orjson.loads(build(FULL))
    assert list(document) == [
        *("version", "snapshot_id", "account_sid", "verdict", "started_at", "finished_at", "users", "deleted_users"),
        *(
            "formats",
            "files",
            "page_index",
            "rejects",
            "tree",
            "changes",
            "reconciliation",
            "fields",
            "crawl",
            "checks",
            "previous",
        ),
        *("parquet_profile", "ndjson_compression", "tool", "signed_by"),
    ]
    assert document["files"][0] == {
        "path": "parquet/p", "format": "parquet", "rows": 2, "bytes": 10, "sha256": SHA, "min_id": "a", "max_id": "b",
    }  # fmt: skip
    assert set(document["crawl"]) >= {
        *("pages", "requests", "retries", "throttled", "walkers", "entries_used", "entries_refused"),
        *("overlap_users", "order", "resumed"),
    }
    assert document["checks"]["chain"] == {"ok": True, "detail": "well"}
    assert document["previous"] == {"snapshot_id": "20261122T020000Z", "sha256": SHA}


def test_unknown_keys_of_a_later_version_are_let_be() -> None:
    document = orjson.loads(build(FULL))
    document["later"] = document["crawl"]["later"] = 1
    assert parse(orjson.dumps(document)) == FULL


def test_a_snapshot_that_replaces_others_says_which() -> None:
    earlier = (Previous("20261121T020001Z", "1" * 64), Previous("20261121T020000Z", "2" * 64))
    facts = ErasedFacts("20261121T020002Z", SHA, SHA, 3, "asked for", STARTED, earlier)
    manifest = replace(FULL, erased=facts)
    assert parse(build(manifest)) == manifest
    assert [facts.replaced(f"20261121T02000{n}Z", sha) for n, sha in ((2, SHA), (1, "1" * 64), (0, "1" * 64))] == [
        True, True, False,
    ]  # fmt: skip
    document = orjson.loads(build(manifest))
    del document["erased"]["earlier"]
    assert parse(orjson.dumps(document)) == replace(manifest, erased=replace(facts, earlier=()))
    document["erased"]["root"] = None
    assert parse(orjson.dumps(document)) == replace(manifest, erased=replace(facts, earlier=(), root=None))


def test_two_checks_of_one_name_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="same name"):
        build(replace(FULL, checks=FULL.checks * 2))


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"NaN"])
def test_what_is_not_json_is_named_so(data: bytes) -> None:
    with pytest.raises(SnapshotMismatch) as caught:
        parse(data)
    assert caught.value.message == "the manifest is not JSON"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ((), [], "the document is not an object"),
        (("version",), 2, "version 2 is not known to this version of syncer"),
        (("version",), True, "version is not a whole number from 0"),
        (("users",), -1, "users is not a whole number from 0"),
        (("users",), "2", "users is not a whole number"),
        (("users",), ..., "users is missing"),
        (("verdict",), "good", "verdict is not one of complete, incomplete"),
        (("started_at",), None, "started_at is not a string"),
        (("formats",), ["csv"], "formats is not one of parquet, ndjson"),
        (("formats",), [1], "formats is not a list of strings"),
        (("formats",), "parquet", "formats is not a list"),
        (("files",), {}, "files is not a list"),
        (("files", 0), 5, "files[0] is not an object"),
        (("files", 1, "sha256"), "0", "files[1].sha256 is not a sha256 in hex"),
        (("files", 0, "path"), "../x", "files[0].path is not a path below the destination"),
        (("files", 0, "path"), "/x", "files[0].path is not a path below the destination"),
        (("files", 0, "path"), "a\nb", "files[0].path is not a path below the destination"),
        (("files", 0, "min_id"), 5, "files[0].min_id is not a string"),
        (("crawl", "order"), "up", "crawl.order is not one of ascending, descending, mixed, unknown"),
        (("crawl", "resumed"), 0, "crawl.resumed is not true or false"),
        (("checks", "chain"), True, "checks.chain is not an object"),
        (("previous",), [], "previous is not an object"),
        (("rejects", "bytes"), None, "rejects.bytes is not a whole number"),
        (("tool", "name"), ..., "tool.name is missing"),
        (("tree", "root"), "x", "tree.root is not a sha256 in hex"),
        (("signed_by",), 5, "signed_by is not a string"),
        (("snapshot_id",), "../../x", "snapshot_id is not the id of a snapshot"),
        (("snapshot_id",), "99991231T235959Z", "snapshot_id is not the id of a snapshot"),
        (("previous", "snapshot_id"), "20261131T000000Z", "previous.snapshot_id is not the id of a snapshot"),
        (("started_at",), "yesterday", "started_at is not a time with its zone"),
        (("started_at",), "2026-11-23T02:00:00", "started_at is not a time with its zone"),
        (("finished_at",), "9999-12-31T23:59:59-23:59", "finished_at is not a time with its zone"),
    ],
)
def test_the_key_that_is_wrong_is_named(path: tuple[Any, ...], value: Any, message: str) -> None:
    with pytest.raises(SnapshotMismatch) as caught:
        parse(orjson.dumps(_changed(orjson.loads(build(FULL)), path, value)))
    assert caught.value.message == f"the manifest is wrong: {message}"


def _changed(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    at = document
    for key in path[:-1]:
        at = at[key]
    if value is ...:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return document
