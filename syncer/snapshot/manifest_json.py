"""The file ``manifest.json``: a manifest's values to JSON and back, strictly. Pure.

What is read may have been written by anybody: each key has the right type, or the error names it.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import orjson

from syncer.errors import SnapshotMismatch
from syncer.model import Check
from syncer.snapshot.layout import FORMATS, is_snapshot_id
from syncer.snapshot.manifest import (
    VERSION,
    ChangesFacts,
    CrawlFacts,
    ErasedFacts,
    FileFacts,
    Manifest,
    PageIndexFacts,
    Previous,
    ReconciliationFacts,
    RejectsFacts,
    Tool,
    TreeFacts,
)
from syncer.snapshot.shape import Shape, ShapeFault

_ORDERS = ("ascending", "descending", "mixed", "unknown")


def build(manifest: Manifest) -> bytes:
    """The file's content: the same manifest gives the same bytes."""
    checks = {check.name: {"ok": check.ok, "detail": check.detail} for check in manifest.checks}
    if len(checks) != len(manifest.checks):
        raise ValueError("two checks have the same name")
    return dump_json(
        {
            "version": manifest.version,
            "snapshot_id": manifest.snapshot_id,
            "account_sid": manifest.account_sid,
            "verdict": manifest.verdict,
            "started_at": manifest.started_at,
            "finished_at": manifest.finished_at,
            "users": manifest.users,
            "deleted_users": manifest.deleted_users,
            "formats": list(manifest.formats),
            "files": [asdict(facts) for facts in manifest.files],
            "page_index": asdict(manifest.page_index),
            "rejects": asdict(manifest.rejects),
            "tree": asdict(manifest.tree) if manifest.tree else None,
            "changes": asdict(manifest.changes) if manifest.changes else None,
            "reconciliation": asdict(manifest.reconciliation) if manifest.reconciliation else None,
            "fields": manifest.fields,
            **({"erased": asdict(manifest.erased)} if manifest.erased else {}),
            "crawl": asdict(manifest.crawl),
            "checks": checks,
            "previous": asdict(manifest.previous) if manifest.previous else None,
            "parquet_profile": manifest.parquet_profile,
            "ndjson_compression": manifest.ndjson_compression,
            "tool": asdict(manifest.tool),
            "signed_by": manifest.signed_by,
        }
    )


