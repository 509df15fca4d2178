"""Removing old snapshots, and what killed runs left: first a plan, then its steps; a dry run is the plan alone.

A snapshot is removed in the order that keeps readers whole: its manifest becomes ``pruned.json`` in one step, and with
that the snapshot is no more; then its partitions leave in one step each; the rest after that. A kill between any two is
finished by the next run, which finds ``pruned.json`` with something left beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from syncer.errors import SnapshotMismatch
from syncer.snapshot import layout
from syncer.snapshot.catalog import list_snapshot_ids, load_snapshot
from syncer.snapshot.manifest import Manifest
from syncer.snapshot.pointer import move_pointer
from syncer.snapshot.publish import Step
from syncer.snapshot.retention import Dated, Decision, Policy, plan_prune
from syncer.snapshot.store import Store

UNREADABLE = "its manifest cannot be read: a person looks"


@dataclass(frozen=True, slots=True)
class PrunePlan:
    """What is to become of everything of one account; ids oldest first."""

    account_sid: str
    decisions: tuple[Decision, ...]
    unfinished: tuple[str, ...]
    """Pruned already, but something of their data is still there."""
    orphans: tuple[str, ...]
    """Files without a manifest, older than the grace time: their run was killed, and none will resume it."""
    young: tuple[str, ...]
    """Files without a manifest that may still be of a run that resumes."""

    @property
    def removed(self) -> tuple[str, ...]:
        """The snapshots that go."""
        return tuple(decision.snapshot_id for decision in self.decisions if not decision.keep)


def plan_account(store: Store, account_sid: str, policy: Policy, now: datetime, grace: timedelta) -> PrunePlan:
    """Look at everything an account has and decide. Changes nothing."""
    ids = list_snapshot_ids(store, account_sid)
    readable = [manifest for snapshot in ids if (manifest := _readable(store, account_sid, snapshot))]
    complete = [manifest.snapshot_id for manifest in readable if manifest.verdict == "complete"]
    dated = [Dated(one.snapshot_id, datetime.fromisoformat(one.started_at).astimezone(UTC)) for one in readable]
    decided = plan_prune(policy, dated, complete[-1] if complete else None, now)
    decided += [Decision(i, True, (UNREADABLE,)) for i in ids if i not in {one.snapshot_id for one in readable}]
    others = sorted({*found_ids(store, account_sid)} - {*ids})
    pruned = [i for i in others if store.exists(layout.pruned_path(account_sid, i))]
    unfinished = [i for i in pruned if any(store.exists(path) for path in data_paths(account_sid, i))]
    orphans = [i for i in others if i not in pruned]
    old = [i for i in orphans if now - layout.snapshot_time(i) >= grace]
    return PrunePlan(
        account_sid,
        tuple(sorted(decided, key=lambda decision: decision.snapshot_id)),
        tuple(unfinished),
        tuple(old),
        tuple(i for i in orphans if i not in old),
    )


def removal(store: Store, plan: PrunePlan) -> list[Step]:
    """The steps that carry a plan out, in order. The caller holds the account's lock."""
    sid = plan.account_sid
    steps = [Step("move the pointer", lambda: _point_at_kept(store, plan))] if plan.removed else []
    for snapshot in plan.removed:
        steps.append(Step(f"remove {snapshot}", partial(_retire, store, sid, snapshot)))
        steps += data_steps(store, sid, snapshot)
    for snapshot in plan.unfinished:
        steps += data_steps(store, sid, snapshot)
    for snapshot in plan.orphans:
        steps += data_steps(store, sid, snapshot)
        steps.append(Step(f"forget {snapshot}", partial(store.remove, layout.snapshot_folder(sid, snapshot))))
    return [*steps, Step("sweep", lambda: store.sweep(layout.account_folder(sid)))]


def _readable(store: Store, account_sid: str, snapshot: str) -> Manifest | None:
    try:
        return load_snapshot(store, account_sid, snapshot).manifest
    except SnapshotMismatch:
        return None


def found_ids(store: Store, account_sid: str) -> Iterator[str]:
    """Ids below which anything lies, a manifest or not."""
    yield from filter(layout.is_snapshot_id, store.names(layout.account_folder(account_sid)))
    yield from filter(layout.is_snapshot_id, store.names(layout.staging_account_folder(account_sid)))
    for kind in layout.DATA_FOLDERS:
        for date in store.names(layout.data_account_folder(kind, account_sid)):
            names = store.names(f"{layout.data_account_folder(kind, account_sid)}/{date}")
            yield from filter(layout.is_snapshot_id, (name.removeprefix(layout.ID_PREFIX) for name in names))


def data_paths(account_sid: str, snapshot: str) -> list[str]:
    """Everything of a snapshot but its manifest and its signature: partitions first."""
    return [
        *(layout.data_folder(kind, account_sid, snapshot) for kind in layout.DATA_FOLDERS),
        layout.page_index_path(account_sid, snapshot),
        layout.tree_path(account_sid, snapshot),
        layout.rejects_path(account_sid, snapshot),
        layout.copy_path(account_sid, snapshot),
        layout.staging_folder(account_sid, snapshot),
    ]


def data_steps(store: Store, account_sid: str, snapshot: str) -> list[Step]:
    """Remove all but the manifest and its signature, partitions first."""
    steps = [
        Step(f"take {kind} of {snapshot} out of sight", partial(_hide, store, kind, account_sid, snapshot))
        for kind in layout.DATA_FOLDERS
    ]
    rest = data_paths(account_sid, snapshot)[len(layout.DATA_FOLDERS) :]
    return [*steps, *(Step(f"remove {path}", partial(store.remove, path)) for path in rest)]


def _point_at_kept(store: Store, plan: PrunePlan) -> None:
    """The pointer may lag behind since a kill, and name what is removed next. One that cannot be read is not for it."""
    kept = [one.snapshot_id for one in plan.decisions if one.keep and UNREADABLE not in one.reasons]
    move_pointer(store, load_snapshot(store, plan.account_sid, kept[-1]).manifest)


def point_at_newest(store: Store, account_sid: str) -> None:
    """It may lag behind since a kill."""
    newest = list_snapshot_ids(store, account_sid)[-1]
    move_pointer(store, load_snapshot(store, account_sid, newest).manifest)


def _retire(store: Store, account_sid: str, snapshot: str) -> None:
    """The one step with which a snapshot ends: readers find no manifest, the chain still finds its bytes."""
    store.place_file(layout.manifest_path(account_sid, snapshot), layout.pruned_path(account_sid, snapshot))


def _hide(store: Store, kind: str, account_sid: str, snapshot: str) -> None:
    """A whole partition leaves in one step, where the store can; its parts are removed where no reader looks."""
    folder = layout.data_folder(kind, account_sid, snapshot)
    staged = f"{layout.staging_folder(account_sid, snapshot)}/pruned-{kind}"
    if store.exists(folder):
        store.remove(staged)
        store.set_aside(folder, staged)
    date = folder.rpartition("/")[0]
    if store.exists(date) and not store.names(date):
        store.remove(date)
