"""The manifest: what a snapshot is, and its commit. Values only; ``manifest_json`` writes and reads them.

Keys are fixed by the contract with users; new ones may be added, none is ever given another meaning.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from syncer.model import Check
from syncer.snapshot.layout import Compression, Format

VERSION = 1
ADDED_MAX = 1000
"""Users of a snapshot that stand on no page: beyond it the crawl cannot be called one."""
Order = Literal["ascending", "descending", "mixed", "unknown"]


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
    earlier: tuple[Previous, ...] = ()
    """Those that it had replaced in its turn, the newest first: later manifests may follow any of them."""

    def replaced(self, snapshot_id: str, sha256: str) -> bool:
        """Whether this one stands in the place of that manifest."""
        return Previous(snapshot_id, sha256) in (Previous(self.snapshot_id, self.sha256), *self.earlier)


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
