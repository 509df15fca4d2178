"""The run of one account: plan, crawl, prove, publish. Knows nothing of HTTP and nothing of what is inside a file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sized
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from syncer.crawl.crawler import Crawler, ListUnstable, Ports, WalkLost, first_error
from syncer.crawl.plan import Plan, plan_sequential, plan_stretches
from syncer.crawl.recorder import Recorder, RunBlocking
from syncer.crawl.spool import PageRepeated, RunFacts, Spool, rejects_lines
from syncer.crawl.walk import Walk
from syncer.errors import CoverageNotProven, GuardTripped, StorageFailed, SyncerError
from syncer.guards import Before, Contract, Limits, Now, find_tripped
from syncer.lock import hold_lock
from syncer.model import Check, Counters, FetchUser, ListPage
from syncer.probing import LOCAL_CLOCK_ERROR_SECONDS, Probe
from syncer.proving import Proven, StagingTask, stage_and_prove
from syncer.reconcile import confirm_missing
from syncer.snapshot.catalog import Published, load_latest, load_snapshot
from syncer.snapshot.columns import make_encoder, pack, unknown_fields
from syncer.snapshot.erased_pages import usable_entries
from syncer.snapshot.fetched import FetchedUser
from syncer.snapshot.gone import Gone
from syncer.snapshot.layout import Compression, Format, manifest_path
from syncer.snapshot.manifest import CrawlFacts, FileFacts, Manifest, Previous, ReconciliationFacts, Tool
from syncer.snapshot.pages import read_page_index
from syncer.snapshot.part_formats import ParquetProfile
from syncer.snapshot.publish import Signer, Step, expect_newest, publication
from syncer.snapshot.sinks import SinkOptions
from syncer.snapshot.staging import Staging, reserve_snapshot_id
from syncer.snapshot.store import Store
from syncer.state import AccountState
from syncer.version import VERSION

RESTARTS_MAX = 2
"""New walks from the start within one run: a list that defeats two of them defeats the third."""


_REFUSED_BY_GUARD, _REFUSED = 1, 2


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
class _Run:
    request: ExportRequest
    ports: ExportPorts
    spool: Spool
    facts: RunFacts
    previous: Published | None
    resumed: bool
    started: float
    """Loop time."""
    notes: list[str] = field(default_factory=list)
    entries_refused: int = 0
    fields_seen: set[str] = field(default_factory=set)
    added: tuple[FetchedUser, ...] = ()
    reconciliation: ReconciliationFacts | None = None


async def export_account(request: ExportRequest, ports: ExportPorts) -> ExportResult:
    """Crawl one account and publish its snapshot. Raises SyncerError; what was fetched stays in the spool for the next
    run."""
    with hold_lock(request.state.lock, request.account_sid, ports.now()):
        spool = Spool(request.state.spool, pack)
        try:
            run = _open_run(request, ports, spool)
            return await _finish(run)
        finally:
            spool.close()


async def _finish(run: _Run) -> ExportResult:
    """A faster run to the same destination tidies up what is staged there: that is told from a disk that fails."""
    try:
        return await _finish_alone(run)
    except StorageFailed:
        with suppress(StorageFailed):
            expect_newest(run.ports.store, run.request.account_sid, _previous_id(run.previous))
        raise


def _previous_id(previous: Published | None) -> str:
    return previous.manifest.snapshot_id if previous else ""


async def _finish_alone(run: _Run) -> ExportResult:
    """A run whose data was refused is not resumed: what it holds would only be refused again."""
    try:
        proven = await _reconcile(run, await _crawl_until_proven(run))
        _check_guards(run, proven)
        _note_changes(run, proven)
    except GuardTripped:
        run.spool.set_numbers(refused=_REFUSED_BY_GUARD)
        raise
    except CoverageNotProven:
        run.spool.set_numbers(refused=_REFUSED)
        raise
    return await _publish(run, proven)


async def _crawl_until_proven(run: _Run) -> Proven:
    """Crawl, and crawl again what turned out not to be trustworthy, a bounded number of times."""
    while True:
        try:
            await _crawl(run)
            return await _prove(run)
        except ListUnstable as error:
            _walk_alone(run, error)
        except WalkLost as error:
            _restart(run, error.message, error)
        except PageRepeated as error:
            if not run.spool.mark_rewalked(error.stretch):
                raise
            run.notes.append(f"{error.message}: that stretch was walked again")


async def _crawl(run: _Run) -> None:
    request, ports = run.request, run.ports
    recorder = Recorder(run.spool, ports.run_blocking, ports.counters)
    crawler = Crawler(
        Walk(run.spool.stretches()),
        Ports(
            ports.list_page, make_encoder(with_lines=run.facts.with_lines, seen=run.fields_seen), recorder, run.spool
        ),
        ports.counters,
        walkers=request.walkers,
        page_size=request.page_size,
        asked=run.spool.last_asked(),
    )
    try:
        await crawler.run()
    finally:
        run.entries_refused += crawler.entries_refused
    if crawler.entries_refused:
        run.notes.append(_refused_words(crawler.entries_refused, run.spool.last_pages()))


def _refused_words(entries: int, last_pages: Sized) -> str:
    """For the summary; ``last_pages`` has one item for each stretch that was walked."""
    effect = "one walker walked the whole list" if len(last_pages) < 2 else "fewer stretches were walked at once"
    return f"the API refused {entries} {'entry' if entries == 1 else 'entries'} of the last snapshot, so {effect}"


async def _prove(run: _Run) -> Proven:
    """The pages must form a chain, and no user may stand where it cannot."""
    run.ports.counters.phase = "writing"
    found: list[Proven] = []
    await run.ports.run_blocking(lambda: found.append(stage_and_prove(run.spool, _staging_task(run))))
    return await _look_back(run, found[0])


async def _look_back(run: _Run, proven: Proven) -> Proven:
    """Ask some pages again, if there is any sign that the list is alive: in a still one nothing slides under a walk."""
    request, ports = run.request, run.ports
    started_at = datetime.fromisoformat(run.facts.started_at).timestamp()
    is_current = proven.merged.newest_at >= started_at - LOCAL_CLOCK_ERROR_SECONDS
    has_lost = proven.gone is not None and bool(proven.gone.vanished or proven.gone.purged)
    if not (is_current or has_lost or run.spool.number("restarts") or request.state.unstable_reason(ports.now())):
        return replace(proven, places="no sign of a change for a day, so no page was asked again")
    probe = Probe(run.spool, with_lines=run.facts.with_lines)
    await ports.run_blocking(probe.choose)
    try:
        await probe.ask(ports.list_page, make_encoder(with_lines=run.facts.with_lines), request.walkers)
    except BaseExceptionGroup as group:
        raise first_error(group) from None
    words: list[str] = []
    run_seconds = _run_seconds(run)
    await ports.run_blocking(lambda: words.append(probe.judge(run_seconds, started_at, believe_ages=is_current)))
    return replace(proven, places=words[0])


def _run_seconds(run: _Run) -> float:
    """How long ago the run's first request was, at most: over a resume only the wall clock knows, set as it may be."""
    in_this_process = asyncio.get_running_loop().time() - run.started
    if not run.resumed:
        return in_this_process
    by_wall = (run.ports.now() - datetime.fromisoformat(run.facts.started_at)).total_seconds()
    return max(by_wall + 2 * LOCAL_CLOCK_ERROR_SECONDS, in_this_process)


