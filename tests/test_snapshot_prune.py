"""Pruning: what is planned is done, nothing else is touched, and a kill anywhere leaves readers whole."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from syncer.snapshot import layout
from syncer.snapshot.local_store import LocalStore
from syncer.snapshot.manifest_json import build, parse
from syncer.snapshot.pointer import read_pointer
from syncer.snapshot.prune import UNREADABLE, PrunePlan, plan_account, removal
from syncer.snapshot.publish import publication, publish
from syncer.snapshot.retention import LATEST, NOT_KEPT, Decision, Policy
from syncer.snapshot.staging import reserve_snapshot_id
from syncer.snapshot.verify import verify_snapshot
from tests.prune_crash import FOLDER, IDS, KEEP, NOW, begin, prune, wrongs
from tests.snapshot_data import ACCOUNT, chunked, make_users, spool, stage_snapshot, tree

DAY = timedelta(days=1)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four snapshots, and a pointer that lags behind."""
    begin(tmp_path / "root")
    return tmp_path / "root"


def plan(root: Path, policy: Policy = KEEP, now: datetime = NOW, grace: timedelta = DAY) -> PrunePlan:
    return plan_account(LocalStore(root), ACCOUNT, policy, now, grace)


def test_a_plan_changes_nothing_and_says_why(root: Path) -> None:
    before = tree(root)
    assert plan(root) == PrunePlan(
        ACCOUNT,
        (
            Decision(IDS[0], False, (NOT_KEPT,)),
            Decision(IDS[1], False, (NOT_KEPT,)),
            Decision(IDS[2], True, ("last snapshot",)),
            Decision(IDS[3], True, ("last snapshot", LATEST)),
        ),
        (), (), (),
    )  # fmt: skip
    assert tree(root) == before


def test_what_the_plan_removes_goes_and_the_rest_is_sound(root: Path) -> None:
    before = tree(root)
    prune(root)
    assert wrongs(root, before) == []
    left = [path for path in tree(root) if any(i in path for i in IDS[:2])]
    assert left == [f"{FOLDER}/{i}/pruned.json" for i in IDS[:2]]
    assert not (root / f"parquet/account_sid={ACCOUNT}/snapshot_date=2026-11-20").exists()
    store = LocalStore(root)
    assert read_pointer(store, ACCOUNT) == IDS[3]
    manifest = parse(store.read(layout.manifest_path(ACCOUNT, IDS[2])))
    checks = {check.name: check for check in verify_snapshot(store, ACCOUNT, manifest)}
    assert checks["previous"].ok
    assert checks["previous"].detail == f"{FOLDER}/{IDS[1]}/pruned.json is the one that was there then, now pruned"
    assert removal(store, plan(root))[:-1] == []


def test_the_order_of_removal_is_the_manifest_the_partitions_the_rest(root: Path) -> None:
    steps = [step.name for step in removal(LocalStore(root), plan(root, Policy(last=3)))]
    assert steps[:5] == [
        "move the pointer", f"remove {IDS[0]}", f"take parquet of {IDS[0]} out of sight",
        f"take ndjson of {IDS[0]} out of sight", f"take changes of {IDS[0]} out of sight",
    ]  # fmt: skip
    assert all(step.startswith(f"remove {FOLDER}/{IDS[0]}/") for step in steps[5:9])
    assert steps[9:] == [f"remove .staging/account_sid={ACCOUNT}/{IDS[0]}", "sweep"]


def test_a_snapshot_that_is_not_complete_does_not_stand_in_for_the_latest(root: Path) -> None:
    path = root / layout.manifest_path(ACCOUNT, IDS[3])
    path.write_bytes(build(replace(parse(path.read_bytes()), verdict="incomplete")))
    assert [(d.snapshot_id, d.reasons) for d in plan(root, Policy(last=1)).decisions if d.keep] == [
        (IDS[2], (LATEST,)),
        (IDS[3], ("last snapshot",)),
    ]


def test_a_manifest_that_cannot_be_read_is_left_for_a_person(root: Path) -> None:
    (root / layout.manifest_path(ACCOUNT, IDS[0])).write_bytes(b"{}")
    decided = plan(root, Policy(last=1))
    assert decided.decisions[0] == Decision(IDS[0], True, (UNREADABLE,))
    assert decided.removed == (IDS[1], IDS[2])


def test_a_newest_manifest_that_cannot_be_read_does_not_stop_the_plan_that_was_printed(root: Path) -> None:
    """The pointer, which lagged behind, then leads to the newest one that can be read."""
    (root / layout.manifest_path(ACCOUNT, IDS[3])).write_bytes(b"{}")
    store, decided = LocalStore(root), plan(root, Policy(last=1))
    assert decided.decisions[2:] == (
        Decision(IDS[2], True, ("last snapshot", LATEST)),
        Decision(IDS[3], True, (UNREADABLE,)),
    )
    for step in removal(store, decided):
        step.run()
    assert read_pointer(store, ACCOUNT) == IDS[2]
    assert plan(root, Policy(last=1)).removed == ()


def test_what_killed_runs_left_is_collected_after_the_grace_time(root: Path) -> None:
    store, orphan = LocalStore(root), "20261122T120000Z"
    whole = tree(root)
    manifest = stage_snapshot(store, spool([chunked(make_users(20), 10)]), snapshot_id=orphan)
    for step in publication(store, manifest):
        if step.name == "commit":
            break
        step.run()
    store.claim_staging(layout.staging_folder(ACCOUNT, "20261122T130000Z"))
    started = layout.snapshot_time(orphan)
    assert plan(root, Policy(last=9), started + DAY / 2).young == (orphan, "20261122T130000Z")
    found = plan(root, Policy(last=9), started + DAY)
    assert (found.orphans, found.young, found.removed) == ((orphan,), ("20261122T130000Z",), ())
    for step in removal(store, plan(root, Policy(last=9), started + 2 * DAY)):
        step.run()
    assert tree(root) == whole
    assert not (root / f"{FOLDER}/{orphan}").exists()
    assert not (root / f".staging/account_sid={ACCOUNT}/20261122T130000Z").exists()


def test_an_account_without_a_snapshot_has_nothing_to_keep(tmp_path: Path) -> None:
    assert plan(tmp_path) == PrunePlan(ACCOUNT, (), (), (), ())


def test_the_id_of_a_pruned_snapshot_is_never_given_again(root: Path) -> None:
    prune(root)
    assert reserve_snapshot_id(LocalStore(root), ACCOUNT, layout.snapshot_time(IDS[0])) == "20261120T020001Z"


def test_the_next_export_goes_on_with_the_chain(root: Path) -> None:
    prune(root)
    store = LocalStore(root)
    manifest = stage_snapshot(store, spool([chunked(make_users(30), 10)]), snapshot_id="20261125T020000Z")
    publish(store, manifest)
    assert read_pointer(store, ACCOUNT) == "20261125T020000Z"


@pytest.mark.slow
def test_a_kill_anywhere_leaves_readers_whole_and_the_next_run_finishes(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.prune_crash", str(tmp_path)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["problems"], report["steps"] > 50) == ([], True)
