"""Removing users from kept snapshots: each that holds one is written anew under the next id, then the old one goes.

Snapshots stay immutable: readers have the old one or the new one. The new manifest names the one it replaces and why;
a kill between any two steps is finished by the next run, which finds that name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from syncer.errors import DataRefused, SnapshotMismatch
from syncer.model import Check, Page
from syncer.snapshot import layout
from syncer.snapshot.catalog import Published, list_known_ids, list_manifests
from syncer.snapshot.columns import make_encoder
from syncer.snapshot.erased_pages import MARK, ErasedPages
from syncer.snapshot.manifest import ErasedFacts, Manifest, Previous, RejectsFacts, Tool
from syncer.snapshot.pages import read_page_index
from syncer.snapshot.part_readers import PartFault, read_ndjson
from syncer.snapshot.prune import data_steps, point_at_newest
from syncer.snapshot.publish import Signer, Step, publication
from syncer.snapshot.reading import read_users
from syncer.snapshot.sinks import SinkOptions, write_parts
from syncer.snapshot.staging import Staging
from syncer.snapshot.store import FileMissing, Store

_ID = re.compile(rb"comms_pushnotificationuser_[0-9a-z]{26,35}")
_HIDDEN = "(erased)"
_HIDDEN_LINE = b'{"erased":true}\n'

IsErased = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Rewriting:
    """A snapshot that holds users who are to go."""

    old: Published
    held: frozenset[str]
    new_id: str


@dataclass(frozen=True, slots=True)
class ErasePlan:
    """What is to be done for one account; oldest first."""

    account_sid: str
    rewrite: tuple[Rewriting, ...]
    remove: tuple[str, ...]
    """Snapshots that were replaced already, and of which something is still there."""
    forget: tuple[str, ...]
    """Pruned snapshots whose manifest names such a user."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the new manifests say. ``erased_at`` is RFC 3339."""

    reason: str
    erased_at: str
    tool: Tool


def plan_erase(store: Store, account_sid: str, is_erased: IsErased, newest: int | None = None) -> ErasePlan:
    """Read everything that an account keeps, or only its ``newest`` snapshots, and say what would change.

    Raises SnapshotMismatch for a damaged snapshot.
    """
    published = list(list_manifests(store, account_sid))
    replaced = {p.manifest.erased.snapshot_id for p in published if p.manifest.erased}
    living = [p for p in published if p.manifest.snapshot_id not in replaced]
    looked_at = living if newest is None else living[-newest:]
    found = {p.manifest.snapshot_id: frozenset[str]() for p in living}
    found |= {p.manifest.snapshot_id: find_held(store, p.manifest, is_erased) for p in looked_at}
    new_ids = _new_ids(
        rewritten=[i for i in found if found[i]],
        staying=[i for i in found if not found[i]],
        taken={*list_known_ids(store, account_sid), *replaced},
    )
    rewrite = [
        Rewriting(old, found[old.manifest.snapshot_id], new_ids[old.manifest.snapshot_id])
        for old in published
        if old.manifest.snapshot_id in new_ids
    ]
    remove = [i for i in sorted(replaced) if any(store.exists(path) for path in _everything(account_sid, i))]
    return ErasePlan(account_sid, tuple(rewrite), tuple(remove), tuple(_pruned_with(store, account_sid, is_erased)))


def erasure(store: Store, plan: ErasePlan, terms: Terms, signer: Signer | None = None) -> Iterator[Step]:
    """The steps that carry a plan out, in order; each is made when the one before has run."""
    sid = plan.account_sid
    if plan.remove:  # a kill came after the commit of what replaces it, and perhaps before the pointer was moved
        yield Step("move the pointer", lambda: point_at_newest(store, sid))
    for snapshot in plan.remove:
        yield from _removal(store, sid, snapshot)
    for rewriting in reversed(plan.rewrite):  # the newest first: the pointer never leads to an older one
        made: list[Manifest] = []

        def write(rewriting: Rewriting = rewriting, made: list[Manifest] = made) -> None:
            made.append(_rewrite(store, rewriting, terms, signer))

        yield Step(f"write {rewriting.new_id}", write)
        yield from publication(store, made[0], signer)
        yield from _removal(store, sid, rewriting.old.manifest.snapshot_id)
    for snapshot in plan.forget:
        yield Step(f"forget {snapshot}", lambda snapshot=snapshot: _forget(store, sid, snapshot))  # type: ignore[misc]


def find_held(store: Store, manifest: Manifest, is_erased: IsErased) -> frozenset[str]:
    """The users to erase that anything of a snapshot names."""
    return frozenset(user_id for user_id in _named(store, manifest) if is_erased(user_id))


def _named(store: Store, manifest: Manifest) -> Iterator[str]:
    """Every id in a snapshot's files and its manifest, some more than once."""
    for batch in read_users(store, manifest, ("id",)):
        yield from batch.column("id").to_pylist()
    borders = ("first_id", "last_id", "min_id", "max_id", "stitch_id")
    for record in read_page_index(store, manifest.page_index.path):
        yield from (value.partition(MARK)[0] for name in borders if (value := getattr(record, name)) is not None)
    for facts in manifest.changes.files if manifest.changes else ():
        yield from _changed_ids(store, facts.path)
    yield from manifest.added
    texts = [store.read(manifest.rejects.path)] if manifest.rejects.path else []
    texts += [check.detail.encode() for check in manifest.checks]
    for text in texts:
        yield from (found.decode() for found in _ID.findall(text))


