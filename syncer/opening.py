"""The start of a run: go on with what the spool holds, or plan anew and say why."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from syncer.crawl.plan import Plan, plan_sequential, plan_stretches
from syncer.crawl.spool import RunFacts, Spool
from syncer.crawl.spool_tables import COUNTERS
from syncer.errors import SnapshotMismatch, SyncerError
from syncer.model import Counters
from syncer.run import REFUSED_BY_GUARD, ExportPorts, ExportRequest, Run
from syncer.snapshot.catalog import Published, load_latest, load_snapshot
from syncer.snapshot.erased_pages import usable_entries
from syncer.snapshot.layout import manifest_path
from syncer.snapshot.manifest import Manifest
from syncer.snapshot.pages import count_users_and_borders, read_page_index
from syncer.snapshot.publish import publication
from syncer.snapshot.staging import reserve_snapshot_id
from syncer.snapshot.store import Store
from syncer.state import MEMORY_DAYS


def open_run(request: ExportRequest, ports: ExportPorts, spool: Spool) -> Run:
    """Go on with what the spool holds, or begin anew and say why."""
    notes: list[str] = []
    _finish_published(ports.store, spool)
    previous = _last_snapshot(ports.store, request.account_sid)
    if spool.is_emptied:
        notes.append("an unfinished run was dropped: another version of syncer kept it")
    if spool.lost_pages:
        notes.append(
            f"{spool.lost_pages} pages of the unfinished run did not survive on the disk; they are asked again"
        )
    page_size = request.state.served_page_size(request.base_url, request.page_size, ports.now())
    facts = spool.facts()
    reason = "" if facts is None else _why_not_resume(request, ports, facts, spool.number("refused"))
    if facts and not reason and previous and previous.manifest.snapshot_id > facts.snapshot_id:
        reason = f"another run has published the snapshot {previous.manifest.snapshot_id} since"
    if facts is None or reason:
        if reason and spool.count_pages():
            notes.append(f"an unfinished run was dropped: {reason}")
        facts = _begin(request, ports, spool, previous, page_size)
        resumed = False
    else:
        resumed = spool.count_pages() > 0
    _fill_counters(ports.counters, spool, previous)
    if facts.plan_reason:
        notes.append(f"walked by one walker: {facts.plan_reason}")
    if request.with_changes and previous is None:
        notes.append("no changes were written: there is no previous snapshot to compare with")
    if page_size < request.page_size:
        notes.append(
            f"{page_size} users a page were asked for: a run of the last {MEMORY_DAYS} days asked for more in vain"
        )
    return Run(request, ports, spool, facts, previous, resumed, asyncio.get_running_loop().time(), page_size, notes)


def _last_snapshot(store: Store, account_sid: str) -> Published | None:
    """Guards, entries and the chain rest on it: a run that passed over a damaged one would publish unguarded."""
    try:
        return load_latest(store, account_sid)
    except SnapshotMismatch as mismatch:
        raise SnapshotMismatch(
            f"the last snapshot is damaged, so nothing was asked for: {mismatch.message}",
            hint="restore that file from a copy; without one move its folder away, and the next run follows the"
            " snapshot before it",
        ) from None


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
    if refused and not (refused == REFUSED_BY_GUARD and request.accepts_more):
        return "its data was refused"
    if facts.account_sid != request.account_sid:
        return "it was of another account"
    if facts.base_url != request.base_url:
        return "it was of another base URL"
    if request.with_lines and not facts.with_lines:
        return "it did not keep what NDJSON needs"
    if age > request.resume_max_age:
        return f"it began {_words(age)} ago, and the limit is {_words(request.resume_max_age)}"
    return ""


def _words(span: timedelta) -> str:
    return str(timedelta(seconds=int(span.total_seconds())))


def _begin(
    request: ExportRequest, ports: ExportPorts, spool: Spool, previous: Published | None, page_size: int
) -> RunFacts:
    started_at = ports.now()
    plan = _plan(request, ports, previous, page_size)
    facts = RunFacts(
        account_sid=request.account_sid,
        snapshot_id=reserve_snapshot_id(
            ports.store, request.account_sid, started_at, after=previous.manifest.snapshot_id if previous else None
        ),
        started_at=started_at.isoformat(timespec="milliseconds"),
        base_url=request.base_url,
        with_lines=request.with_lines,
        plan_reason=plan.reason,
    )
    spool.begin(facts, plan)
    return facts


def _plan(request: ExportRequest, ports: ExportPorts, previous: Published | None, page_size: int) -> Plan:
    if request.sequential:
        return plan_sequential("--sequential was given")
    if previous is None:
        return plan_sequential(
            "this is the first snapshot; the next run is faster: it starts at many places of the list at once"
        )
    if reason := request.state.unstable_reason(request.base_url, ports.now()):
        return plan_sequential(f"an earlier run found that {reason}")
    index = previous.manifest.page_index
    try:
        return plan_stretches(
            usable_entries(read_page_index(ports.store, index.path)),
            pages_total=index.rows,
            walkers=request.walkers,
            page_size=page_size,
            borders_cost=_borders_cost(ports.store, previous.manifest),
        )
    except SyncerError as error:  # entries are worth speed only: a damaged index must not stop tonight's export
        return plan_sequential(f"the last page index cannot be read ({error.message})")


def _borders_cost(store: Store, manifest: Manifest) -> bool:
    """Whether the last run fetched more than half a page twice for each border between its stretches.

    So it is where a token's text differs from night to night: no ``next`` is an entry then, and a border is noticed on
    the page behind it.
    """
    users, borders = count_users_and_borders(store, manifest.page_index.path)
    twice = users - manifest.users
    return borders > 0 and twice * manifest.page_index.rows > borders * users / 2


def _fill_counters(counters: Counters, spool: Spool, previous: Published | None) -> None:
    counters.pages = spool.count_pages()
    counters.users, counters.rejects = spool.count_users()
    for name in COUNTERS:
        setattr(counters, name, spool.number(name))
    counters.users_expected = previous.manifest.users if previous else None
    counters.users_before, counters.requests_before = counters.users, counters.requests
    counters.phase = "crawling"
