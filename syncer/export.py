"""The run of one account: plan, crawl, prove, publish. Knows nothing of HTTP and nothing of what is inside a file."""

from __future__ import annotations

from collections.abc import Sized
from contextlib import suppress
from dataclasses import replace

from syncer.crawl.crawler import Crawler, ListUnstable
from syncer.crawl.plan import plan_sequential
from syncer.crawl.recorder import Recorder
from syncer.crawl.recovery import Ports, WalkLost
from syncer.crawl.spool import PageRepeated, Spool
from syncer.crawl.walk import Walk
from syncer.errors import CoverageNotProven, GuardTripped, StorageFailed
from syncer.judging import StrangersMet, check_guards, note_changes, note_erased, prove_run, reconcile
from syncer.lock import hold_lock
from syncer.opening import open_run
from syncer.proving import Proven
from syncer.publishing import publish_run
from syncer.run import REFUSED, REFUSED_BY_GUARD, ExportPorts, ExportRequest, ExportResult, Run
from syncer.snapshot.catalog import Published
from syncer.snapshot.columns import make_encoder
from syncer.snapshot.payload import pack
from syncer.snapshot.publish import expect_newest


async def export_account(request: ExportRequest, ports: ExportPorts) -> ExportResult:
    """Crawl one account and publish its snapshot. Raises SyncerError; what was fetched stays in the spool for the next
    run."""
    with hold_lock(request.state.lock, request.account_sid, ports.now()):
        spool = Spool(request.state.spool, pack)
        try:
            run = open_run(request, ports, spool)
            return await _finish(run)
        finally:
            spool.close()


async def _finish(run: Run) -> ExportResult:
    """A faster run to the same destination tidies up what is staged there: that is told from a disk that fails."""
    try:
        return await _finish_alone(run)
    except StorageFailed:
        with suppress(StorageFailed):
            expect_newest(run.ports.store, run.request.account_sid, _previous_id(run.previous))
        raise


def _previous_id(previous: Published | None) -> str:
    return previous.manifest.snapshot_id if previous else ""


async def _finish_alone(run: Run) -> ExportResult:
    """A run whose data was refused is not resumed: what it holds would only be refused again."""
    try:
        proven = await reconcile(run, await _crawl_until_proven(run))
        check_guards(run, proven)
        note_changes(run, proven)
        note_erased(run, proven)
    except GuardTripped:
        run.spool.set_numbers(refused=REFUSED_BY_GUARD)
        raise
    except CoverageNotProven:
        run.spool.set_numbers(refused=REFUSED)
        raise
    largest = run.spool.largest_page_size()
    result = await publish_run(run, proven)
    if 0 < largest <= run.size_to_remember:
        request = run.request
        with suppress(StorageFailed):  # it is worth speed only, and the snapshot is published
            request.state.remember_page_size(request.base_url, request.page_size, largest, run.ports.now())
    return result


async def _crawl_until_proven(run: Run) -> Proven:
    """Crawl, and crawl again what turned out not to be trustworthy, a bounded number of times."""
    while True:
        try:
            await _crawl(run)
            return await prove_run(run)
        except ListUnstable as error:
            _walk_alone(run, error)
        except (StrangersMet, WalkLost) as error:
            _restart(run, error.message, error)
        except PageRepeated as error:
            if not run.spool.mark_rewalked(error.stretch):
                raise
            run.notes.append(f"{error.message}: that stretch was walked again")


async def _crawl(run: Run) -> None:
    request, ports = run.request, run.ports
    ports.counters.phase = "crawling"
    recorder = Recorder(run.spool, ports.run_blocking, ports.counters, append=ports.append)
    crawler = Crawler(
        Walk(run.spool.stretches()),
        Ports(
            ports.list_page, make_encoder(with_lines=run.facts.with_lines, seen=run.fields_seen), recorder, run.spool
        ),
        ports.counters,
        walkers=request.walkers,
        page_size=run.page_size,
        asked=run.spool.last_asked(),
    )
    try:
        await crawler.run()
    finally:
        run.entries_refused += crawler.entries_refused
        run.size_to_remember = crawler.size_to_remember
    if crawler.entries_refused:
        run.notes.append(_refused_words(crawler.entries_refused, run.spool.last_pages()))


def _refused_words(entries: int, last_pages: Sized) -> str:
    """For the summary; ``last_pages`` has one item for each stretch that was walked."""
    effect = "one walker walked the whole list" if len(last_pages) < 2 else "fewer stretches were walked at once"
    return f"the API refused {entries} {'entry' if entries == 1 else 'entries'} of the last snapshot, so {effect}"


def _walk_alone(run: Run, error: ListUnstable) -> None:
    run.request.state.remember_unstable(run.request.base_url, error.message, run.ports.now())
    if len(run.spool.stretches()) < 2:
        raise error
    _restart(run, error.message, error)


def _restart(run: Run, reason: str, error: CoverageNotProven) -> None:
    if not run.spool.may_restart:
        raise error
    run.facts = replace(run.facts, plan_reason=reason)
    run.spool.restart(run.facts, plan_sequential(reason))
    run.notes.append(f"walked again from the start by one walker: {reason}")
