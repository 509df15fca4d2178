"""`syncer diff`, and what the export's options for guards and changes do, on real snapshots of an emulator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from syncer.commands.main import main
from tests.processes import SID, Emulator, emulator, export, export_flags, syncer

CHANGES = {"create": 7, "update": 5, "delete": 3}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]], list[dict[str, Any]]]:
    """Three snapshots: two that differ by ``CHANGES``, with the truth of both, and one like the second."""
    folder = tmp_path_factory.mktemp("diff")
    with emulator("--users", "1200") as running:
        export(running.url, folder)
        before = running.truth()
        running.change(**CHANGES)
        export(running.url, folder, "--changes")
        after = running.truth()
        export(running.url, folder, "--changes")
    return folder / "exports", before, after


def ids_of(destination: Path) -> list[str]:
    return sorted(p.parent.name for p in (destination / "snapshots").glob("*/*/manifest.json"))


def diff(destination: Path, *args: str) -> list[str]:
    return ["diff", *args, "--destination", str(destination)]


def test_known_changes_are_counted(
    published: tuple[Path, Any, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    destination, before, after = published
    first, second, _ = ids_of(destination)
    output = tmp_path / "changes.ndjson"
    assert main(diff(destination, first, second, "--json", "--output", str(output))) == 0
    out, errors = capsys.readouterr()
    old, new = ({user["id"]: user for user in users} for users in (before, after))
    deleted = [i for i in old if new[i]["deletedAt"] and not old[i]["deletedAt"]]
    updated = [i for i in old if new[i] != old[i] and i not in deleted]
    assert min(len(deleted), len(updated)) > 0
    assert json.loads(out) == {
        "version": 1,
        "account_sid": SID,
        "old": first,
        "new": second,
        "counts": {
            **{"created": 7, "updated": len(updated), "deleted": len(deleted), "returned": 0},
            **{"vanished": 0, "purged": 0, "unchanged": 1200 - len(updated) - len(deleted)},
        },
        "changes": 7 + len(updated) + len(deleted),
        "output": str(output),
    }
    assert errors == ""
    rows = [json.loads(line) for line in output.read_bytes().splitlines()]
    assert len(rows) == 7 + len(updated) + len(deleted)
    for row in rows:
        for side, users in (("old", old), ("new", new)):
            user = users.get(row["id"], {})
            named = {"created_at": "createdAt", "updated_at": "updatedAt", "deleted_at": "deletedAt"}
            assert {n: row[f"{side}_{n}"] for n in named} == {n: user.get(field) for n, field in named.items()}


def test_the_changes_of_an_export_are_those_of_the_command(published: tuple[Path, Any, Any], tmp_path: Path) -> None:
    destination, _, _ = published
    first, second, third = ids_of(destination)
    output = tmp_path / "changes.parquet"
    assert main(diff(destination, first, second, "--output", str(output))) == 0
    (part,) = (destination / "changes").glob(f"*/*/snapshot_id={second}/*.parquet")
    assert pq.ParquetFile(part).read().equals(pq.ParquetFile(output).read())
    (empty,) = (destination / "changes").glob(f"*/*/snapshot_id={third}/*.parquet")
    assert pq.ParquetFile(empty).metadata.num_rows == 0
    assert not list((destination / "changes").glob(f"*/*/snapshot_id={first}"))
    for name in (second, third):
        assert syncer("verify", name, "--destination", str(destination)).returncode == 0


def test_previous_and_latest_are_compared_by_default(
    published: tuple[Path, Any, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    destination, _, _ = published
    _, second, third = ids_of(destination)
    assert main(diff(destination)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"Changes of {SID} from {second} (1,207 users) to {third} (1,207 users)"
    assert [line.split()[:2] for line in lines[1:]] == [
        *(["0", word] for word in ("created", "updated", "deleted", "returned", "vanished", "purged")),
        ["1,207", "unchanged"],
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("20200101T000000Z",), "has no snapshot '20200101T000000Z'"),
        (("--output", "changes.csv"), "the name of the output does not say its format"),
        (("--output", "."), "this is a folder"),
    ],
)
def test_wrong_usage_is_exit_code_2(
    arguments: tuple[str, ...], words: str, published: tuple[Path, Any, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(diff(published[0], *arguments)) == 2
    assert words in capsys.readouterr().err


def test_a_damaged_part_is_exit_code_8_and_leaves_no_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with emulator("--users", "60") as running:
        export(running.url, tmp_path)
        export(running.url, tmp_path)
    part = sorted((tmp_path / "exports" / "parquet").rglob("*.parquet"))[0]
    data = bytearray(part.read_bytes())
    data[len(data) // 3] ^= 1
    part.write_bytes(data)
    output = tmp_path / "out" / "changes.parquet"
    assert main(diff(tmp_path / "exports", "--output", str(output))) == 8
    assert part.name in capsys.readouterr().err
    assert list(output.parent.iterdir()) == []


@pytest.fixture
def service() -> Any:
    with emulator("--users", "200", "--deleted", "gone") as running:
        yield running


def test_missing_users_are_confirmed_by_fetch(service: Emulator, tmp_path: Path) -> None:
    export(service.url, tmp_path)
    service.change(delete=4)
    printed = export(service.url, tmp_path, "--confirm-vanished")["snapshots"][0]
    manifest = json.loads((tmp_path / "exports" / printed["manifest"]).read_bytes())
    assert manifest["reconciliation"] == {"missing": 4, "gone": 4, "added": []}
    assert len([e for e in service.log() if e["method"] == "GET" and not e["path"].endswith("/Users")]) == 4
    service.change(delete=4)
    done = syncer(*export_flags(service.url, tmp_path, "--confirm-vanished", "3"))
    assert done.returncode == 5
    assert "4 users of the last snapshot are missing, and --confirm-vanished 3" in done.stderr


def test_a_deleted_user_that_the_list_hides_is_added(tmp_path: Path) -> None:
    with emulator("--users", "200", "--deleted", "hidden") as running:
        export(running.url, tmp_path)
        running.change(delete=4)
        printed = export(running.url, tmp_path, "--confirm-vanished")["snapshots"][0]
    assert printed["users"] == 200
    manifest = json.loads((tmp_path / "exports" / printed["manifest"]).read_bytes())
    assert (manifest["reconciliation"]["missing"], len(manifest["reconciliation"]["added"])) == (4, 4)
    assert syncer("verify", "--destination", str(tmp_path / "exports")).returncode == 0


def test_a_new_field_under_a_strict_contract_is_not_published_unless_allowed(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[guards]\ncontract = "strict"\n')
    with emulator("--users", "60") as running:
        first = export(running.url, tmp_path, "--config", str(config))["snapshots"][0]
    with emulator("--users", "60", "--related", "empty") as running:
        done = syncer(*export_flags(running.url, tmp_path, "--fresh", "--config", str(config)))
        assert done.returncode == 5
        assert "1 new ('related'), and guards.contract = \"strict\" allows no change" in done.stderr
        assert "--allow-drift accepts it" in done.stderr
        second = export(running.url, tmp_path, "--fresh", "--config", str(config), "--allow-drift")["snapshots"][0]
    fields = [json.loads((tmp_path / "exports" / s["manifest"]).read_bytes())["fields"] for s in (first, second)]
    assert fields == [[], ["related"]]


@pytest.mark.parametrize("number", ["0", "-1", "many", "1.5"])
def test_a_number_to_confirm_must_be_one(number: str, tmp_path: Path) -> None:
    done = syncer(*export_flags("http://127.0.0.1:9/v1", tmp_path, f"--confirm-vanished={number}"))
    assert done.returncode == 2
    assert "expected a whole number from 1" in done.stderr
