"""Removing users from kept snapshots: each that holds one is written anew under the next id, then the old one goes.

Snapshots stay immutable: readers have the old one or the new one. The new manifest names the one it replaces and why;
a kill between any two steps is finished by the next run, which finds that name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import orjson
import pyarrow as pa

from syncer.errors import SnapshotMismatch
from syncer.model import Page
from syncer.snapshot import layout
from syncer.snapshot.catalog import list_known_ids
from syncer.snapshot.columns import make_encoder
from syncer.snapshot.erase_plan import ErasePlan, Rewriting
from syncer.snapshot.files import dropped_on_failure
from syncer.snapshot.left_out import LeftOut
from syncer.snapshot.manifest import ErasedFacts, Manifest, Previous, ReconciliationFacts, RejectsFacts, Tool
from syncer.snapshot.pages import read_page_index
from syncer.snapshot.part_readers import PartFault, read_ndjson
from syncer.snapshot.prune import data_steps, point_at_newest
from syncer.snapshot.publish import Signer, Step, publication
from syncer.snapshot.reading import read_users
from syncer.snapshot.sinks import SinkOptions, write_parts
from syncer.snapshot.staging import Staging
from syncer.snapshot.store import FileMissing, Store


@dataclass(frozen=True, slots=True)
class Terms:
    """What the new manifests say. ``erased_at`` is RFC 3339."""

    reason: str
    erased_at: str
    tool: Tool


def erasure(store: Store, plan: ErasePlan, terms: Terms, signer: Signer | None = None) -> Iterator[Step]:
    """The steps that carry a plan out, in order; each is made when the one before has run."""
    sid = plan.account_sid
    for snapshot in plan.leftovers:
        yield from _clearing(store, sid, snapshot)
    if plan.remove:  # a kill came after the commit of what replaces it, and perhaps before the pointer was moved
        yield Step("move the pointer", lambda: point_at_newest(store, sid))
    for snapshot in plan.remove:
        yield from _removal(store, sid, snapshot)
    for rewriting in reversed(plan.rewrite):  # the newest first: the pointer never leads to an older one
        made: list[Manifest] = []
        yield Step(f"write {rewriting.new_id}", partial(_write, store, rewriting, terms, signer, made))
        yield from publication(store, made[0], signer)
        yield from _removal(store, sid, rewriting.old.manifest.snapshot_id)
    for snapshot in plan.forget:
        yield Step(f"forget {snapshot}", partial(_forget, store, sid, snapshot))
    yield Step("sweep", partial(_sweep, store, sid))


def _write(store: Store, rewriting: Rewriting, terms: Terms, signer: Signer | None, made: list[Manifest]) -> None:
    made.append(_rewrite(store, rewriting, terms, signer))


def _rewrite(store: Store, rewriting: Rewriting, terms: Terms, signer: Signer | None) -> Manifest:
    """Stage the snapshot without these users, through the sinks of an export; the manifest to publish."""
    old = rewriting.old.manifest
    left_out = LeftOut(rewriting.held, old.added)
    left_out.note(read_page_index(store, old.page_index.path))
    staging = Staging(store, old.account_sid, rewriting.new_id)
    staging.begin()
    profile: Any = old.parquet_profile
    options = SinkOptions(parquet_profile=profile, ndjson_compression=old.ndjson_compression)
    tree_sink = staging.tree_sink()
    tables = (pa.Table.from_batches([batch]) for batch in _rows(store, old))
    with dropped_on_failure([tree_sink]):
        files = write_parts(left_out.kept(tables), staging.sinks(old.formats, options), options, [tree_sink])
        tree = tree_sink.finish()
    index = staging.write_page_index(left_out.pages(read_page_index(store, old.page_index.path)))
    return replace(
        old,
        snapshot_id=rewriting.new_id,
        users=left_out.users,
        deleted_users=left_out.deleted_users,
        files=files,
        tree=tree,
        page_index=index,
        rejects=_rejects(store, staging, old, left_out),
        reconciliation=_reconciliation(old, rewriting.held),
        changes=None,  # `syncer diff` tells them again
        checks=tuple(map(left_out.check, old.checks)),
        tool=terms.tool,
        signed_by=signer.fingerprint if signer else None,
        erased=ErasedFacts(
            old.snapshot_id,
            rewriting.old.sha256,
            old.tree.root if old.tree else None,
            left_out.rows,
            terms.reason,
            terms.erased_at,
            _earlier(old),
        ),
    )


def _earlier(old: Manifest) -> tuple[Previous, ...]:
    """What the old one had replaced already: the chain still leads there."""
    return (Previous(old.erased.snapshot_id, old.erased.sha256), *old.erased.earlier) if old.erased else ()


def _reconciliation(old: Manifest, held: frozenset[str]) -> ReconciliationFacts | None:
    facts = old.reconciliation
    if facts is None:
        return None
    added = tuple(i for i in facts.added if i not in held)
    return replace(facts, added=added, missing=facts.missing - (len(facts.added) - len(added)))


def _rows(store: Store, old: Manifest) -> Iterator[Any]:
    if "ndjson" not in old.formats:
        yield from read_users(store, old)
        return
    encode = make_encoder(with_lines=True)
    for facts in old.files:
        if facts.format == "ndjson":
            try:
                with store.open(facts.path) as file:
                    for lines in read_ndjson(file, old.ndjson_compression):
                        body = b'{"users":[%s]}' % b",".join(lines)
                        if lines:
                            yield encode(Page(orjson.loads(body)["users"], None, "null", body)).batch
            except (PartFault, orjson.JSONDecodeError, FileMissing):
                raise SnapshotMismatch(f"{facts.path} is damaged", hint="restore it from a copy") from None


def _rejects(store: Store, staging: Staging, old: Manifest, left_out: LeftOut) -> RejectsFacts:
    if old.rejects.path is None:
        return old.rejects
    return staging.write_rejects(left_out.lines(store.read(old.rejects.path).splitlines(keepends=True)))


def _removal(store: Store, account_sid: str, snapshot: str) -> list[Step]:
    """The manifest first: with that the old snapshot is no more. Its parts leave in one step each."""
    manifest = layout.manifest_path(account_sid, snapshot)
    return [
        Step(f"remove {manifest}", lambda: store.remove(manifest)),
        *data_steps(store, account_sid, snapshot),
        Step(f"forget {snapshot}", lambda: store.remove(layout.snapshot_folder(account_sid, snapshot))),
    ]


def _clearing(store: Store, account_sid: str, snapshot: str) -> list[Step]:
    """A run that is at work on another machine would find its parts gone, and publish nothing."""
    if store.exists(layout.manifest_path(account_sid, snapshot)):
        path = layout.staging_folder(account_sid, snapshot)
        return [Step(f"remove {path}", partial(store.remove, path))]
    steps = data_steps(store, account_sid, snapshot)
    if not store.exists(layout.pruned_path(account_sid, snapshot)):
        steps.append(Step(f"forget {snapshot}", partial(store.remove, layout.snapshot_folder(account_sid, snapshot))))
    return steps


def _sweep(store: Store, account_sid: str) -> None:
    """What killed writes left beside manifests."""
    store.sweep(layout.account_folder(account_sid))
    for snapshot in list_known_ids(store, account_sid):
        store.sweep(layout.snapshot_folder(account_sid, snapshot))


def _forget(store: Store, account_sid: str, snapshot: str) -> None:
    store.remove(layout.pruned_path(account_sid, snapshot))
    store.remove(layout.snapshot_folder(account_sid, snapshot))