def _walk_alone(run: _Run, error: ListUnstable) -> None:
    run.request.state.remember_unstable(error.message, run.ports.now())
    if len(run.spool.stretches()) < 2:
        raise error
    _restart(run, error.message, error)


def _restart(run: _Run, reason: str, error: CoverageNotProven) -> None:
    if run.spool.number("restarts") >= RESTARTS_MAX:
        raise error
    run.facts = replace(run.facts, plan_reason=reason)
    run.spool.restart(run.facts, plan_sequential(reason))
    run.notes.append(f"walked again from the start by one walker: {reason}")


def _staging_task(run: _Run) -> StagingTask:
    request = run.request
    return StagingTask(
        Staging(run.ports.store, request.account_sid, run.facts.snapshot_id),
        request.formats,
        SinkOptions(parquet_profile=request.parquet_profile, ndjson_compression=request.ndjson_compression),
        run.facts.with_lines,
        request.state.folder,
        run.ports.stoppable,
        previous=run.previous.manifest if run.previous else None,
        with_changes=request.with_changes,
        gone_ids_max=request.confirm_vanished or 0,
        fields=None if run.resumed else unknown_fields(run.fields_seen),
        added=run.added,
    )


def _note_changes(run: _Run, proven: Proven) -> None:
    if proven.changes is not None:
        counted = [f"{count} {word}" for word, count in proven.changes.counts.items() if count and word != "unchanged"]
        run.notes.append(f"changes since {proven.changes.previous}: {', '.join(counted) or 'none'}")


