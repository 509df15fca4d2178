"""One account's export: what it is to do, what it needs of the world, how it stands, and what came of it.

Values only: what is done with them is in ``opening``, ``judging``, ``publishing`` and ``export``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from syncer.crawl.recorder import in_line
from syncer.crawl.spool import RunFacts, Spool
from syncer.guards import Contract
from syncer.model import Check, Counters, FetchUser, ListPage, RunBlocking
from syncer.snapshot.catalog import Published
from syncer.snapshot.erased_ids import IsErased
from syncer.snapshot.fetched import FetchedUser
from syncer.snapshot.layout import Compression, Format
from syncer.snapshot.manifest import FileFacts, ReconciliationFacts
from syncer.snapshot.part_formats import ParquetProfile
from syncer.snapshot.publish import Signer
from syncer.snapshot.store import Store
from syncer.state import AccountState

REFUSED_BY_GUARD, REFUSED = 1, 2
"""What the spool says of a run whose data was refused."""


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What one account's export is to do."""

    account_sid: str
    base_url: str
    destination: str
    state: AccountState
    formats: tuple[Format, ...]
    page_size: int
    walkers: int
    sequential: bool = False
    fresh: bool = False
    allow_shrink: bool = False
    max_vanished_share: float = 0.2
    max_rejects: int = 0
    resume_max_age: timedelta = timedelta(days=1)
    parquet_profile: ParquetProfile = "plain"
    ndjson_compression: Compression = "zstd"
    with_changes: bool = False
    """Whether the changes since the previous snapshot are written too."""
    confirm_vanished: int | None = None
    """How many missing users may be fetched one by one; None: none is."""
    contract: Contract = "evolve"
    allow_drift: bool = False

    @property
    def accepts_more(self) -> bool:
        """Whether what a guard refused before may pass now."""
        return self.allow_shrink or self.allow_drift or self.confirm_vanished is not None

    @property
    def with_lines(self) -> bool:
        """Whether the users' own JSON is needed."""
        return "ndjson" in self.formats


@dataclass(frozen=True, slots=True)
class ExportPorts:
    """What an export needs of the world."""

    list_page: ListPage
    store: Store
    counters: Counters
    now: Callable[[], datetime]
    """The wall clock, UTC; only names and dates depend on it."""
    run_blocking: RunBlocking
    stoppable: Callable[[Iterable[Any]], Iterable[Any]] = iter
    """Passes items on until the run is cancelled: for long pieces of blocking work."""
    signer: Signer | None = None
    """Signs the manifest; None: it is not signed."""
    fetch_user: FetchUser | None = None
    """Needed where missing users are to be confirmed."""
    append: RunBlocking = in_line
    """Runs the commit of one page to the spool."""
    read_erased: Callable[[], IsErased | None] = lambda: None
    """Reads the account's erasure ledger; None when nobody ever was erased. Called while the account is locked."""


@dataclass(frozen=True, slots=True)
class ExportResult:
    """A published snapshot, and how it came about."""

    account_sid: str
    snapshot_id: str
    verdict: str
    users: int
    deleted_users: int
    pages: int
    requests: int
    retries: int
    throttled: int
    seconds: float
    manifest: str
    """Path relative to the destination."""
    destination: str
    files: tuple[FileFacts, ...]
    checks: tuple[Check, ...]
    notes: tuple[str, ...]
    resumed: bool
    previous_users: int | None


@dataclass(slots=True)
class Run:
    request: ExportRequest
    ports: ExportPorts
    spool: Spool
    facts: RunFacts
    previous: Published | None
    resumed: bool
    started: float
    """Loop time."""
    page_size: int
    """To ask for: what was configured, or what the service serves of it."""
    notes: list[str] = field(default_factory=list)
    entries_refused: int = 0
    size_to_remember: int = 0
    """The page size that was served where larger ones were asked for in vain; 0: no such thing is known."""
    fields_seen: set[str] = field(default_factory=set)
    added: tuple[FetchedUser, ...] = ()
    reconciliation: ReconciliationFacts | None = None
