"""What a destination holds beyond single snapshots: is there a history, and does any partition belong to none of it?

Readers of partitions do not look at manifests: what lies among them is data to them, whoever put it there.
"""

from __future__ import annotations

from collections.abc import Iterator

from syncer.errors import SnapshotMismatch
from syncer.model import Check
from syncer.snapshot import layout
from syncer.snapshot.catalog import list_accounts, list_known_ids, list_snapshot_ids
from syncer.snapshot.manifest import FileFacts
from syncer.snapshot.manifest_json import parse
from syncer.snapshot.part_readers import hash_file
from syncer.snapshot.store import FileMissing, Store

_NAMED_MAX = 5


def list_all_accounts(store: Store) -> list[str]:
    """Those with manifests, and those with anything among the partitions."""
    folders = ((kind, sid) for kind in layout.DATA_FOLDERS for sid in map(layout.account_of, store.names(kind)))
    found = {sid for kind, sid in folders if sid and store.names(layout.data_account_folder(kind, sid))}
    return sorted({*found, *list_accounts(store)})


def check_destination(store: Store) -> Check:
    """Whether anything but accounts lies right below the folders of data."""
    foreign = [
        f"{kind}/{name}" for kind in layout.DATA_FOLDERS for name in store.names(kind) if not layout.account_of(name)
    ]
    return _check("folders", [f"{path} is foreign" for path in foreign], "hold accounts and nothing else")


def check_account(store: Store, account_sid: str) -> list[Check]:
    """Whether there is a history, and whether all partitions are its own."""
    whole, known = set(list_snapshot_ids(store, account_sid)), list_known_ids(store, account_sid)
    wrong, unfinished = [], []
    for kind in layout.DATA_FOLDERS:
        own = {layout.data_folder(kind, account_sid, snapshot) for snapshot in whole}
        for path in sorted({*_partitions(store, kind, account_sid)} - own):
            snapshot = path.rpartition("/")[2].removeprefix(layout.ID_PREFIX)
            if snapshot not in known and _is_claimed(store, account_sid, snapshot):
                unfinished.append(f"{path} is of an unfinished run")
            elif snapshot in known and snapshot not in whole and _is_left(store, account_sid, snapshot, path):
                unfinished.append(f"{path} is left of a pruned snapshot: `syncer prune` removes it")
            else:
                wrong.append(f"{path} belongs to no snapshot")
    well = "; ".join(["each belongs to a snapshot", *unfinished[:_NAMED_MAX]])
    names = store.names(layout.account_folder(account_sid))
    began = bool(unfinished) or any(_is_claimed(store, account_sid, name) for name in names)
    history = (
        Check("history", True, f"since {known[0]}; {len(whole)} kept, {len(known) - len(whole)} pruned")
        if known
        else _check_beginning(store, account_sid, began=began)
    )
    return [history, _check("partitions", wrong, well)]


def _check_beginning(store: Store, account_sid: str, *, began: bool) -> Check:
    if store.exists(layout.latest_path(account_sid)):
        return Check("history", False, f"{layout.latest_path(account_sid)} is there, and no snapshot is")
    return Check("history", began, "there is no snapshot" + (": a run is at work, or was killed" if began else ""))


def _partitions(store: Store, kind: str, account_sid: str) -> Iterator[str]:
    """Whatever lies where partitions do; below dates, unless it is none."""
    account = layout.data_account_folder(kind, account_sid)
    links = store.strangers(account)
    for date in store.names(account):
        if date in links or store.size(f"{account}/{date}") is not None:
            yield f"{account}/{date}"
        else:
            yield from (f"{account}/{date}/{name}" for name in store.names(f"{account}/{date}"))


def _is_left(store: Store, account_sid: str, snapshot: str, folder: str) -> bool:
    """Whether a partition holds nothing but files of the pruned snapshot, which a prune that was killed has left."""
    try:
        manifest = parse(store.read(layout.pruned_path(account_sid, snapshot)))
    except (SnapshotMismatch, FileMissing):
        return False
    parts = [*manifest.files, *(manifest.changes.files if manifest.changes else ())]
    named = {facts.path: facts for facts in parts}
    found = [f"{folder}/{name}" for name in store.names(folder) if name != layout.SUCCESS_NAME]
    return all(path in named and _is_part(store, named[path]) for path in found) and not store.strangers(folder)


def _is_part(store: Store, facts: FileFacts) -> bool:
    try:
        with store.open(facts.path) as file:
            return hash_file(file, facts.bytes) == (facts.bytes, facts.sha256)
    except FileMissing:
        return False


def _is_claimed(store: Store, account_sid: str, snapshot: str) -> bool:
    return layout.is_snapshot_id(snapshot) and store.is_claimed(layout.staging_folder(account_sid, snapshot))


def _check(name: str, problems: list[str], well: str) -> Check:
    more = [f"{len(problems) - _NAMED_MAX} more"] if len(problems) > _NAMED_MAX else []
    return Check(name, not problems, "; ".join([*problems[:_NAMED_MAX], *more]) if problems else well)