def dump_json(value: object) -> bytes:
    """JSON for people and machines: indented, with a line end."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def parse(data: bytes) -> Manifest:
    """Read a manifest. Raises SnapshotMismatch that names the key that is wrong; unknown keys are let be."""
    try:
        return _manifest(Shape(orjson.loads(data), ""))
    except orjson.JSONDecodeError:
        raise SnapshotMismatch("the manifest is not JSON") from None
    except ShapeFault as fault:
        raise SnapshotMismatch(f"the manifest is wrong: {fault}") from None


def _manifest(top: Shape) -> Manifest:
    if (version := top.integer("version")) != VERSION:
        raise ShapeFault(f"version {version} is not known to this version of syncer")
    formats = tuple(top.choice_of(text, FORMATS, "formats") for text in top.texts("formats"))
    return Manifest(
        version=version,
        snapshot_id=_id(top),
        account_sid=top.text("account_sid"),
        verdict=top.choice("verdict", ("complete", "incomplete")),
        started_at=top.time("started_at"),
        finished_at=top.time("finished_at"),
        users=top.integer("users"),
        deleted_users=top.integer("deleted_users"),
        formats=formats,
        files=tuple(_file(shape) for shape in top.objects("files")),
        page_index=_page_index(top.object("page_index")),
        rejects=_rejects(top.object("rejects")),
        tree=_tree(top.object("tree")) if top.has("tree") and not top.is_null("tree") else None,
        signed_by=top.optional_text("signed_by") if top.has("signed_by") else None,
        changes=_changes(top.object("changes")) if _is_given(top, "changes") else None,
        reconciliation=_reconciliation(top.object("reconciliation")) if _is_given(top, "reconciliation") else None,
        fields=tuple(top.texts("fields")) if _is_given(top, "fields") else None,
        erased=_erased(top.object("erased")) if _is_given(top, "erased") else None,
        crawl=_crawl(top.object("crawl")),
        checks=tuple(_check(name, shape) for name, shape in top.object("checks").members()),
        previous=_previous(top.object("previous")) if not top.is_null("previous") else None,
        parquet_profile=top.text("parquet_profile"),
        ndjson_compression=top.choice("ndjson_compression", ("zstd", "gzip", "none")),
        tool=Tool(top.object("tool").text("name"), top.object("tool").text("version")),
    )


def _file(shape: Shape) -> FileFacts:
    return FileFacts(
        path=shape.path("path"),
        format=shape.choice("format", FORMATS),
        rows=shape.integer("rows"),
        bytes=shape.integer("bytes"),
        sha256=shape.sha256("sha256"),
        min_id=shape.optional_text("min_id"),
        max_id=shape.optional_text("max_id"),
    )


def _page_index(shape: Shape) -> PageIndexFacts:
    return PageIndexFacts(shape.path("path"), shape.integer("rows"), shape.integer("bytes"), shape.sha256("sha256"))


def _tree(shape: Shape) -> TreeFacts:
    return TreeFacts(
        algorithm=shape.text("algorithm"),
        leaf_rows=shape.integer("leaf_rows"),
        leaves=shape.integer("leaves"),
        root=shape.sha256("root"),
        path=shape.path("path"),
        bytes=shape.integer("bytes"),
        sha256=shape.sha256("sha256"),
    )


def _is_given(shape: Shape, key: str) -> bool:
    """Whether a key that came later than the first version is there, and not null."""
    return shape.has(key) and not shape.is_null(key)


def _changes(shape: Shape) -> ChangesFacts:
    counts = shape.object("counts")
    return ChangesFacts(
        previous=_id(shape, "previous"),
        files=tuple(_file(file) for file in shape.objects("files")),
        counts={name: counts.integer(name) for name in counts.names()},
    )


def _reconciliation(shape: Shape) -> ReconciliationFacts:
    return ReconciliationFacts(shape.integer("missing"), shape.integer("gone"), tuple(shape.texts("added")))


def _erased(shape: Shape) -> ErasedFacts:
    return ErasedFacts(
        snapshot_id=_id(shape),
        sha256=shape.sha256("sha256"),
        root=None if shape.is_null("root") else shape.sha256("root"),
        users=shape.integer("users"),
        reason=shape.text("reason"),
        erased_at=shape.time("erased_at"),
        earlier=tuple(map(_previous, shape.objects("earlier"))) if shape.has("earlier") else (),
    )


def _rejects(shape: Shape) -> RejectsFacts:
    count = shape.integer("count")
    if shape.is_null("path"):
        return RejectsFacts(count)
    return RejectsFacts(count, shape.path("path"), shape.integer("bytes"), shape.sha256("sha256"))


def _crawl(shape: Shape) -> CrawlFacts:
    counts = {name: shape.integer(name) for name in _CRAWL_COUNTS}
    order: Any = shape.choice("order", _ORDERS)
    return CrawlFacts(**counts, order=order, resumed=shape.truth("resumed"))


_CRAWL_COUNTS = (
    *("pages", "requests", "retries", "throttled", "walkers"),
    *("entries_used", "entries_refused", "overlap_users", "moved_users"),
)


def _check(name: str, shape: Shape) -> Check:
    return Check(name, shape.truth("ok"), shape.text("detail"))


def _previous(shape: Shape) -> Previous:
    return Previous(_id(shape), shape.sha256("sha256"))


def _id(shape: Shape, key: str = "snapshot_id") -> str:
    """It becomes part of paths."""
    if not is_snapshot_id(text := shape.text(key)):
        raise ShapeFault(f"{shape.name_of(key)} is not the id of a snapshot")
    return text
