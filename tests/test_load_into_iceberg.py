"""Parts registered in an Iceberg table of a catalog in SQLite, read back by pyiceberg."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.catalog import load_catalog

from syncer.commands.main import main
from tests.loaded_data import FIRST, SECOND, publish_users, users_table

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::ResourceWarning")


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exports")
    publish_users(folder, 300, FIRST)
    publish_users(folder, 500, SECOND, changed_each=10)
    return folder


@pytest.fixture(autouse=True)
def _catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"TYPE": "sql", "URI": f"sqlite:///{tmp_path}/catalog.db", "WAREHOUSE": tmp_path.as_uri()}
    for name, value in settings.items():
        monkeypatch.setenv(f"PYICEBERG_CATALOG__TESTS__{name}", value)
    monkeypatch.setattr("pyiceberg.catalog._ENV_CONFIG", type(load_config())())


def load_config() -> Any:
    from pyiceberg.utils.config import Config

    return Config()


def load(exports: Path, snapshot: str, *flags: str, table: str = "tests.crm.users") -> int:
    return main(["load", f"iceberg:{table}", snapshot, "--destination", str(exports), *flags])


def read(tag: str | None = None) -> list[dict[str, Any]]:
    table = load_catalog("tests").load_table("crm.users")
    at = table.metadata.refs[tag].snapshot_id if tag else None
    found: list[dict[str, Any]] = table.scan(snapshot_id=at).to_arrow().sort_by("id").to_pylist()
    return found


def test_a_table_is_the_newest_snapshot_and_tags_name_those_before(exports: Path) -> None:
    assert [load(exports, snapshot) for snapshot in (FIRST, SECOND, SECOND)] == [0, 0, 0]
    assert read() == users_table(range(500), 10).to_pylist()
    assert read(f"syncer-{FIRST}") == users_table(range(300)).to_pylist()
    table = load_catalog("tests").load_table("crm.users")
    current = table.current_snapshot()
    assert current is not None
    assert current.summary is not None
    assert current.summary.additional_properties["syncer.snapshot_id"] == SECOND
    parts = list((exports / "parquet").rglob(f"snapshot_id={SECOND}/*.parquet"))
    assert [task.file.file_path for task in table.scan().plan_files()] == [f"file://{part}" for part in parts]


def test_a_new_table_has_its_users_from_its_first_commit_on(exports: Path) -> None:
    load(exports, FIRST)
    metadata = load_catalog("tests").load_table("crm.users").metadata
    assert [len(metadata.snapshots), len(metadata.metadata_log)] == [1, 1]  # the other one placed the tag


def test_a_table_that_another_load_has_made_meanwhile_is_noticed(
    exports: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    load(exports, FIRST)
    monkeypatch.setattr("syncer.load.into_iceberg._table", lambda catalog, identifier: None)
    assert load(exports, SECOND) == 7
    assert "tests.crm.users was changed by somebody else meanwhile; run again" in capsys.readouterr().err
    assert read() == users_table(range(300)).to_pylist()


def test_an_older_snapshot_needs_to_be_wanted(exports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load(exports, SECOND)
    assert load(exports, FIRST) == 5
    assert f"tests.crm.users holds {SECOND}, which is newer than {FIRST}; give --allow" in capsys.readouterr().err
    assert load(exports, FIRST, "--allow-older") == 0
    assert read() == users_table(range(300)).to_pylist()


def test_history_is_icebergs_own_and_an_unknown_catalog_is_wrong_usage(
    exports: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert load(exports, FIRST, "--mode", "append-history") == 2
    assert load(exports, FIRST, table="unknown.users") == 2
    assert capsys.readouterr().err.splitlines() == [
        "syncer: error: an Iceberg table keeps its own history; use --mode replace, and read tags or snapshots",
        "syncer: error: the catalog unknown is not set up; set PYICEBERG_CATALOG__UNKNOWN__URI, or see "
        "docs/warehouse.md on catalogs",
    ]


@pytest.mark.parametrize(
    ("settings", "code", "told"),
    [
        ({"URI": "sqlite:////nowhere/c.db"}, 6, "crm.users failed with OperationalError; the table is as it was; see"),
        ({"URI": "postgresql+psycopg2://u:geheim@127.0.0.1:1/db"}, 2, "the catalog tests needs an extra of pyiceberg"),
        ({"URI": "nonsense://u:geheim@h"}, 6, "tests.crm.users failed with NoSuchModuleError; the table is as it"),
        ({"TYPE": "rest", "URI": "http://u:geheim@127.0.0.1:1"}, 4, "the catalog tests cannot be reached: Connection"),
        ({"TYPE": "glue"}, 6, "tests.crm.users failed with NoRegionError; the table is as it was; see docs/warehouse"),
        ({"TYPE": "what"}, 2, "the catalog tests is not set up; set PYICEBERG_CATALOG__TESTS__URI, or see docs/"),
    ],
)
def test_what_a_catalog_says_is_one_sentence_without_its_settings(
    settings: dict[str, str], code: int, told: str, exports: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(f"PYICEBERG_CATALOG__TESTS__{name}", value)
    monkeypatch.setattr("pyiceberg.catalog._ENV_CONFIG", type(load_config())())
    assert load(exports, FIRST) == code
    errors = capsys.readouterr().err
    assert (told in errors, "geheim" in errors, errors.count("\n")) == (True, False, 1), errors


def test_a_catalog_that_never_answers_does_not_hold_a_load_beyond_its_deadline(
    exports: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        for name, value in {"TYPE": "rest", "URI": f"http://127.0.0.1:{port}"}.items():
            monkeypatch.setenv(f"PYICEBERG_CATALOG__TESTS__{name}", value)
        monkeypatch.setattr("pyiceberg.catalog._ENV_CONFIG", type(load_config())())
        assert load(exports, FIRST, "--deadline", "2s") == 4
    assert capsys.readouterr().err == (
        "syncer: error: the load was not done after 2 seconds; run again, with a longer --deadline: the table is as it "
        "was, or holds the snapshot\n"
    )