def _changed_ids(store: Store, path: str) -> Iterator[str]:
    try:
        with store.open(path) as file:
            for batch in pq.ParquetFile(file).iter_batches(columns=["id"]):
                yield from batch.column(0).to_pylist()
    except (pa.ArrowException, OSError):
        raise SnapshotMismatch(f"{path} cannot be read: it is damaged", hint="restore it from a copy") from None


def _rewrite(store: Store, rewriting: Rewriting, terms: Terms, signer: Signer | None) -> Manifest:
    """Stage the snapshot without these users, through the sinks of an export; the manifest to publish."""
    old, held = rewriting.old.manifest, rewriting.held
    pages = ErasedPages(held)
    for record in read_page_index(store, old.page_index.path):
        pages.note(record)
    staging = Staging(store, old.account_sid, rewriting.new_id)
    staging.begin()
    profile: Any = old.parquet_profile
    options = SinkOptions(parquet_profile=profile, ndjson_compression=old.ndjson_compression)
    counts = _Counts()
    tree = staging.tree_sink()
    files = write_parts(_kept(store, old, held, pages, counts), staging.sinks(old.formats, options), options, [tree])
    index = staging.write_page_index(map(pages.changed, read_page_index(store, old.page_index.path)))
    facts = old.reconciliation
    if facts is not None:
        added = tuple(i for i in facts.added if i not in held)
        facts = replace(facts, added=added, missing=facts.missing - (len(facts.added) - len(added)))
    return replace(
        old,
        snapshot_id=rewriting.new_id,
        users=counts.users,
        deleted_users=counts.deleted,
        files=files,
        tree=tree.finish(),
        page_index=index,
        rejects=_rejects(store, staging, old, held),
        reconciliation=facts,
        changes=None,  # `syncer diff` tells them again
        checks=tuple(_without_ids(check, held) for check in old.checks),
        tool=terms.tool,
        signed_by=signer.fingerprint if signer else None,
        erased=ErasedFacts(
            old.snapshot_id,
            rewriting.old.sha256,
            old.tree.root if old.tree else None,
            old.users - counts.users,
            terms.reason,
            terms.erased_at,
            _earlier(old),
        ),
    )


def _earlier(old: Manifest) -> tuple[Previous, ...]:
    """What the old one had replaced already: the chain still leads there."""
    return (Previous(old.erased.snapshot_id, old.erased.sha256), *old.erased.earlier) if old.erased else ()


@dataclass(slots=True)
class _Counts:
    users: int = 0
    deleted: int = 0


def _kept(store: Store, old: Manifest, held: frozenset[str], pages: ErasedPages, counts: _Counts) -> Iterator[Any]:
    """Tables of the users that stay, with their own JSON where that is kept."""
    gone = pa.array(sorted(held), pa.string())
    for batch in _rows(store, old):
        table = pa.Table.from_batches([batch])
        pages.see(table.column("id").to_pylist())
        kept = table.filter(pc.invert(pc.is_in(table.column("id"), value_set=gone)))
        counts.users += kept.num_rows
        counts.deleted += kept.num_rows - kept.column("deleted_at").null_count
        if kept.num_rows:
            yield kept


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


def _rejects(store: Store, staging: Staging, old: Manifest, held: frozenset[str]) -> RejectsFacts:
    """The lines that name such a user say only that; they are still counted."""
    if old.rejects.path is None:
        return old.rejects
    names = [user_id.encode() for user_id in held]
    lines = store.read(old.rejects.path).splitlines(keepends=True)
    return staging.write_rejects(_HIDDEN_LINE if any(n in line for n in names) else line for line in lines)


def _without_ids(check: Check, held: Iterable[str]) -> Check:
    detail = check.detail
    for user_id in held:
        detail = detail.replace(user_id, _HIDDEN)
    return replace(check, detail=detail)


def _new_ids(rewritten: list[str], staying: list[str], taken: set[str]) -> dict[str, str]:
    """An id for each, in the order of the old ones, and not past one that stays: the order is what "latest" means."""
    chosen: dict[str, str] = {}
    new_id = ""
    for old in rewritten:
        new_id = layout.next_snapshot_id(max(old, new_id))
        while new_id in taken:
            new_id = layout.next_snapshot_id(new_id)
        if passed := [i for i in staying if old < i < new_id]:
            raise DataRefused(
                f"the snapshot {old} cannot be replaced: no id is free before {passed[0]}",
                hint="prune one of the two first",
            )
        chosen[old] = new_id
    return chosen


def _everything(account_sid: str, snapshot: str) -> list[str]:
    folders = [layout.data_folder(kind, account_sid, snapshot) for kind in layout.DATA_FOLDERS]
    return [*folders, layout.snapshot_folder(account_sid, snapshot), layout.staging_folder(account_sid, snapshot)]


def _removal(store: Store, account_sid: str, snapshot: str) -> list[Step]:
    """The manifest first: with that the old snapshot is no more. Its parts leave in one step each."""
    manifest = layout.manifest_path(account_sid, snapshot)
    return [
        Step(f"remove {manifest}", lambda: store.remove(manifest)),
        *data_steps(store, account_sid, snapshot),
        Step(f"forget {snapshot}", lambda: store.remove(layout.snapshot_folder(account_sid, snapshot))),
    ]


def _pruned_with(store: Store, account_sid: str, is_erased: IsErased) -> Iterator[str]:
    for snapshot in list_known_ids(store, account_sid):
        path = layout.pruned_path(account_sid, snapshot)
        if store.exists(path) and any(is_erased(found.decode()) for found in _ID.findall(store.read(path))):
            yield snapshot


def _forget(store: Store, account_sid: str, snapshot: str) -> None:
    store.remove(layout.pruned_path(account_sid, snapshot))
    store.remove(layout.snapshot_folder(account_sid, snapshot))
