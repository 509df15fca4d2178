"""From a finished crawl to data that may be published: written, proven, looked back at, confirmed, guarded."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime

from syncer.crawl.recorded_pages import rejects_lines
from syncer.errors import CoverageNotProven, GuardTripped
from syncer.guards import Before, Limits, Now, find_tripped
from syncer.model import counted
from syncer.probing import LOCAL_CLOCK_ERROR_SECONDS, VANISHED_MAX, Look, Probe
from syncer.proving import Proven, StagingTask, stage_and_prove
from syncer.reconcile import confirm_missing
from syncer.run import Run
from syncer.snapshot.columns import make_encoder, unknown_fields
from syncer.snapshot.gone import Gone
from syncer.snapshot.manifest import ReconciliationFacts
from syncer.snapshot.sinks import SinkOptions
from syncer.snapshot.staging import Staging
from syncer.walked_users import SETTLED_MARGIN_SECONDS

DAY_SECONDS = 86_400.0


class StrangersMet(CoverageNotProven):
    """Users that the walk may have left out: to walk again is cheap where a whole list is looked back at."""


async def prove_run(run: Run) -> Proven:
    """The pages must form a chain, and no user may stand where it cannot."""
    run.ports.counters.phase = "writing"
    found: list[Proven] = []
    await run.ports.run_blocking(lambda: found.append(stage_and_prove(run.spool, _staging_task(run))))
    return await _look_back(run, found[0])


async def _look_back(run: Run, proven: Proven) -> Proven:
    """Ask some pages again: page tokens that are no places let users slip by unseen."""
    request, ports = run.request, run.ports
    ports.counters.phase = "looking back"
    vanished = proven.gone.ids if proven.gone else ()
    probe = Probe(run.spool, with_lines=run.facts.with_lines, vanished=vanished)
    is_still = _is_still(run, proven)
    await ports.run_blocking(lambda: probe.choose(request.walkers, is_still=is_still))
    await probe.ask(ports.list_page, make_encoder(with_lines=run.facts.with_lines), request.walkers)
    looks: list[Look] = []
    newest_at = max(probe.newest_at, proven.merged.newest_at)
    began, latest = _began(run, newest_at), _latest(run)  # by the loop's clock, which no other thread can ask
    await ports.run_blocking(lambda: looks.append(probe.judge(began, latest)))
    if looks[0].has_strangers and not _tells_ages(run, newest_at) and run.spool.may_restart:
        raise StrangersMet("users were seen that the walk did not meet, and nothing tells whether they came meanwhile")
    return replace(proven, places=looks[0].words)


def _is_still(run: Run, proven: Proven) -> bool:
    """Whether nothing says that the list changes: no user of the last day, nobody gone, no doubt in this or an earlier
    run."""
    started_at = datetime.fromisoformat(run.facts.started_at).timestamp()
    is_current = proven.merged.newest_at >= (run.ports.counters.began_at or started_at) - DAY_SECONDS
    has_lost = proven.gone is not None and bool(proven.gone.vanished or proven.gone.purged)
    was_unstable = run.request.state.unstable_reason(run.request.base_url, run.ports.now())
    has_doubts = run.spool.number("restarts") > 0 or bool(was_unstable)
    return not (is_current or has_lost or has_doubts)


def _tells_ages(run: Run, newest_at: float) -> bool:
    """Whether the service says what time it is, and its users' times have to do with it."""
    began_at = run.ports.counters.began_at
    return began_at > 0 and newest_at >= began_at - DAY_SECONDS


def _began(run: Run, newest_at: float) -> float:
    """A time that the service's clock had not passed when the run began, in seconds since 1970: no user that is older
    came meanwhile.

    Nothing where the times of the list have nothing to do with the present. Where the service does not say what time it
    is, the newest time of any user and the length of the run tell, and the local clock, which is believed to a day.
    """
    if _tells_ages(run, newest_at):
        return run.ports.counters.began_at - SETTLED_MARGIN_SECONDS
    started_at = datetime.fromisoformat(run.facts.started_at).timestamp() - LOCAL_CLOCK_ERROR_SECONDS
    if newest_at < started_at:
        return float("-inf")
    return max(newest_at - _run_seconds(run), started_at) - SETTLED_MARGIN_SECONDS


def _latest(run: Run) -> float:
    """A time that the service's clock has not passed yet, in seconds since 1970."""
    if run.ports.counters.began_at > 0:
        return run.ports.counters.began_at + _run_seconds(run) + SETTLED_MARGIN_SECONDS
    return run.ports.now().timestamp() + LOCAL_CLOCK_ERROR_SECONDS


def _run_seconds(run: Run) -> float:
    """How long ago the run's first request was, at most: over a resume only the wall clock knows, set as it may be."""
    in_this_process = asyncio.get_running_loop().time() - run.started
    if not run.resumed:
        return in_this_process
    by_wall = (run.ports.now() - datetime.fromisoformat(run.facts.started_at)).total_seconds()
    return max(by_wall + 2 * LOCAL_CLOCK_ERROR_SECONDS, in_this_process)


def _staging_task(run: Run) -> StagingTask:
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
        gone_ids_max=max(request.confirm_vanished or 0, VANISHED_MAX),
        fields=None if run.resumed else unknown_fields(run.fields_seen),
        added=run.added,
        is_erased=run.ports.read_erased(),
    )


async def reconcile(run: Run, proven: Proven) -> Proven:
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


async def _stage_again(run: Run, proven: Proven) -> Proven:
    """With the added users; what a look back at some pages showed still holds."""
    run.ports.counters.phase = "writing"
    staged: list[Proven] = []
    await run.ports.run_blocking(lambda: staged.append(stage_and_prove(run.spool, _staging_task(run))))
    return replace(staged[0], places=proven.places)


def note_erased(run: Run, proven: Proven) -> None:
    """Nobody comes back unnoticed: neither from the API nor with a copy of old snapshots."""
    if rows := proven.left_out.rows:
        verb = "was" if rows == 1 else "were"
        run.notes.append(f"{counted(rows, 'erased user')} {verb} served again, and left out of the snapshot")
    if run.previous and proven.gone and (held := proven.gone.erased):
        run.notes.append(
            f"the snapshot {run.previous.manifest.snapshot_id} holds {counted(held, 'erased user')}:"
            " `syncer erase` without ids takes them out"
        )


def note_changes(run: Run, proven: Proven) -> None:
    if proven.changes is not None:
        words = [f"{count:,} {word}" for word, count in proven.changes.counts.items() if count and word != "unchanged"]
        run.notes.append(f"changes since {proven.changes.previous}: {', '.join(words) or 'none'}")


def check_guards(run: Run, proven: Proven) -> None:
    """Figures beyond their limits are not published."""
    request, gone = run.request, proven.gone or Gone()
    is_known = proven.gone is not None and not gone.unreadable
    now = Now(
        users=proven.left_out.users,
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
