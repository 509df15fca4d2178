"""`syncer load` as a whole: what it checks before it loads, what it prints, and what it never prints."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import duckdb
import pytest

from syncer.bulk.ledger import Ledger
from syncer.commands.main import main
from tests.loaded_data import ACCOUNT, FIRST, SECOND, THIRD, publish_users, user_id
from tests.processes import syncer

README = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    publish_users(folder, 100, FIRST)
    publish_users(folder, 300, SECOND, changed_each=10)
    publish_users(folder, 4, THIRD, formats=("ndjson",))
    return folder


@pytest.fixture
def exports(published: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(published, tmp_path / "exports"))


def load(exports: Path, *args: str) -> int:
    return main(["load", *args, "--destination", str(exports)])


def test_what_was_loaded_is_told_with_the_counts_of_manifest_and_table(
    exports: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = f"duckdb:///{tmp_path}/a.db"
    assert load(exports, target, SECOND) == 0
    told = re.sub(r"in [0-9.]+ s", "in N s", capsys.readouterr().out)
    assert told == (f"Loaded snapshot {SECOND} into main.users in N s: 300 users in the manifest, 300 in the table\n")
    assert load(exports, target, SECOND, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report.pop("seconds") < 60
    assert report == {
        "version": 1,
        "account_sid": ACCOUNT,
        "snapshot_id": SECOND,
        "table": "main.users",
        "mode": "replace",
        "changed": False,
        "users": 300,
    }


def test_a_snapshot_of_ndjson_alone_is_loaded_too(exports: Path, tmp_path: Path) -> None:
    assert load(exports, f"duckdb:///{tmp_path}/a.db") == 0
    with duckdb.connect(f"{tmp_path}/a.db") as connection:
        assert connection.execute("SELECT id FROM users ORDER BY id").fetchall() == [(user_id(n),) for n in range(4)]


@pytest.mark.parametrize("name", ["*.parquet", "pages.parquet"])
def test_a_damaged_file_is_noticed_before_anything_is_loaded(
    name: str, exports: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = exports / ("snapshots" if name == "pages.parquet" else "parquet")
    path = next(p for p in place.rglob(name) if SECOND in str(p))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert load(exports, f"duckdb:///{tmp_path}/a.db", SECOND) == 8
    assert capsys.readouterr().err == (
        f"syncer: error: {path.relative_to(exports)} is not the file that the manifest names; nothing was loaded; "
        "`syncer verify` names all that is wrong\n"
    )
    assert not (tmp_path / "a.db").exists()


def test_a_missing_part_is_noticed_before_anything_is_loaded(exports: Path, tmp_path: Path) -> None:
    next(p for p in (exports / "parquet").rglob("*.parquet") if FIRST in str(p)).unlink()
    assert load(exports, f"duckdb:///{tmp_path}/a.db", FIRST) == 8
    assert not (tmp_path / "a.db").exists()


def test_a_manifest_that_is_not_complete_is_not_loaded(
    exports: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = exports / "snapshots" / f"account_sid={ACCOUNT}" / FIRST / "manifest.json"
    path.write_text(path.read_text().replace('"verdict": "complete"', '"verdict": "incomplete"'))
    assert load(exports, f"duckdb:///{tmp_path}/a.db", FIRST) == 8
    assert f"snapshot {FIRST} is not complete" in capsys.readouterr().err


@pytest.mark.parametrize("target", ["duckdb:///{folder}/a.db", "delta:{folder}/table"])
def test_a_snapshot_with_an_erased_user_is_not_loaded(
    target: str, exports: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "state" / ACCOUNT).mkdir(parents=True)
    ledger = Ledger(tmp_path / "state" / ACCOUNT)
    ledger.add([user_id(200)], "2026-11-23T00:00:00Z", "asked for it")
    ledger.close()
    args = [target.replace("{folder}", str(tmp_path)), "--state-dir", str(tmp_path / "state")]
    assert load(exports, args[0], FIRST, *args[1:]) == 0
    assert load(exports, args[0], SECOND, *args[1:]) == 5
    assert f"snapshot {SECOND} holds users that were erased; nothing was loaded" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ([], "TARGET is missing; see syncer load --help"),
        (["latest", "postgresql://u:geheim@h/db"], "TARGET names nothing that can be loaded to; write duckdb:///"),
        (["duckdb:///a.db", "postgresql://u:geheim@h/db"], "SNAPSHOT is a URI; TARGET comes first, then SNAPSHOT"),
        (["duckdb:///a.db", "latest", "postgresql://u:geheim@h/db"], "syncer load does not know what to do with 'post"),
        (["duckdb:///a.db", "--table", "postgresql://u:geheim@h"], "--table is not a name of a table; use letters"),
        (["duckdb:///a.db", "--mode", "postgresql://u:geheim@h"], "--mode = 'postgresql://(login)@h': expected one"),
    ],
)
def test_wrong_usage_is_told_without_what_may_be_a_password(
    args: list[str], told: str, exports: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert load(exports, *args) == 2
    errors = capsys.readouterr().err
    assert errors.startswith(f"syncer: error: {told}")
    assert "geheim" not in errors


def test_a_password_on_the_command_line_works_but_is_warned_of(
    exports: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert load(exports, "postgresql://u:geheim@127.0.0.1:1/db") == 4
    errors = capsys.readouterr().err
    assert errors.startswith("syncer: a password on the command line can be seen by others; use ~/.pgpass or PGPASS")
    assert "geheim" not in errors


@pytest.mark.parametrize(
    ("target", "module", "extra"),
    [
        ("duckdb:///a.db", "duckdb", "duckdb"),
        ("postgresql://h/db", "adbc_driver_postgresql", "postgres"),
        ("delta:a", "deltalake", "delta"),
        ("iceberg:a.b", "pyiceberg", "iceberg"),
    ],
)
def test_a_missing_extra_is_named(
    target: str, module: str, extra: str, exports: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    for name in [name for name in sys.modules if name.startswith("syncer.load.into_")]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name == module or name.startswith(f"{module}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    assert load(exports, target, FIRST) == 2
    assert f"needs the extra {extra}; pip install 'syncer[{extra}]'" in capsys.readouterr().err


def test_the_example_of_the_readme_works_as_it_stands(published: Path, tmp_path: Path) -> None:
    block = re.search(r"## Into the warehouse\n.*?```\n(.*?)```.*?```sql\n(.*?)```", README, re.S)
    assert block is not None
    shutil.copytree(published, tmp_path / "exports")
    commands = [line.split("#")[0].split() for line in block[1].splitlines() if "duckdb:" in line]
    assert commands
    for command in commands:
        load, target, *flags = command[1:]
        flags = [word.replace("exports", str(tmp_path / "exports")) for word in flags]
        done = syncer(load, target.replace("warehouse.db", f"{tmp_path}/warehouse.db"), SECOND, *flags)
        assert done.returncode == 0, done.stderr
    with duckdb.connect(str(tmp_path / "warehouse.db"), read_only=True) as connection:
        assert connection.execute(block[2]).fetchall() == [(SECOND, 300, 300)]
