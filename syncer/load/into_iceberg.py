"""An Iceberg table: the parts already written are registered where they lie, in one commit of its catalog.

Catalogs and their logins are pyiceberg's own settings (~/.pyiceberg.yaml, PYICEBERG_CATALOG__…); what it says in an
error may hold them, so only the kind of error is told.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.exceptions import (
    AuthorizationExpiredError,
    CommitFailedException,
    CommitStateUnknownException,
    ForbiddenError,
    NoSuchTableError,
    NotInstalledError,
    OAuthError,
    ServiceUnavailableError,
    TableAlreadyExistsError,
    TooManyRequestsError,
    UnauthorizedError,
)
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import NestedField, StringType, TimestamptzType

from syncer.errors import (
    CredentialsRefused,
    DataRefused,
    GaveUp,
    LockHeld,
    StorageFailed,
    SyncerError,
    UsageError,
)
from syncer.load.plan import Held, needs_load
from syncer.load.source import Loaded, Source
from syncer.load.target import Mode

_SCHEMA = Schema(
    NestedField(1, "id", StringType(), required=True),
    NestedField(2, "created_at", TimestamptzType(), required=True),
    NestedField(3, "updated_at", TimestamptzType(), required=True),
    NestedField(4, "deleted_at", TimestamptzType(), required=False),
    NestedField(5, "extra", StringType(), required=False),
    identifier_field_ids=[1],
)
_SEE_SETTINGS = "see docs/warehouse.md on catalogs"
_ACCOUNT, _SNAPSHOT, _SHA256 = "syncer.account_sid", "syncer.snapshot_id", "syncer.manifest_sha256"


def load_iceberg(location: str, files_at: str, source: Source, mode: Mode, *, allow_older: bool) -> Loaded:
    """Make the table hold the snapshot; ``files_at`` is the destination as a URI. Raises SyncerError; the table's
    current snapshot is then as it was. Older ones stay readable by tag: that is the history."""
    if mode != "replace":
        raise UsageError(
            "an Iceberg table keeps its own history", hint="use --mode replace, and read tags or snapshots"
        )
    if not source.parts:
        raise UsageError("the snapshot has no Parquet parts to register", hint="export with --format parquet")
    catalog_name, _, identifier = location.partition(".")
    identifier = identifier if "." in identifier else f"default.{identifier}"
    with _errors(location):
        catalog = _catalog(catalog_name)
        table = _table(catalog, identifier)
        held = _held(table, location) if table else []
        changed = needs_load(held, location, source, mode, allow_older=allow_older)
        if changed:
            table = _register(catalog, identifier, table, [f"{files_at}/{part.path}" for part in source.parts], source)
        assert table is not None
        _tag(table, source)
        count = _count(table)
    if count != source.users:
        raise DataRefused(f"{location} counts {count:,} users instead of {source.users:,}", hint="roll back to a tag")
    return Loaded(changed, location, count)


def _table(catalog: Catalog, identifier: str) -> Table | None:
    try:
        return catalog.load_table(identifier)
    except NoSuchTableError:
        return None


def _held(table: Table, location: str) -> list[Held]:
    """What the current snapshot says it holds. Raises UsageError when somebody else wrote last."""
    current = table.current_snapshot()
    if current is None:
        return []
    said: dict[str, Any] = dict(current.summary.additional_properties) if current.summary else {}
    if _SNAPSHOT not in said:
        raise UsageError(f"{location} holds what `syncer load` did not put there", hint="give another table")
    return [Held("replace", said[_ACCOUNT], said[_SNAPSHOT], said[_SHA256])]


def _register(catalog: Catalog, identifier: str, table: Table | None, uris: list[str], source: Source) -> Table:
    """Remove what was registered and register the parts: one commit, so that a reader sees either, or a table that was
    not there before. The table as it is then."""
    said = {_ACCOUNT: source.account_sid, _SNAPSHOT: source.snapshot_id, _SHA256: source.manifest_sha256}
    if table is None:
        catalog.create_namespace_if_not_exists(identifier.rpartition(".")[0])
    change = table.transaction() if table else catalog.create_table_transaction(identifier, _SCHEMA)
    with change as transaction, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns that a table without rows has none to delete
        if table and table.current_snapshot() is not None:
            transaction.delete(AlwaysTrue(), snapshot_properties=said)
        transaction.add_files(uris, snapshot_properties=said, check_duplicate_files=False)
    return catalog.load_table(identifier)


def _tag(table: Table, source: Source) -> None:
    """Also what a load that was killed before this left undone."""
    current, name = table.current_snapshot(), f"syncer-{source.snapshot_id}"
    reference = table.metadata.refs.get(name)
    if current is not None and (reference is None or reference.snapshot_id != current.snapshot_id):
        table.manage_snapshots().create_tag(current.snapshot_id, name).commit()


def _count(table: Table) -> int:
    return sum(task.file.record_count for task in table.scan().plan_files())


@contextmanager
def _errors(location: str) -> Iterator[None]:
    """Theirs to ours. A catalog is whatever its settings name (SQL, REST, Glue, Hive), each with errors of its own."""
    try:
        yield
    except SyncerError:
        raise
    except Exception as error:
        ours = _ours(error, location)
        if ours is None:
            raise
        raise ours from None


def _ours(error: Exception, location: str) -> SyncerError | None:
    """None for an error that only a bug of ours can be."""
    kind, catalog = type(error).__name__, location.partition(".")[0]
    if isinstance(error, CommitFailedException | TableAlreadyExistsError):
        return LockHeld(f"{location} was changed by somebody else meanwhile", hint="run again")
    if isinstance(error, UnauthorizedError | ForbiddenError | AuthorizationExpiredError | OAuthError):
        return CredentialsRefused(f"the catalog {catalog} refused the login: {kind}", hint=_SEE_SETTINGS)
    if isinstance(error, NotInstalledError):
        return UsageError(f"the catalog {catalog} needs an extra of pyiceberg", hint="pip install 'pyiceberg[…]'")
    if isinstance(error, CommitStateUnknownException):
        return GaveUp(f"{location} may have been changed: the catalog did not answer", hint="run again: it looks")
    if isinstance(error, ServiceUnavailableError | TooManyRequestsError) or "Connection" in kind or "Timeout" in kind:
        return GaveUp(f"the catalog {catalog} cannot be reached: {kind}", hint="the table is as it was; run again")
    if isinstance(error, ValueError):
        return UsageError(f"{location} cannot be used: {kind}", hint=_SEE_SETTINGS)
    if isinstance(error, OSError) or type(error).__module__ != "builtins":
        return StorageFailed(f"{location} failed with {kind}", hint="the table is as it was; " + _SEE_SETTINGS)
    return None


def _catalog(name: str) -> Catalog:
    """Raises UsageError for one that pyiceberg's settings do not describe."""
    try:
        return load_catalog(name)
    except ValueError:
        raise UsageError(
            f"the catalog {name} is not set up", hint=f"set PYICEBERG_CATALOG__{name.upper()}__URI, or {_SEE_SETTINGS}"
        ) from None
