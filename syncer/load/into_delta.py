"""A Delta table on a local disk: the parts already written become its files, as they are, in one commit.

A part is linked into the table's folder, or copied where that lies on another disk: what Delta's vacuum removes later
is the table's own name for it, never the snapshot's. The names say what the table holds.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from deltalake import CommitProperties, DeltaTable, Field, Schema, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.schema import PrimitiveType
from deltalake.transaction import AddAction, create_table_with_add_actions

from syncer.errors import DataRefused, LockHeld, StorageFailed, UsageError
from syncer.load.plan import Held, needs_load
from syncer.load.source import Loaded, Part, Source
from syncer.load.target import Mode

_NAME = re.compile(
    r"(?P<snapshot>[0-9]{8}T[0-9]{6}Z)-(?P<account>[A-Za-z0-9_-]+)-(?P<sha256>[0-9a-f]{16})-part-[0-9]+\."
)
_DIGITS_OF_SHA256 = 16
_UNFINISHED = ".syncer-tmp"
_UNFINISHED_SECONDS_MAX = 86_400
_COLUMNS = (
    ("id", "string", False),
    ("created_at", "timestamp", False),
    ("updated_at", "timestamp", False),
    ("deleted_at", "timestamp", True),
    ("extra", "string", True),
)


def load_delta(folder: Path, destination: Path, source: Source, mode: Mode, *, allow_older: bool) -> Loaded:
    """Make the table hold the snapshot. Raises SyncerError; the table's newest version is then as it was."""
    if mode == "scd2":
        raise UsageError("a Delta table takes snapshots as they are", hint="use --mode replace or append-history")
    if not source.parts:
        raise UsageError("the snapshot has no Parquet parts to register", hint="export with --format parquet")
    with _errors(folder):
        table = DeltaTable(str(folder)) if DeltaTable.is_deltatable(str(folder)) else None
        held = _held(table, folder, source) if table else []
        if needs_load(held, str(folder), source, mode, allow_older=allow_older):
            names = [_place(part, destination, folder, source, mode) for part in source.parts]
            _commit(table, folder, names, source, mode, replaces=any(h.snapshot_id == source.snapshot_id for h in held))
            changed = True
        else:
            changed = False
        count = _count(folder, source, mode)
    if count != source.users:
        raise DataRefused(
            f"{folder} counts {count:,} users instead of {source.users:,}", hint="restore the version before"
        )
    return Loaded(changed, str(folder), count)


def _held(table: DeltaTable, folder: Path, source: Source) -> list[Held]:
    """What the table's files are called. Raises UsageError for a file that is not ours."""
    mode = "append-history" if table.metadata().partition_columns else "replace"
    held: dict[str, Held] = {}
    for uri in table.file_uris():
        match = _NAME.match(uri.rpartition("/")[2])
        if match is None:
            raise UsageError(f"{folder} holds what `syncer load` did not put there", hint="give another folder")
        is_same = source.manifest_sha256.startswith(match["sha256"])
        sha256 = source.manifest_sha256 if is_same else match["sha256"]
        held[match["snapshot"]] = Held(mode, match["account"], match["snapshot"], sha256)
    return list(held.values())


def _place(part: Part, destination: Path, folder: Path, source: Source, mode: Mode) -> str:
    """Give a part a name of the table's; its path below the table."""
    shelf = f"snapshot_id={source.snapshot_id}/" if mode == "append-history" else ""
    name = part.path.rpartition("/")[2]
    sha256 = source.manifest_sha256[:_DIGITS_OF_SHA256]
    path = f"{shelf}{source.snapshot_id}-{source.account_sid}-{sha256}-{name}"
    final = folder / path
    final.parent.mkdir(parents=True, exist_ok=True)
    _link_or_copy(destination / part.path, final)
    return path


def _link_or_copy(part: Path, final: Path) -> None:
    """In one step; a link of a killed load is as good as a new one."""
    with suppress(OSError):
        os.link(part, final)
    if final.exists() and final.samefile(part):
        return
    for leftover in final.parent.glob(f".*{_UNFINISHED}"):  # of a copy that was killed: vacuum passes hidden files by
        if time.time() - leftover.stat().st_mtime > _UNFINISHED_SECONDS_MAX:
            leftover.unlink(missing_ok=True)
    temporary = final.with_name(f".{secrets.token_hex(8)}{_UNFINISHED}")
    try:
        shutil.copyfile(part, temporary)
        os.replace(temporary, final)
    finally:
        temporary.unlink(missing_ok=True)


def _commit(
    table: DeltaTable | None, folder: Path, names: list[str], source: Source, mode: Mode, *, replaces: bool
) -> None:
    keys: dict[str, str | None] = {"snapshot_id": source.snapshot_id} if mode == "append-history" else {}
    actions: list[Any] = [
        AddAction(name, part.bytes, keys, int(source.moment.timestamp() * 1000), True, _statistics(part))
        for name, part in zip(names, source.parts, strict=True)
    ]
    properties = CommitProperties(
        custom_metadata={"syncer.snapshot_id": source.snapshot_id, "syncer.manifest_sha256": source.manifest_sha256},
        app_transactions=[Transaction("syncer", int(re.sub("[TZ]", "", source.snapshot_id)))],
        max_commit_retries=0,  # a commit since the table was read may be another load
    )
    if table is None:
        create_table_with_add_actions(
            str(folder), _schema(mode), actions, partition_by=list(keys), commit_properties=properties
        )
        return
    table.create_write_transaction(
        actions,
        mode="append" if mode == "append-history" and not replaces else "overwrite",
        schema=_schema(mode),
        partition_by=list(keys),
        partition_filters=[("snapshot_id", "=", source.snapshot_id)] if keys and replaces else None,
        commit_properties=properties,
    )


def _statistics(part: Part) -> str:
    """In Delta's own words."""
    bounds = {"minValues": {"id": part.min_id}, "maxValues": {"id": part.max_id}} if part.rows else {}
    return json.dumps({"numRecords": part.rows, **bounds, "nullCount": {"id": 0, "created_at": 0, "updated_at": 0}})


def _schema(mode: Mode) -> Schema:
    fields = [Field(name, PrimitiveType(kind), nullable=nullable) for name, kind, nullable in _COLUMNS]
    partition = Field("snapshot_id", PrimitiveType("string"), nullable=False)
    return Schema([*fields, partition] if mode == "append-history" else fields)


def _count(folder: Path, source: Source, mode: Mode) -> int:
    actions = DeltaTable(str(folder)).get_add_actions(flatten=True)
    rows = zip(actions.column("path").to_pylist(), actions.column("num_records").to_pylist(), strict=True)
    ours = source.snapshot_id
    return sum(count for path, count in rows if mode == "replace" or path.startswith(f"snapshot_id={ours}/"))


@contextmanager
def _errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except (DeltaError, OSError) as error:
        if isinstance(error, CommitFailedError) or "table already exists" in str(error):
            raise LockHeld(f"{folder} was changed by somebody else meanwhile", hint="run again") from None
        reason = str(error).partition("\n")[0][:200]
        raise StorageFailed(f"{folder}: {reason}", hint="the table is as it was; repair it and run again") from None
