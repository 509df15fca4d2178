"""Statements that load a snapshot into a warehouse of a vendor. Pure: text in, text out; docs/warehouse.md names the
pages that each was written from. Every statement names the snapshot's own files: nothing is found by a pattern.

Not tried on a real account. What only the reader knows stands in angle brackets.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Literal

from syncer.errors import UsageError
from syncer.load.source import Part, Source
from syncer.load.statements import literal
from syncer.load.target import TableName

Vendor = Literal["snowflake", "bigquery", "redshift", "athena", "databricks"]
VENDORS: tuple[Vendor, ...] = ("snowflake", "bigquery", "redshift", "athena", "databricks")
FILES_MAX = 1000
"""Snowflake's and Databricks' limit for names in one COPY."""


_SCHEMES: dict[Vendor, tuple[str, ...]] = {
    "snowflake": ("s3", "gcs", "azure"),
    "bigquery": ("gs",),
    "redshift": ("s3",),
    "athena": ("s3",),
    "databricks": ("s3", "gs", "abfss"),
}
"""What each can read from without more than the statements; the pages are those of docs/warehouse.md."""


def address_for(vendor: Vendor, files_at: str) -> str:
    """The destination in the vendor's own words. Raises UsageError for one that it cannot read, or cannot quote."""
    scheme, found, rest = files_at.partition("://")
    scheme = {"s3a": "s3", "gs": "gcs" if vendor == "snowflake" else "gs"}.get(scheme, scheme)
    known = " or ".join(f"{name}://" for name in _SCHEMES[vendor])
    if not found or "'" in rest:
        raise UsageError("a warehouse cannot read this destination", hint=f"give --files-at {known}, where a copy is")
    if scheme not in _SCHEMES[vendor]:
        raise UsageError(f"{vendor} does not read {scheme[:20]!a}://", hint=f"give --files-at {known}, where a copy is")
    return f"{scheme}://{rest}".rstrip("/")


def warehouse_sql(vendor: Vendor, source: Source, table: TableName, files_at: str) -> list[str]:
    """Statements in their order, without semicolons; ``files_at`` is the destination as the warehouse sees it."""
    return _WRITERS[vendor](source, table, files_at.rstrip("/"))


def redshift_manifest(source: Source, files_at: str) -> bytes:
    """COPY's own list of files. ``content_length`` is required for Parquet:
    https://docs.aws.amazon.com/redshift/latest/dg/loading-data-files-using-manifest.html"""
    entries = [
        {"url": f"{files_at.rstrip('/')}/{part.path}", "mandatory": True, "meta": {"content_length": part.bytes}}
        for part in source.parts
    ]
    return (json.dumps({"entries": entries}, indent=2) + "\n").encode()


def redshift_manifest_path(source: Source) -> str:
    """Beside the snapshot's manifest; relative to the destination."""
    return f"snapshots/account_sid={source.account_sid}/{source.snapshot_id}/redshift-manifest.json"


def _snowflake(source: Source, table: TableName, files_at: str) -> list[str]:
    stage = f"{table}_syncer_stage"
    copies = [
        f"COPY INTO {stage} FROM '{files_at}/' "
        "STORAGE_INTEGRATION = <integration> "
        f"FILES = ({_list(parts)}) FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE) "
        "MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE ON_ERROR = ABORT_STATEMENT FORCE = TRUE"
        for parts in _batches(source.parts)
    ]
    columns = (
        "(id VARCHAR NOT NULL PRIMARY KEY, created_at TIMESTAMP_TZ NOT NULL, updated_at TIMESTAMP_TZ NOT NULL, "
        "deleted_at TIMESTAMP_TZ, extra VARCHAR)"
    )
    return [
        f"CREATE TABLE IF NOT EXISTS {table} {columns}",
        f"DROP TABLE IF EXISTS {stage}",
        f"CREATE TABLE {stage} LIKE {table} COPY GRANTS",  # a swap exchanges privileges too
        *copies,
        _proof(stage, source),
        f"COMMENT ON TABLE {stage} IS {literal(_note(source))}",
        f"ALTER TABLE {table} SWAP WITH {stage}",
        f"DROP TABLE {stage}",
    ]


def _bigquery(source: Source, table: TableName, files_at: str) -> list[str]:
    """One load is one transaction: when it fails, the table is as it was."""
    columns = (
        "(id STRING NOT NULL, created_at TIMESTAMP NOT NULL, updated_at TIMESTAMP NOT NULL, deleted_at TIMESTAMP, "
        "extra STRING)"
    )
    uris = ", ".join(literal(f"{files_at}/{part.path}") for part in source.parts)
    return [
        f"LOAD DATA OVERWRITE {table} {columns} OPTIONS (description = {literal(_note(source))}) "
        f"FROM FILES (format = 'PARQUET', uris = [{uris}])",
        _proof(str(table), source),
    ]


