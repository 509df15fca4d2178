"""What `syncer load` does once its settings are known: check the snapshot, open the target, load."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from syncer.commands.erased import IsErased, refusing_erased
from syncer.crawl.proof import prove_coverage
from syncer.errors import SnapshotMismatch, UsageError
from syncer.load.source import Loaded, Part, Source
from syncer.load.tables import Database, How, load_table
from syncer.load.target import EXTRAS, TableName, Target
from syncer.snapshot.catalog import Published
from syncer.snapshot.local_store import LocalStore
from syncer.snapshot.manifest import FileFacts
from syncer.snapshot.pages import read_page_index
from syncer.snapshot.part_readers import PartFault, hash_file
from syncer.snapshot.reading import read_users
from syncer.snapshot.store import FileMissing, Store

_REGISTERS = ("delta", "iceberg")
"""Kinds of targets that take the parts as they are, without reading a row."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Choices:
    """What a person chose for a load."""

    table: TableName
    how: How
    deadline_seconds: float


def load_snapshot_into(
    target: Target, store: Store, published: Published, choices: Choices, is_erased: IsErased | None
) -> Loaded:
    """Load a checked snapshot. Raises SyncerError; what readers of the target see is then as it was.

    ``is_erased`` says whether an id is in the account's erasure ledger; None when nobody ever was erased.
    """
    try:
        into = _INTO[target.kind]()
    except ModuleNotFoundError:
        extra = EXTRAS[target.kind]
        raise UsageError(
            f"loading into {target.kind} needs the extra {extra}", hint=f"pip install 'syncer[{extra}]'"
        ) from None
    source = checked_source(store, published)
    if is_erased is not None:
        source = _refusing_erased(source, is_erased)
        if target.kind in _REGISTERS:
            for _ in source.batches():
                pass
    return into(target, store, source, choices)


def _refusing_erased(source: Source, is_erased: IsErased) -> Source:
    def batches() -> Iterator[Any]:
        return refusing_erased(source.batches(), is_erased, source.snapshot_id, "nothing was loaded")

    return replace(source, batches=batches)


def checked_source(store: Store, published: Published) -> Source:
    """A snapshot that is worth loading. Raises SnapshotMismatch naming what is not as the manifest says.

    Verdict, coverage, and size and sha256 of each file that will be read are looked at here; page checksums, order and
    number of rows while they are read, before anything of it can be seen in the target.
    """
    manifest = published.manifest
    form = "parquet" if "parquet" in manifest.formats else "ndjson"
    parts = [facts for facts in manifest.files if facts.format == form]
    index = manifest.page_index
    for path, size, sha256 in [(index.path, index.bytes, index.sha256), *((p.path, p.bytes, p.sha256) for p in parts)]:
        _check_file(store, path, size, sha256)
    coverage = prove_coverage(read_page_index(store, index.path))
    failed = [check.name for check in manifest.checks if not check.ok]
    if "incomplete" in (coverage.verdict, manifest.verdict) or failed:
        raise _mismatch(f"snapshot {manifest.snapshot_id} is not complete")
    if sum(part.rows for part in parts) != manifest.users:
        raise _mismatch(f"the parts of snapshot {manifest.snapshot_id} do not add up to its {manifest.users:,} users")
    return Source(
        account_sid=manifest.account_sid,
        snapshot_id=manifest.snapshot_id,
        manifest_sha256=published.sha256,
        users=manifest.users,
        parts=tuple(map(part_of, parts)) if form == "parquet" else (),
        batches=lambda: read_users(store, manifest),
    )


def part_of(facts: FileFacts) -> Part:
    """A part as the loads know it."""
    return Part(facts.path, facts.rows, facts.bytes, facts.min_id, facts.max_id)


def _check_file(store: Store, path: str, size: int, sha256: str) -> None:
    try:
        with store.open(path) as file:
            found = hash_file(file)
    except FileMissing:
        raise _mismatch(f"{path} is not there") from None
    except PartFault as fault:
        raise _mismatch(f"{path} {fault}") from None
    if found != (size, sha256):
        raise _mismatch(f"{path} is not the file that the manifest names")


def _mismatch(sentence: str) -> SnapshotMismatch:
    return SnapshotMismatch(sentence, hint="nothing was loaded; `syncer verify` names all that is wrong")


_Into = Callable[[Target, Store, Source, Choices], Loaded]


def _duckdb() -> _Into:
    from syncer.load.into_duckdb import KEYED_ROWS_MAX, open_duckdb

    def into(target: Target, store: Store, source: Source, choices: Choices) -> Loaded:  # noqa: ARG001
        if choices.how.mode == "replace" and source.users > KEYED_ROWS_MAX:
            _log.info("no primary key: DuckDB would keep its index in memory (docs/warehouse.md)")
        with open_duckdb(target.location) as database:
            return _into_database(database, source, choices)

    return into


def _postgres() -> _Into:
    from syncer.load.into_postgres import open_postgres

    def into(target: Target, store: Store, source: Source, choices: Choices) -> Loaded:  # noqa: ARG001
        with open_postgres(target, deadline_seconds=choices.deadline_seconds) as database:
            return _into_database(database, source, choices)

    return into


def _into_database(database: Database, source: Source, choices: Choices) -> Loaded:
    return load_table(database, choices.table, source, choices.how)


def _delta() -> _Into:
    from syncer.load.into_delta import load_delta

    def into(target: Target, store: Store, source: Source, choices: Choices) -> Loaded:
        if "://" in target.location:
            raise UsageError("a Delta table is made on a local disk", hint="give delta:PATH")
        root, how = _local_root(store), choices.how
        return load_delta(Path(target.location), root, source, how.mode, allow_older=how.allow_older)

    return into


def _iceberg() -> _Into:
    from syncer.load.into_iceberg import load_iceberg

    def into(target: Target, store: Store, source: Source, choices: Choices) -> Loaded:
        how = choices.how
        return load_iceberg(target.location, _files_at(store), source, how.mode, allow_older=how.allow_older)

    return into


def _local_root(store: Store) -> Path:
    if not isinstance(store, LocalStore):
        raise UsageError("a Delta table takes parts from a local disk", hint="give a folder as --destination")
    return store.root.resolve()


def _files_at(store: Store) -> str:
    """The destination as Iceberg's readers are to find it, for as long as the table names its files."""
    if isinstance(store, LocalStore):
        return f"file://{store.root.resolve()}"  # not ``as_uri``: pyiceberg takes the path as it stands
    if store.uri.startswith("az://"):
        raise UsageError("Iceberg's readers do not know az://", hint="give a folder, s3:// or gs:// as --destination")
    return store.uri


_INTO: dict[str, Callable[[], _Into]] = {
    "duckdb": _duckdb,
    "postgresql": _postgres,
    "delta": _delta,
    "iceberg": _iceberg,
}
