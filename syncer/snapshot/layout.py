"""What lies where below a destination. Pure: paths are relative to it, with forward slashes.

Nothing the API serves ever becomes part of a path.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Literal

from syncer.errors import UsageError

Format = Literal["parquet", "ndjson"]
Compression = Literal["zstd", "gzip", "none"]
FORMATS: tuple[Format, ...] = ("parquet", "ndjson")
STAGING = ".staging"
SNAPSHOTS = "snapshots"
CHANGES = "changes"
MANIFEST_NAME = "manifest.json"
SIGNATURE_NAME = f"{MANIFEST_NAME}.sig"
PRUNED_NAME = "pruned.json"
PAGES_NAME = "pages.parquet"
TREE_NAME = "tree.parquet"
REJECTS_NAME = "rejects.ndjson"
COPY_NAME = "redshift-manifest.json"
"""Written by ``syncer load --print-sql redshift``: the files that COPY reads."""
SUCCESS_NAME = "_SUCCESS"
DATA_FOLDERS = (*FORMATS, CHANGES)
"""Below each of them lies a Hive partition for each snapshot."""

_ID_FORMAT = "%Y%m%dT%H%M%SZ"
_ID = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z")
_SID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
ID_PREFIX = "snapshot_id="
_ACCOUNT_PREFIX = "account_sid="
_NDJSON_SUFFIX = {"zstd": "ndjson.zst", "gzip": "ndjson.gz", "none": "ndjson"}


def snapshot_id(started_at: datetime) -> str:
    """The id of a run that started then; the time must know its zone."""
    return started_at.astimezone(UTC).strftime(_ID_FORMAT)


def next_snapshot_id(taken: str) -> str:
    """The id one second later."""
    return snapshot_id(snapshot_time(taken) + timedelta(seconds=1))


def is_snapshot_id(text: str) -> bool:
    """Whether a text is an id of a snapshot: a time that exists, and that others can follow."""
    try:
        return snapshot_time(text).year < datetime.max.year
    except ValueError:
        return False


def snapshot_time(snapshot: str) -> datetime:
    """When the run of a snapshot started, in UTC. Raises ValueError for a text that is no id."""
    if (found := _ID.fullmatch(snapshot)) is None:
        raise ValueError(f"{snapshot!a} is not the id of a snapshot")
    year, month, day, hour, minute, second = map(int, found.groups())
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC)


def snapshot_date(snapshot: str) -> str:
    """The partition's date, as ``2026-11-23``."""
    return snapshot_time(snapshot).date().isoformat()


def account_folder(account_sid: str) -> str:
    """Where an account's manifests lie. Raises UsageError for a SID that cannot be part of a path."""
    return f"{SNAPSHOTS}/{_account(account_sid)}"


def snapshot_folder(account_sid: str, snapshot: str) -> str:
    """Where a snapshot's manifest, page index and rejects lie."""
    return f"{account_folder(account_sid)}/{_checked(snapshot)}"


def manifest_path(account_sid: str, snapshot: str) -> str:
    """The commit of a snapshot."""
    return f"{snapshot_folder(account_sid, snapshot)}/{MANIFEST_NAME}"


def page_index_path(account_sid: str, snapshot: str) -> str:
    """The proof, and the entries of the next run."""
    return f"{snapshot_folder(account_sid, snapshot)}/{PAGES_NAME}"


def tree_path(account_sid: str, snapshot: str) -> str:
    """The leaves of the hash tree."""
    return f"{snapshot_folder(account_sid, snapshot)}/{TREE_NAME}"


def signature_path(account_sid: str, snapshot: str) -> str:
    """The manifest's signature; also of a pruned one."""
    return f"{snapshot_folder(account_sid, snapshot)}/{SIGNATURE_NAME}"


def pruned_path(account_sid: str, snapshot: str) -> str:
    """What a manifest is called once its snapshot has been pruned: the chain can still be followed through it."""
    return f"{snapshot_folder(account_sid, snapshot)}/{PRUNED_NAME}"


def rejects_path(account_sid: str, snapshot: str) -> str:
    """Users that break the contract, kept whole; there only when there are any."""
    return f"{snapshot_folder(account_sid, snapshot)}/{REJECTS_NAME}"


def copy_path(account_sid: str, snapshot: str) -> str:
    """The list of files for Redshift's COPY; there only when somebody asked for it."""
    return f"{snapshot_folder(account_sid, snapshot)}/{COPY_NAME}"


def latest_path(account_sid: str) -> str:
    """The pointer to the newest manifest."""
    return f"{account_folder(account_sid)}/latest.json"


def partition_folder(form: Format, account_sid: str, snapshot: str) -> str:
    """Where a snapshot's parts of one format lie: a Hive partition."""
    return data_folder(form, account_sid, snapshot)


def changes_folder(account_sid: str, snapshot: str) -> str:
    """Where the changes since the previous snapshot lie: a Hive partition beside those of the formats."""
    return data_folder(CHANGES, account_sid, snapshot)


def data_account_folder(kind: str, account_sid: str) -> str:
    """Where an account's partitions of one of ``DATA_FOLDERS`` lie, by date."""
    return f"{kind}/{_account(account_sid)}"


def data_folder(kind: str, account_sid: str, snapshot: str) -> str:
    """A snapshot's partition in one of ``DATA_FOLDERS``."""
    date = snapshot_date(_checked(snapshot))
    return f"{data_account_folder(kind, account_sid)}/snapshot_date={date}/{ID_PREFIX}{snapshot}"


def part_name(form: Format, number: int, compression: Compression) -> str:
    """The name of a part, numbered from 0; ``compression`` is that of NDJSON."""
    suffix = "parquet" if form == "parquet" else _NDJSON_SUFFIX[compression]
    return f"part-{number:05d}.{suffix}"


def staging_account_folder(account_sid: str) -> str:
    """Where an account's unfinished publications lie."""
    return f"{STAGING}/{_account(account_sid)}"


def staging_folder(account_sid: str, snapshot: str) -> str:
    """Where a snapshot is put together before it is renamed into place."""
    return f"{staging_account_folder(account_sid)}/{_checked(snapshot)}"


def turn_path(account_sid: str) -> str:
    """What the account's writers take in turn to commit."""
    return f"{staging_account_folder(account_sid)}/turn.json"


def account_of(folder_name: str) -> str | None:
    """The account that a folder below ``snapshots`` belongs to; None for a foreign one."""
    sid = folder_name.removeprefix(_ACCOUNT_PREFIX)
    return sid if folder_name.startswith(_ACCOUNT_PREFIX) and _SID.fullmatch(sid) else None


def _account(account_sid: str) -> str:
    if not _SID.fullmatch(account_sid):
        raise UsageError("an account SID holds characters that cannot be part of a path", hint="it looks like AC0123…")
    return _ACCOUNT_PREFIX + account_sid


def _checked(snapshot: str) -> str:
    if not is_snapshot_id(snapshot):
        raise UsageError(f"{snapshot!a} is not the id of a snapshot", hint="it looks like 20261123T020000Z")
    return snapshot
