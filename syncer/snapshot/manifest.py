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
    version: int = VERSION


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
            "crawl": asdict(manifest.crawl),
            "checks": checks,
            "previous": asdict(manifest.previous) if manifest.previous else None,
            "parquet_profile": manifest.parquet_profile,
            "ndjson_compression": manifest.ndjson_compression,
            "tool": asdict(manifest.tool),
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
