"""The end of a run: the manifest of what was proven, the steps that make it visible, and the result."""

from __future__ import annotations

import asyncio
from datetime import datetime

from syncer.proving import Proven
from syncer.run import ExportResult, Run
from syncer.snapshot.layout import manifest_path
from syncer.snapshot.manifest import CrawlFacts, Manifest, Previous, Tool
from syncer.snapshot.publish import Step, publication
from syncer.version import VERSION


async def publish_run(run: Run, proven: Proven) -> ExportResult:
    run.ports.counters.phase = "publishing"
    manifest = _manifest(run, proven)

    def work() -> None:
        for step in run.ports.stoppable(_publication(run, manifest)):
            step.run()

    await run.ports.run_blocking(work)
    run.spool.remove()
    run.ports.counters.phase = "done"
    return _result(run, manifest)


def _publication(run: Run, manifest: Manifest) -> list[Step]:
    return publication(run.ports.store, manifest, run.ports.signer, after_previous=True)


def _manifest(run: Run, proven: Proven) -> Manifest:
    request, counters, previous = run.request, run.ports.counters, run.previous
    stretches = run.spool.stretches()
    return Manifest(
        snapshot_id=run.facts.snapshot_id,
        account_sid=request.account_sid,
        started_at=run.facts.started_at,
        finished_at=_finished_at(run),
        users=proven.left_out.users,
        deleted_users=proven.left_out.deleted_users,
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


def _finished_at(run: Run) -> str:
    """The wall clock may have been set back while the run lasted; nothing ends before it begins."""
    return max(run.ports.now(), datetime.fromisoformat(run.facts.started_at)).isoformat(timespec="milliseconds")


def _result(run: Run, manifest: Manifest) -> ExportResult:
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
