"""An adversary with a hand in the history: what is moved, left out or brought back is found by `verify`, or said."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from syncer.commands.main import main
from syncer.snapshot import layout
from tests.adversary import FIRST, LATEST, PRUNED, Adversary, found, golden_exports
from tests.golden.make import PLAIN, SIGNED, SIGNER


@pytest.fixture
def signed(tmp_path: Path) -> Adversary:
    return Adversary(golden_exports(tmp_path))


def test_a_change_in_an_older_snapshot_is_found_by_the_next_one(
    signed: Adversary, capsys: pytest.CaptureFixture[str]
) -> None:
    older = Adversary(signed.root, SIGNED, FIRST)
    older.rewrite(lambda m: m["crawl"].update(requests=9))
    older.manifest_path.with_name("manifest.json.sig").write_bytes(SIGNER.sign(older.manifest_path.read_bytes()))
    assert f"next: {LATEST} names another manifest than this one" in found(older, capsys, FIRST, "--account", SIGNED)
    assert f"previous: {layout.manifest_path(SIGNED, FIRST)} has changed since" in found(older, capsys)


def test_a_snapshot_of_another_account_or_another_night_is_found(
    signed: Adversary, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = signed.manifest_path.read_bytes()
    for sid, snapshot_id in ((PLAIN, PRUNED), (SIGNED, FIRST)):
        signed.manifest_path.write_bytes((signed.root / layout.manifest_path(sid, snapshot_id)).read_bytes())
        assert f"{layout.manifest_path(SIGNED, LATEST)} is the manifest of another snapshot" in found(signed, capsys)
        error = found(signed, capsys, "--account", SIGNED, "--all")
        assert f"next: cannot be told: the manifest of {LATEST} is that of another snapshot" in error
    signed.manifest_path.write_bytes(whole)
    older = Adversary(signed.root, SIGNED, FIRST)
    older.manifest_path.write_bytes(whole.replace(LATEST.encode(), FIRST.encode()))
    shutil.copytree(signed.part().parent, older.part().parent, dirs_exist_ok=True)
    assert "its times do not agree with its id" in found(older, capsys, "--account", SIGNED, FIRST)


def test_a_signed_snapshot_under_a_later_id_is_found_by_its_signature(
    signed: Adversary, capsys: pytest.CaptureFixture[str]
) -> None:
    replayed = Adversary(signed.root, SIGNED, "20261124T020000Z")
    for path in [p for p in signed.root.rglob("*") if LATEST in str(p) and p.is_file()]:
        copy = Path(str(path).replace(LATEST, "20261124T020000Z").replace("2026-11-23", "2026-11-24"))
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    text = (
        replayed.manifest_path.read_text()
        .replace(LATEST, "20261124T020000Z")
        .replace("date=2026-11-23", "date=2026-11-24")
    )
    replayed.manifest_path.write_text(text)
    replayed.point()
    error = found(signed, capsys)
    assert "is not a signature of this manifest" in error
    assert f"next: 20261124T020000Z follows {FIRST}, and passes this snapshot over" in found(
        signed, capsys, "--account", SIGNED, LATEST
    )  # fmt: skip


def test_a_pointer_that_was_moved_back_or_taken_away_is_found(
    signed: Adversary, capsys: pytest.CaptureFixture[str]
) -> None:
    Adversary(signed.root, SIGNED, FIRST).point()
    assert f"pointer: {layout.latest_path(SIGNED)} names {FIRST}, which is older" in found(signed, capsys)
    (signed.root / layout.latest_path(SIGNED)).unlink()
    assert f"pointer: {layout.latest_path(SIGNED)} is not there" in found(signed, capsys)


def test_a_newest_snapshot_that_was_taken_away_is_missed_by_the_pointer(
    signed: Adversary, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(signed.manifest_path.parent)
    assert f"pointer: {layout.latest_path(SIGNED)} names {LATEST}" in found(signed, capsys)
    Adversary(signed.root, SIGNED, FIRST).point()
    assert found(signed, capsys) == ""  # with the pointer it is as if it had never been: docs/design.md says so
    assert f"{layout.data_folder('parquet', SIGNED, LATEST)} belongs to no snapshot" in found(
        signed, capsys, "--account", SIGNED, "--all"
    )


def test_a_history_that_begins_later_than_it_did_is_said_and_no_failure(
    signed: Adversary, capsys: pytest.CaptureFixture[str]
) -> None:
    signed.at(layout.pruned_path(SIGNED, PRUNED)).unlink()
    assert main(["verify", "--destination", str(signed.root), "--account", SIGNED, FIRST]) == 0
    assert f"previous: {PRUNED} is not there any more, and prune did not remove it" in capsys.readouterr().out


def test_all_manifests_taken_away_is_no_clean_bill(signed: Adversary, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in signed.manifest_path.parent.parent.iterdir():
        if folder.is_dir():
            shutil.rmtree(folder)
    error = found(signed, capsys, "--account", SIGNED, "--all")
    assert f"the history of {SIGNED} is not whole: history: " in error
    assert "no snapshot is" in error


def test_changes_that_are_not_those_between_the_two_snapshots_are_found(
    signed: Adversary, capsys: pytest.CaptureFixture[str]
) -> None:
    path = signed.at(signed.manifest["changes"]["files"][0]["path"])
    table = pq.read_table(path, partitioning=None)
    words = ["vanished" if word == "updated" else "updated" for word in table.column("change").to_pylist()]
    pq.write_table(table.set_column(0, table.schema.field(0), pa.array(words)), path)
    signed.refresh()
    signed.point()
    assert f"changes_between: they are not those between {FIRST} and this snapshot" in found(signed, capsys)
    pq.write_table(table.slice(1), path)
    signed.refresh()
    assert f"{path.relative_to(signed.root)}: the part has 1 rows instead of 2" in found(signed, capsys)
    pq.write_table(table.drop_columns("old_extra"), path)
    signed.refresh()
    assert "the part does not have the columns of changes" in found(signed, capsys)
    path.write_bytes(b"PAR1 no parquet PAR1")
    signed.refresh()
    assert "the part cannot be read as Parquet: it is damaged" in found(signed, capsys)


@pytest.mark.parametrize("change", ["gone", "other", "damaged"])
def test_changes_are_not_compared_with_a_snapshot_that_is_not_what_it_was(
    signed: Adversary, change: str, capsys: pytest.CaptureFixture[str]
) -> None:
    older = Adversary(signed.root, SIGNED, FIRST)
    if change == "gone":
        older.manifest_path.rename(older.manifest_path.with_name("pruned.json"))
    elif change == "other":
        older.rewrite(lambda m: m["crawl"].update(requests=9))
    else:
        older.part().write_bytes(b"PAR1")
    code = main(["verify", "--destination", str(signed.root), "--account", SIGNED])
    said = {"gone": f"{FIRST} is not there any more", "other": f"{FIRST} has changed since", "damaged": "is damaged"}
    lines = [line for line in capsys.readouterr().out.splitlines() if "changes_between" in line]
    assert (code, lines[0].startswith("  ok      changes_between: not compared: "), said[change] in lines[0]) == (
        8 if change == "other" else 0,
        True,
        True,
    )
