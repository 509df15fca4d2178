"""After an export: users who were erased and are still served by the API leave the new snapshot at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from syncer.bulk.ledger import Ledger
from syncer.lock import hold_lock
from syncer.run import CHANGES_NOTE, ExportResult
from syncer.snapshot.catalog import list_snapshot_ids, load_snapshot
from syncer.snapshot.erase import Terms, erasure, plan_erase
from syncer.snapshot.layout import manifest_path
from syncer.snapshot.manifest import Tool
from syncer.snapshot.publish import Signer
from syncer.snapshot.store import Store
from syncer.state import AccountState
from syncer.version import VERSION

SNAPSHOTS_LOOKED_AT = 2
"""The new one, and the one before: its export may have been killed before this step."""
REASON = "erased before, and served again"


def erase_again(store: Store, state: AccountState, result: ExportResult, signer: Signer | None) -> ExportResult:
    """Apply the ledger to the newest snapshots; the result as it is now. Blocking work. Raises SyncerError."""
    if not (state.folder / "erased.ndjson").exists():
        return result
    sid, now = result.account_sid, datetime.now(UTC)
    with hold_lock(state.lock, sid, now):
        held = _apply(store, state.folder, sid, Terms(REASON, now.isoformat(timespec="seconds"), _tool()), signer)
        newest = list_snapshot_ids(store, sid)[-1]
        manifest = load_snapshot(store, sid, newest).manifest
    if manifest.erased is None or manifest.erased.snapshot_id != result.snapshot_id:
        return result
    return replace(
        result,
        snapshot_id=newest,
        users=manifest.users,
        deleted_users=manifest.deleted_users,
        manifest=manifest_path(sid, newest),
        files=manifest.files,
        notes=_notes(result.notes, held),
    )


def _notes(notes: tuple[str, ...], held: int) -> tuple[str, ...]:
    """What is no longer true is taken back: a rewritten snapshot has no changes partition."""
    kept = tuple(note for note in notes if not note.startswith(CHANGES_NOTE))
    users = "1 erased user was" if held == 1 else f"{held} erased users were"
    erased = f"{users} served again, and left out of the snapshot"
    if kept == notes:
        return (*notes, erased)
    return (
        *kept,
        erased,
        "no changes were written beside it, as they named who was left out: `syncer diff` tells them",
    )


def _apply(store: Store, folder: Path, sid: str, terms: Terms, signer: Signer | None) -> int:
    ledger = Ledger(folder)
    try:
        plan = plan_erase(store, sid, ledger.__contains__, newest=SNAPSHOTS_LOOKED_AT)
        for step in erasure(store, plan, terms, signer):
            step.run()
    finally:
        ledger.close()
    return len(plan.rewrite[-1].held) if plan.rewrite else 0


def _tool() -> Tool:
    return Tool("syncer", VERSION)