async def _reconcile(run: _Run, proven: Proven) -> Proven:
    """Ask for the users that are missing; those that exist are added, and all is written and proven again."""
    request, gone, fetch_user = run.request, proven.gone, run.ports.fetch_user
    if request.confirm_vanished is None or fetch_user is None or gone is None:
        return proven
    if gone.unreadable or not 0 < gone.vanished <= request.confirm_vanished:
        if why := gone.unreadable or (f"{gone.vanished} are missing" if gone.vanished else ""):
            run.notes.append(f"missing users were not confirmed one by one: {why}")
        return proven
    run.ports.counters.phase = "confirming"
    absent, found = await confirm_missing(
        gone.ids, fetch_user, workers=request.walkers, with_lines=run.facts.with_lines
    )
    run.reconciliation = ReconciliationFacts(gone.vanished, absent, tuple(user.id for user in found))
    run.added = found
    if not found:
        return proven
    deleted = sum(user.is_deleted for user in found)
    run.notes.append(
        f"the list left out {len(found)} users that exist ({deleted} of them deleted); they were fetched one by one"
        " and added"
    )
    return await _stage_again(run, proven)


async def _stage_again(run: _Run, proven: Proven) -> Proven:
    """With the added users; what a look back at some pages showed still holds."""
    run.ports.counters.phase = "writing"
    staged: list[Proven] = []
    await run.ports.run_blocking(lambda: staged.append(stage_and_prove(run.spool, _staging_task(run))))
    return replace(staged[0], places=proven.places)


def _check_guards(run: _Run, proven: Proven) -> None:
    """Figures beyond their limits are not published."""
    request, gone = run.request, proven.gone or Gone()
    is_known = proven.gone is not None and not gone.unreadable
    now = Now(
        users=proven.merged.users,
        rejects=proven.rejects.count,
        fields=proven.fields,
        vanished=gone.vanished if is_known else None,
        purged=gone.purged,
        confirmed=run.reconciliation.gone if run.reconciliation else 0,
    )
    last = run.previous.manifest if run.previous else None
    before = Before(last.users, last.deleted_users, last.fields) if last else None
    limits = Limits(
        max_vanished_share=request.max_vanished_share,
        max_rejects=request.max_rejects,
        contract=request.contract,
        allow_shrink=request.allow_shrink,
        allow_drift=request.allow_drift,
        confirm_max=request.confirm_vanished,
    )
    if (tripped := find_tripped(now, before, limits)) is None:
        return
    kept = ""
    if tripped.name == "rejects":
        path = request.state.write_rejects(run.facts.snapshot_id, rejects_lines(run.spool.rejects()))
        kept = f"they are kept whole in {path}; "
    raise GuardTripped(tripped.sentence, hint=f"{kept}nothing was published; {tripped.accepted_by}")


async def _publish(run: _Run, proven: Proven) -> ExportResult:
    run.ports.counters.phase = "publishing"
    manifest = _manifest(run, proven)

    def work() -> None:
        for step in run.ports.stoppable(_publication(run, manifest)):
            step.run()

    await run.ports.run_blocking(work)
    run.spool.remove()
    run.ports.counters.phase = "done"
    return _result(run, manifest)


def _publication(run: _Run, manifest: Manifest) -> list[Step]:
    return publication(run.ports.store, manifest, run.ports.signer, after_previous=True)


def _manifest(run: _Run, proven: Proven) -> Manifest:
    request, counters, previous = run.request, run.ports.counters, run.previous
    stretches = run.spool.stretches()
    return Manifest(
        snapshot_id=run.facts.snapshot_id,
        account_sid=request.account_sid,
        started_at=run.facts.started_at,
        finished_at=_finished_at(run),
        users=proven.merged.users,
        deleted_users=proven.merged.deleted_users,
        files=proven.files,
        page_index=proven.page_index,
        rejects=proven.rejects,
        crawl=CrawlFacts(
            pages=proven.coverage.pages,
            requests=counters.requests,
            retries=counters.retries,
            throttled=counters.throttled,
            walkers=request.walkers if len(stretches) > 1 else 1,
            entries_used=sum(s.sequence > 0 for s in stretches[1:]),
            entries_refused=run.entries_refused,
            overlap_users=proven.repeats.overlap_users,
            order=proven.order,
            resumed=run.resumed,
            moved_users=proven.repeats.moved_users,
        ),
        checks=proven.checks(),
        previous=Previous(previous.manifest.snapshot_id, previous.sha256) if previous else None,
        tool=Tool("syncer", VERSION),
        formats=request.formats,
        parquet_profile=request.parquet_profile,
        ndjson_compression=request.ndjson_compression,
        changes=proven.changes,
        reconciliation=run.reconciliation,
        fields=proven.fields,
        tree=proven.tree,
        signed_by=run.ports.signer.fingerprint if run.ports.signer else None,
    )


def _finished_at(run: _Run) -> str:
    """The wall clock may have been set back while the run lasted; nothing ends before it begins."""
    return max(run.ports.now(), datetime.fromisoformat(run.facts.started_at)).isoformat(timespec="seconds")


