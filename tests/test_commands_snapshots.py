"""`snapshots`, `verify` and `check` on real snapshots of two small accounts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from syncer.commands.main import main
from syncer.snapshot.local_store import LocalStore
from syncer.snapshot.pages import read_page_index, write_page_index
from tests.processes import SID, emulator, export, syncer

OTHER = "AC" + "e" * 32


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose ``exports`` holds two snapshots of one account and one of another."""
    folder = tmp_path_factory.mktemp("published")
    with emulator("--users", "120") as running:
        export(running.url, folder)
        export(running.url, folder)
        export(running.url, folder, "--page-size", "50", TWILIO_ACCOUNT_SID=OTHER)
    return folder


@pytest.fixture
def destination(published: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(published / "exports", tmp_path / "exports"))


def ids_of(destination: Path, sid: str) -> list[str]:
    return sorted(p.parent.name for p in (destination / "snapshots" / f"account_sid={sid}").glob("*/manifest.json"))


def test_all_snapshots_are_listed_oldest_first(destination: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["snapshots", "--destination", str(destination), "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    first, second = ids_of(destination, SID)
    (other,) = ids_of(destination, OTHER)
    assert [(s["account_sid"], s["snapshot_id"], s["latest"]) for s in listed["snapshots"]] == [
        (SID, first, False),
        (SID, second, True),
        (OTHER, other, True),
    ]
    assert {(s["users"], s["verdict"], tuple(s["formats"])) for s in listed["snapshots"]} == {
        (120, "complete", ("parquet", "ndjson"))
    }
    assert all((destination / s["manifest"]).is_file() for s in listed["snapshots"])


def test_the_table_has_a_row_for_each(destination: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["snapshots", "--destination", str(destination), "--account", OTHER]) == 0
    out, errors = capsys.readouterr()
    account, head, row = out.splitlines()
    assert account == f"Account {OTHER}"
    assert head.split() == ["SNAPSHOT", "DAY", "USERS", "CHANGE", "DELETED", "SIZE", "TOOK", "VERDICT", "SIGNED"]
    (snapshot,) = ids_of(destination, OTHER)
    assert row.split()[0] == snapshot
    assert row.split()[3:5] == ["120", "-"]
    assert row.split()[-2:] == ["complete", "-"]
    assert errors == ""


@pytest.mark.parametrize(("which", "code"), [(0, 0), (1, 8)])
def test_a_damaged_manifest_is_named_and_hides_no_other_snapshot(
    which: int, code: int, destination: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = ids_of(destination, SID)
    damaged = ids.pop(which)
    path = f"snapshots/account_sid={SID}/{damaged}/manifest.json"
    (destination / path).write_text("{}")
    told = f"{path}: the manifest is wrong: version is missing"
    for flags in ([], ["--json"]):
        assert main(["snapshots", "--destination", str(destination), *flags]) == code
        out, errors = capsys.readouterr()
        if flags:
            assert [s["snapshot_id"] for s in json.loads(out)["snapshots"]] == [*ids, *ids_of(destination, OTHER)]
            assert json.loads(out)["damaged"] == [{"account_sid": SID, "snapshot_id": damaged, "error": told}]
        else:
            assert ids[0] in out
        assert errors == f"{'syncer: error' if code else 'damaged'}: {told}; restore it from a copy\n"


def test_a_destination_without_snapshots_has_an_empty_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["snapshots", "--destination", str(tmp_path), "--json"]) == 0
    out, errors = capsys.readouterr()
    assert json.loads(out) == {"version": 1, "snapshots": [], "damaged": []}
    assert errors == f"the destination {tmp_path} holds no snapshots\n"
    assert main(["snapshots", "--destination", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err == (
        f"syncer: error: the destination {tmp_path / 'none'} is not there; check --destination\n"
    )


def test_how_long_a_short_run_took_is_told(destination: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["snapshots", "--destination", str(destination), "--json"]) == 0
    assert all(0 < snapshot["seconds"] < 60 for snapshot in json.loads(capsys.readouterr().out)["snapshots"])


def test_an_export_after_a_damaged_snapshot_asks_nothing_and_says_what_to_do(destination: Path, tmp_path: Path) -> None:
    _, last = ids_of(destination, SID)
    folder = destination / "snapshots" / f"account_sid={SID}" / last
    (folder / "manifest.json").write_text("{}")
    with emulator("--users", "120") as running:
        flags = ("--base-url", running.url, "--destination", str(destination), "--state-dir", str(tmp_path / "state"))
        refused = syncer("export", *flags, "--json")
        assert refused.returncode == 8
        assert running.log() == []
        [failed] = json.loads(refused.stdout)["failed"]
        assert failed["exit_code"] == 8
        assert f"/{last}/manifest.json: the manifest is wrong: version is missing; restore that file" in failed["error"]
        folder.rename(tmp_path / "damaged")
        assert syncer("export", *flags).returncode == 0
    assert main(["verify", "--destination", str(destination), "--account", SID]) == 0


def test_a_damaged_manifest_is_a_report_too(destination: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (snapshot,) = ids_of(destination, OTHER)
    (destination / "snapshots" / f"account_sid={OTHER}" / snapshot / "manifest.json").write_text("{}")
    assert main(["verify", "--destination", str(destination), "--account", OTHER, "--json"]) == 8
    report = json.loads(capsys.readouterr().out)
    assert (report["snapshot_id"], report["ok"], report["verdict"]) == (snapshot, False, None)
    assert [(check["name"], check["ok"]) for check in report["checks"]] == [("manifest", False)]


@pytest.mark.parametrize("sid", ["AC" + "0" * 32, "../..", ""])
def test_an_account_that_is_not_there_is_refused_and_those_that_are_named(
    sid: str, destination: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["snapshots", "--destination", str(destination), "--account", sid]) == 2
    told = f"syncer: error: --account = {sid!r}: this destination does not hold it; it holds {SID}, {OTHER}\n"
    assert capsys.readouterr().err == told


@pytest.mark.parametrize("name", ["latest", "previous", "id"])
def test_a_sound_snapshot_is_verified_by_any_of_its_names(
    name: str, destination: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = ids_of(destination, SID)
    name = first if name == "id" else name
    assert main(["verify", name, "--destination", str(destination), "--account", SID, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["snapshot_id"] == (second if name == "latest" else first)
    assert (report["version"], report["account_sid"], report["verdict"], report["ok"]) == (1, SID, "complete", True)
    coverage = next(check for check in report["checks"] if check["name"] == "coverage")
    assert coverage["ok"]


def test_several_accounts_need_one_to_be_named(destination: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--destination", str(destination)]) == 2
    told = f"syncer: error: the destination holds several accounts; give --account, one of {SID}, {OTHER}\n"
    assert capsys.readouterr().err == told


def test_a_damaged_part_and_a_missing_page_index_are_both_told(
    destination: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (snapshot,) = ids_of(destination, OTHER)
    part = next((destination / "parquet" / f"account_sid={OTHER}").rglob("*.parquet"))
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.chmod(0o600)
    part.write_bytes(data)
    (destination / "snapshots" / f"account_sid={OTHER}" / snapshot / "pages.parquet").unlink()
    assert main(["verify", "--destination", str(destination), "--account", OTHER]) == 8
    out, errors = capsys.readouterr()
    assert "FAILED  parquet/part-00000.parquet: the part has" in out
    assert "FAILED  coverage: " in out
    assert errors.startswith(f"syncer: error: snapshot {snapshot} of {OTHER} does not match its manifest: ")
    assert errors.count("\n") == 1


def test_a_page_that_is_missing_from_the_proof_is_noticed_even_if_the_manifest_agrees(
    destination: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (snapshot,) = ids_of(destination, OTHER)
    path = destination / "snapshots" / f"account_sid={OTHER}" / snapshot / "manifest.json"
    manifest = json.loads(path.read_bytes())
    index = manifest["page_index"]["path"]
    first, _, last = read_page_index(LocalStore(destination), index)
    (destination / index).unlink()
    forged = write_page_index([first, last], destination / index, index)
    manifest["page_index"] |= {"rows": forged.rows, "bytes": forged.bytes, "sha256": forged.sha256}
    path.chmod(0o600)
    path.write_text(json.dumps(manifest))
    assert main(["verify", "--destination", str(destination), "--account", OTHER, "--json"]) == 8
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["page_index"]["ok"]
    assert not checks["coverage"]["ok"]
    assert checks["coverage"]["detail"].startswith("the pages prove incomplete, not complete: ")


@pytest.mark.parametrize("name", ["20200101T000000Z", "yesterday", "../x"])
def test_a_snapshot_that_is_not_there_is_wrong_usage(
    name: str, destination: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", name, "--destination", str(destination), "--account", SID]) == 2
    assert "`syncer snapshots` lists those it has" in capsys.readouterr().err


def test_a_list_may_be_read_by_a_reader_that_leaves(destination: Path) -> None:
    done = syncer("snapshots", "--destination", str(destination), "--json")
    assert (done.returncode, done.stderr) == (0, "")