def _redshift(source: Source, table: TableName, files_at: str) -> list[str]:
    stage, manifest = f"{table}_syncer_stage", f"{files_at}/{redshift_manifest_path(source)}"
    columns = (
        "(id VARCHAR(512) NOT NULL, created_at TIMESTAMP NOT NULL, updated_at TIMESTAMP NOT NULL, "
        "deleted_at TIMESTAMP, extra VARCHAR(65535), PRIMARY KEY (id)) SORTKEY (id)"
    )
    return [
        f"CREATE TABLE IF NOT EXISTS {table} {columns}",
        f"DROP TABLE IF EXISTS {stage}",
        f"CREATE TABLE {stage} {columns}",
        f"COPY {stage} FROM {literal(manifest)} IAM_ROLE '<role arn>' FORMAT AS PARQUET MANIFEST",
        _proof(stage, source),
        "BEGIN",
        f"DELETE FROM {table}",
        f"INSERT INTO {table} SELECT id, created_at, updated_at, deleted_at, extra FROM {stage}",
        f"COMMENT ON TABLE {table} IS {literal(_note(source))}",
        "COMMIT",
        f"DROP TABLE {stage}",
        f"ANALYZE {table}",
    ]


def _athena(source: Source, table: TableName, files_at: str) -> list[str]:
    folder = source.parts[0].path.rpartition("/")[0]
    return [
        f"CREATE EXTERNAL TABLE IF NOT EXISTS {table}_history (id string, created_at timestamp, updated_at timestamp, "
        "deleted_at timestamp, extra string) PARTITIONED BY (account_sid string, snapshot_id string) "
        f"STORED AS PARQUET LOCATION {literal(files_at + '/parquet/')}",
        f"ALTER TABLE {table}_history ADD IF NOT EXISTS PARTITION (account_sid = {literal(source.account_sid)}, "
        f"snapshot_id = {literal(source.snapshot_id)}) LOCATION {literal(f'{files_at}/{folder}/')}",
        _proof(f"{table}_history", source, f" WHERE snapshot_id = {literal(source.snapshot_id)}"),
        f"CREATE OR REPLACE VIEW {table} AS SELECT id, created_at, updated_at, deleted_at, extra FROM {table}_history "
        f"WHERE account_sid = {literal(source.account_sid)} AND snapshot_id = {literal(source.snapshot_id)}",
    ]


def _databricks(source: Source, table: TableName, files_at: str) -> list[str]:
    stage = f"{table}_syncer_stage"
    columns = (
        "(id STRING NOT NULL, created_at TIMESTAMP NOT NULL, updated_at TIMESTAMP NOT NULL, deleted_at TIMESTAMP, "
        "extra STRING)"
    )
    copies = [
        f"COPY INTO {stage} FROM (SELECT id, created_at, updated_at, deleted_at, extra FROM '{files_at}/') "
        f"FILEFORMAT = PARQUET FILES = ({_list(parts)}) COPY_OPTIONS ('force' = 'true')"
        for parts in _batches(source.parts)
    ]
    return [
        f"CREATE TABLE IF NOT EXISTS {table} {columns}",
        f"CREATE OR REPLACE TABLE {stage} {columns}",
        *copies,
        _proof(stage, source),
        f"INSERT OVERWRITE TABLE {table} SELECT id, created_at, updated_at, deleted_at, extra FROM {stage}",
        f"COMMENT ON TABLE {table} IS {literal(_note(source))}",
        f"DROP TABLE {stage}",
    ]


def _proof(table: str, source: Source, where: str = "") -> str:
    """One row: what is there, what should be. Whoever runs the statements stops when they differ."""
    return f"SELECT count(*) AS users_loaded, {source.users} AS users_expected FROM {table}{where}"


def _note(source: Source) -> str:
    return f"syncer snapshot {source.snapshot_id} of {source.account_sid}"


def _list(parts: Sequence[Part]) -> str:
    return ", ".join(literal(part.path) for part in parts)


def _batches(parts: Sequence[Part]) -> list[Sequence[Part]]:
    return [parts[at : at + FILES_MAX] for at in range(0, len(parts), FILES_MAX)]


_WRITERS: dict[Vendor, Callable[[Source, TableName, str], list[str]]] = {
    "snowflake": _snowflake,
    "bigquery": _bigquery,
    "redshift": _redshift,
    "athena": _athena,
    "databricks": _databricks,
}
