"""The manifest: what a snapshot is, and its commit. Pure: dataclasses to JSON and back, strictly.

Keys are fixed by the contract with users; new ones may be added, none is ever given another meaning.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import orjson

from syncer.errors import SnapshotMismatch
from syncer.model import Check
from syncer.snapshot.layout import FORMATS, Compression, Format
from syncer.snapshot.shape import Shape, ShapeFault

VERSION = 1
Order = Literal["ascending", "descending", "mixed", "unknown"]
_ORDERS = ("ascending", "descending", "mixed", "unknown")


@dataclass(frozen=True, slots=True)
class FileFacts:
    """One part. ``path`` is relative to the destination, ``sha256`` in hex; ids are None in a part without rows."""

    path: str
    format: Format
    rows: int
    bytes: int
    sha256: str
    min_id: str | None
    max_id: str | None


@dataclass(frozen=True, slots=True)
class PageIndexFacts:
    """The file ``pages.parquet``."""

    path: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class TreeFacts:
    """The hash tree over the rows, and the file ``tree.parquet`` that holds its leaves. ``root`` in hex."""

    algorithm: str
    leaf_rows: int
    leaves: int
    root: str
    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class RejectsFacts:
    """Users that break the contract; no file when there are none."""

    count: int = 0
    path: str | None = None
    bytes: int | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class CrawlFacts:
    """How the run went: run facts live here and nowhere in the data files."""

    pages: int
    requests: int
    retries: int
    throttled: int
    walkers: int
    entries_used: int
    entries_refused: int
    overlap_users: int
    order: Order
    resumed: bool
    moved_users: int = 0
    """Users met twice with different rows away from any border; the newest row is kept."""


@dataclass(frozen=True, slots=True)
class Previous:
    """The snapshot before: a chain over the manifests' own hashes."""

    snapshot_id: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Tool:
    """What made the snapshot."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class ChangesFacts:
    """The partition of changes since the previous snapshot."""

    previous: str
    """The id of the snapshot it was compared with."""
    files: tuple[FileFacts, ...]
    counts: dict[str, int]
    """Users by what became of them; ``unchanged`` ones have no row."""


@dataclass(frozen=True, slots=True)
class ReconciliationFacts:
    """Users of the previous snapshot that the list no longer held, fetched one by one."""

    missing: int
    gone: int
    """Answered by 404."""
    added: tuple[str, ...]
    """Ids of users that exist: the list left them out, and they stand on no page of the page index."""


@dataclass(frozen=True, slots=True)
class ErasedFacts:
    """The snapshot that this one replaces because users were erased from it."""

    snapshot_id: str
    sha256: str
    """Of its manifest."""
    root: str | None
    """Of its hash tree."""
    users: int
    """How many rows went."""
    reason: str
    erased_at: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything a reader or an auditor needs. Times are RFC 3339 in UTC."""

    snapshot_id: str
    account_sid: str
    started_at: str
    finished_at: str
    users: int
    deleted_users: int
    files: tuple[FileFacts, ...]
    page_index: PageIndexFacts
    crawl: CrawlFacts
    checks: tuple[Check, ...]
    previous: Previous | None
    tool: Tool
    rejects: RejectsFacts = field(default_factory=RejectsFacts)
    verdict: Literal["complete", "incomplete"] = "complete"
    formats: tuple[Format, ...] = ("parquet",)
    parquet_profile: str = "plain"
    ndjson_compression: Compression = "zstd"
    tree: TreeFacts | None = None
    """None in manifests older than the tree."""
    signed_by: str | None = None
    """The fingerprint of the key whose signature belongs to this manifest; None when there is to be none."""
    changes: ChangesFacts | None = None
    reconciliation: ReconciliationFacts | None = None
    fields: tuple[str, ...] | None = None
    """Names of the users' fields that the schema does not know, sorted; None in manifests that do not say."""
    erased: ErasedFacts | None = None
    version: int = VERSION

    @property
    def added(self) -> frozenset[str]:
        """Users that were fetched one by one and stand on no page."""
        return frozenset(self.reconciliation.added) if self.reconciliation else frozenset()


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
        snapshot_id=top.text("snapshot_id"),
        account_sid=top.text("account_sid"),
        verdict=top.choice("verdict", ("complete", "incomplete")),
        started_at=top.text("started_at"),
        finished_at=top.text("finished_at"),
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
        previous=shape.text("previous"),
        files=tuple(_file(file) for file in shape.objects("files")),
        counts={name: counts.integer(name) for name in counts.names()},
    )


def _reconciliation(shape: Shape) -> ReconciliationFacts:
    return ReconciliationFacts(shape.integer("missing"), shape.integer("gone"), tuple(shape.texts("added")))


def _erased(shape: Shape) -> ErasedFacts:
    return ErasedFacts(
        snapshot_id=shape.text("snapshot_id"),
        sha256=shape.sha256("sha256"),
        root=shape.optional_text("root"),
        users=shape.integer("users"),
        reason=shape.text("reason"),
        erased_at=shape.text("erased_at"),
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
    return Previous(shape.text("snapshot_id"), shape.sha256("sha256"))