def _result(run: _Run, manifest: Manifest) -> ExportResult:
    return ExportResult(
        account_sid=manifest.account_sid,
        snapshot_id=manifest.snapshot_id,
        verdict=manifest.verdict,
        users=manifest.users,
        deleted_users=manifest.deleted_users,
        pages=manifest.crawl.pages,
        requests=manifest.crawl.requests,
        retries=manifest.crawl.retries,
        throttled=manifest.crawl.throttled,
        seconds=round(asyncio.get_running_loop().time() - run.started, 3),
        manifest=manifest_path(manifest.account_sid, manifest.snapshot_id),
        destination=run.request.destination,
        files=manifest.files,
        checks=manifest.checks,
        notes=tuple(run.notes),
        resumed=run.resumed,
        previous_users=run.previous.manifest.users if run.previous else None,
    )


def _open_run(request: ExportRequest, ports: ExportPorts, spool: Spool) -> _Run:
    """Go on with what the spool holds, or begin anew and say why."""
    notes: list[str] = []
    _finish_published(ports.store, spool)
    previous = load_latest(ports.store, request.account_sid)
    facts = spool.facts()
    reason = "" if facts is None else _why_not_resume(request, ports, facts, spool.number("refused"))
    if facts and not reason and previous and previous.manifest.snapshot_id > facts.snapshot_id:
        reason = f"another run has published the snapshot {previous.manifest.snapshot_id} since"
    if facts is None or reason:
        if reason:
            notes.append(f"an unfinished run was dropped: {reason}")
        facts = _begin(request, ports, spool, previous)
        resumed = False
    else:
        resumed = spool.count_pages() > 0
    _fill_counters(ports.counters, spool, previous)
    if facts.plan_reason:
        notes.append(f"walked by one walker: {facts.plan_reason}")
    if request.with_changes and previous is None:
        notes.append("no changes were written: there is no previous snapshot to compare with")
    return _Run(request, ports, spool, facts, previous, resumed, asyncio.get_running_loop().time(), notes)


def _finish_published(store: Store, spool: Spool) -> None:
    """A run that was killed after its commit is finished: only its pointer and its leftovers are seen to."""
    facts = spool.facts()
    if facts is None or not store.exists(manifest_path(facts.account_sid, facts.snapshot_id)):
        return
    for step in publication(store, load_snapshot(store, facts.account_sid, facts.snapshot_id).manifest):
        step.run()
    spool.clear()


def _why_not_resume(request: ExportRequest, ports: ExportPorts, facts: RunFacts, refused: int) -> str:
    age = ports.now() - datetime.fromisoformat(facts.started_at)
    if request.fresh:
        return "--fresh was given"
    if refused and not (refused == _REFUSED_BY_GUARD and request.accepts_more):
        return "its data was refused"
    if facts.account_sid != request.account_sid or facts.base_url != request.base_url:
        return "it was of another account or another base URL"
    if request.with_lines and not facts.with_lines:
        return "it did not keep what NDJSON needs"
    if age > request.resume_max_age:
        return f"it began {_words(age)} ago, and the limit is {_words(request.resume_max_age)}"
    return ""


def _words(span: timedelta) -> str:
    return str(timedelta(seconds=int(span.total_seconds())))


def _begin(request: ExportRequest, ports: ExportPorts, spool: Spool, previous: Published | None) -> RunFacts:
    started_at = ports.now()
    plan = _plan(request, ports, previous)
    facts = RunFacts(
        account_sid=request.account_sid,
        snapshot_id=reserve_snapshot_id(
            ports.store, request.account_sid, started_at, after=previous.manifest.snapshot_id if previous else None
        ),
        started_at=started_at.isoformat(timespec="seconds"),
        base_url=request.base_url,
        with_lines=request.with_lines,
        plan_reason=plan.reason,
    )
    spool.begin(facts, plan)
    return facts


def _plan(request: ExportRequest, ports: ExportPorts, previous: Published | None) -> Plan:
    if request.sequential:
        return plan_sequential("--sequential was given")
    if previous is None:
        return plan_sequential("this is the first snapshot; the next run starts at many places of the list at once")
    if reason := request.state.unstable_reason(ports.now()):
        return plan_sequential(f"an earlier run found that {reason}")
    try:
        return plan_stretches(
            usable_entries(read_page_index(ports.store, previous.manifest.page_index.path)),
            pages_total=previous.manifest.page_index.rows,
            walkers=request.walkers,
            page_size=request.page_size,
        )
    except SyncerError as error:  # entries are worth speed only: a damaged index must not stop tonight's export
        return plan_sequential(f"the last page index cannot be read ({error.message})")


def _fill_counters(counters: Counters, spool: Spool, previous: Published | None) -> None:
    counters.pages = spool.count_pages()
    counters.users, counters.rejects = spool.count_users()
    counters.requests = spool.number("requests")
    counters.retries = spool.number("retries")
    counters.throttled = spool.number("throttled")
    counters.users_expected = previous.manifest.users if previous else None
    counters.phase = "crawling"
