"""The statements for warehouses, read by a parser of each vendor's language."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

from syncer.commands.main import main
from syncer.load.source import Part, Source
from syncer.load.target import parse_table
from syncer.load.vendor_sql import FILES_MAX, VENDORS, Vendor, address_for, redshift_manifest, warehouse_sql
from tests.loaded_data import ACCOUNT, FIRST, SECOND, publish_users

TABLE = parse_table("crm.users")
URI = "s3://bucket/it's"


def source(parts: int = 2) -> Source:
    folder = f"parquet/account_sid=AC1/snapshot_date=2026-11-21/snapshot_id={FIRST}"
    return Source("AC1", FIRST, "ab", 3 * parts,
                  tuple(Part(f"{folder}/part-{n:05d}.parquet", 3, 10 + n, "a", "b") for n in range(parts)),
                  lambda: iter(()))  # fmt: skip


def parsed(vendor: Vendor, statement: str) -> exp.Expression:
    """As a tree. sqlglot does not know BigQuery's LOAD DATA; what it is made of is read piece by piece."""
    statement = statement.replace("<integration>", "integration")
    if load := re.fullmatch(
        r"LOAD DATA OVERWRITE (\S+) (\(.*?\)) (OPTIONS \(.*?\)) FROM FILES \(format = 'PARQUET', uris = (\[.*\])\)",
        statement,
    ):
        sqlglot.parse_one(f"SELECT {load[4]}", dialect=vendor)
        statement = f"CREATE TABLE {load[1]} {load[2]} {load[3]}"
    tree = sqlglot.parse_one(statement, dialect=vendor)
    assert not isinstance(tree, exp.Command), statement
    return tree


@pytest.mark.parametrize("vendor", VENDORS)
def test_every_statement_is_of_the_vendors_language(vendor: Vendor) -> None:
    trees = [parsed(vendor, sql) for sql in warehouse_sql(vendor, source(), TABLE, "s3://bucket/folder/")]
    created = next(tree for tree in trees if isinstance(tree, exp.Create))
    names = [column.name for column in created.find_all(exp.ColumnDef)]
    assert names[:5] == ["id", "created_at", "updated_at", "deleted_at", "extra"]


@pytest.mark.parametrize("vendor", VENDORS)
def test_every_part_is_named_once_and_the_count_can_be_proven(vendor: Vendor) -> None:
    told = ";\n".join(warehouse_sql(vendor, source(), TABLE, "s3://bucket/folder"))
    if vendor in ("snowflake", "bigquery", "databricks"):
        assert [told.count(f"/part-{n:05d}.parquet'") for n in range(2)] == [1, 1]
    assert "SELECT count(*) AS users_loaded, 6 AS users_expected FROM crm.users" in told


@pytest.mark.parametrize("vendor", ["snowflake", "databricks"])
def test_a_copy_names_no_more_files_than_are_allowed(vendor: Vendor) -> None:
    copies = [sql for sql in warehouse_sql(vendor, source(FILES_MAX + 1), TABLE, URI) if sql.startswith("COPY")]
    assert [copy.count(".parquet'") for copy in copies] == [FILES_MAX, 1]


def test_timestamps_of_snowflake_are_read_as_such() -> None:
    assert all(
        "USE_LOGICAL_TYPE = TRUE" in sql
        for sql in warehouse_sql("snowflake", source(), TABLE, URI)
        if "COPY INTO" in sql
    )


@pytest.mark.parametrize(
    ("vendor", "given", "told"),
    [
        ("snowflake", "gs://b/x/", "gcs://b/x"),
        ("snowflake", "azure://a.blob.core.windows.net/c", "azure://a.blob.core.windows.net/c"),
        ("bigquery", "gs://b/x", "gs://b/x"),
        ("redshift", "s3a://b", "s3://b"),
        ("databricks", "abfss://c@a.dfs.core.windows.net/x", "abfss://c@a.dfs.core.windows.net/x"),
    ],
)
def test_a_destination_is_told_in_the_vendors_own_words(vendor: Vendor, given: str, told: str) -> None:
    assert address_for(vendor, given) == told


def test_redshifts_manifest_gives_the_length_of_each_file() -> None:
    folder = f"s3://b/parquet/account_sid=AC1/snapshot_date=2026-11-21/snapshot_id={FIRST}"
    assert json.loads(redshift_manifest(source(), "s3://b/")) == {
        "entries": [
            {"url": f"{folder}/part-00000.parquet", "mandatory": True, "meta": {"content_length": 10}},
            {"url": f"{folder}/part-00001.parquet", "mandatory": True, "meta": {"content_length": 11}},
        ]
    }


def test_the_command_prints_them_and_writes_the_manifest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish_users(tmp_path, 20, FIRST)
    where = ["--destination", str(tmp_path), "--table", "crm.users"]
    assert main(["load", "--print-sql", "redshift", FIRST, *where, "--files-at", "s3://b/x"]) == 0
    out, errors = capsys.readouterr()
    manifest = f"snapshots/account_sid={ACCOUNT}/{FIRST}/redshift-manifest.json"
    assert f"COPY crm.users_syncer_stage FROM 's3://b/x/{manifest}' IAM_ROLE" in out
    assert errors == (
        "syncer: Redshift may not read these parts: export with --parquet-profile redshift\n"
        f"syncer: COPY's own manifest was written to {manifest}\n"
    )
    part = next((tmp_path / "parquet").rglob(f"snapshot_id={FIRST}/*.parquet"))
    assert json.loads((tmp_path / manifest).read_bytes())["entries"] == [
        {
            "url": f"s3://b/x/{part.relative_to(tmp_path)}",
            "mandatory": True,
            "meta": {"content_length": part.stat().st_size},
        }
    ]
    assert main(["verify", FIRST, "--destination", str(tmp_path)]) == 0
    publish_users(tmp_path, 30, SECOND)
    capsys.readouterr()
    assert main(["load", "--print-sql", "bigquery", *where, "--files-at", "gs://b"]) == 0
    assert f"snapshot_id={SECOND}/part-00000.parquet" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ([], "a warehouse cannot read this destination; give --files-at s3://, where a copy is"),
        (["--files-at", "s3://it's"], "a warehouse cannot read this destination; give --files-at s3://, where a"),
        (["--files-at", "gs://b"], "athena does not read 'gs'://; give --files-at s3://, where a copy is"),
        (["duckdb:///a.db", FIRST], "--print-sql has no TARGET; give only the SNAPSHOT"),
        (["--mode", "scd2"], "--print-sql knows only --mode replace; leave --mode out"),
    ],
)
def test_what_cannot_be_printed_is_wrong_usage(
    flags: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish_users(tmp_path, 20, FIRST)
    assert main(["load", "--print-sql", "athena", *flags, "--destination", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"syncer: error: {told}")
