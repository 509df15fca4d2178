"""`syncer erase`: nothing of an erased user is left anywhere, snapshots verify, and a kill at any step is survived."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncer.commands.main import main
from syncer.commands.verifying import check_snapshot
from syncer.snapshot.catalog import list_manifests
from syncer.snapshot.erase import Terms, erasure
from syncer.snapshot.erase_plan import plan_erase
from syncer.snapshot.local_store import LocalStore
from syncer.snapshot.manifest import Tool
from syncer.snapshot.reading import read_users
from tests.erased_traces import found
from tests.processes import SID, emulator, export

TERMS = Terms("a request", "2026-11-24T03:00:00+00:00", Tool("syncer", "0"))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Two snapshots with changes between them, of one and of several walkers; ids to erase, at borders and within."""
    folder = tmp_path_factory.mktemp("exported")
    with emulator("--users", "400") as service:
        export(service.url, folder, "--page-size", "40", "--changes")
        ids = [user["id"] for user in service.truth()]
        service.change(delete=[ids[5]], update=[ids[80]], create=3)
        export(service.url, folder, "--page-size", "40", "--changes", "--concurrency", "4")
    # First and last of the list, both sides of a page's border, neighbours, one that changed, one of a row within.
    return folder, [ids[i] for i in (0, 39, 40, 41, 80, 123, 159, 160, 399, 5)]


def checks(destination: Path) -> list[str]:
    """What is wrong with any snapshot that a reader would find; how many there are is up to the step."""
    store = LocalStore(destination)
    problems = []
    for published in list_manifests(store, SID):
        problems += [f"{c.name}: {c.detail}" for c in check_snapshot(store, published).checks if not c.ok]
    return problems


def users(destination: Path) -> list[list[str]]:
    store = LocalStore(destination)
    return [
        [i for batch in read_users(store, p.manifest, ("id",)) for i in batch.column("id").to_pylist()]
        for p in list_manifests(store, SID)
    ]


def erase(folder: Path, *args: str) -> int:
    where = ["--destination", str(folder / "exports"), "--state-dir", str(folder / "state"), "--log-level", "error"]
    return main(["erase", *args, *where])


def test_nothing_of_an_erased_user_is_left(
    exported: tuple[Path, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, ids = exported
    shutil.copytree(source, tmp_path / "c")
    folder, destination = tmp_path / "c", tmp_path / "c" / "exports"
    before = users(destination)
    old = [published.manifest for published in list_manifests(LocalStore(destination), SID)]
    assert len(found(destination, ids)) > 4
    assert erase(folder, *ids, "--dry-run") == 0
    assert users(destination) == before
    assert erase(folder, *ids) == 2  # nobody agreed
    assert erase(folder, *ids, "--yes", "--reason", "request 17") == 0
    assert found(destination, ids) == []
    assert users(destination) == [[i for i in snapshot if i not in ids] for snapshot in before]
    assert checks(destination) == []
    pointer = json.loads((destination / "snapshots" / f"account_sid={SID}" / "latest.json").read_bytes())
    manifest = json.loads((destination / pointer["manifest"]).read_bytes())
    assert (manifest["erased"]["reason"], manifest["erased"]["users"]) == ("request 17", len(ids))
    assert old[-1].tree is not None
    assert (manifest["erased"]["snapshot_id"], manifest["erased"]["root"]) == (old[-1].snapshot_id, old[-1].tree.root)
    assert manifest["tree"]["root"] != old[-1].tree.root
    first = next(iter(list_manifests(LocalStore(destination), SID))).manifest.erased
    assert first is not None
    assert manifest["previous"] == {"snapshot_id": first.snapshot_id, "sha256": first.sha256}
    state = b"".join(path.read_bytes() for path in (folder / "state" / SID).iterdir() if path.is_file())
    assert not any(i.encode() in state for i in ids)
    out = capsys.readouterr()
    assert not any(i in out.out + out.err for i in ids)


def test_a_restored_copy_is_erased_again_by_the_ledger(exported: tuple[Path, list[str]], tmp_path: Path) -> None:
    source, ids = exported
    shutil.copytree(source, tmp_path / "c")
    folder, destination = tmp_path / "c", tmp_path / "c" / "exports"
    assert erase(folder, *ids, "--yes") == 0
    shutil.rmtree(destination)
    shutil.copytree(source / "exports", destination)
    assert erase(folder, "--yes") == 0
    assert (found(destination, ids), checks(destination)) == ([], [])
    kept = sorted(str(p) for p in destination.rglob("*"))
    assert erase(folder, "--yes") == 0  # nobody has come back
    assert sorted(str(p) for p in destination.rglob("*")) == kept


def test_users_beside_an_erased_one_can_be_erased_later(exported: tuple[Path, list[str]], tmp_path: Path) -> None:
    source, _ = exported
    shutil.copytree(source, tmp_path / "c")
    folder, destination = tmp_path / "c", tmp_path / "c" / "exports"
    first = users(destination)[0]
    assert erase(folder, first[40], "--yes") == 0
    assert erase(folder, first[39], first[38], "--yes") == 0
    assert (found(destination, first[38:41]), checks(destination)) == ([], [])


def test_a_kill_at_any_step_leaves_whole_snapshots_and_is_finished(
    exported: tuple[Path, list[str]], tmp_path: Path
) -> None:
    source, ids = exported
    wanted = frozenset(ids)
    stops, step_count = 0, 1
    while stops < step_count:
        destination = tmp_path / str(stops)
        shutil.copytree(source / "exports", destination)
        store = LocalStore(destination)
        allowed: set[tuple[str, ...]] = set()
        for snapshot in users(destination):
            allowed |= {tuple(snapshot), tuple(i for i in snapshot if i not in wanted)}
        steps = list(run_some(store, wanted, stops))
        step_count = max(step_count, stops + 2) if len(steps) == stops else step_count
        if len(steps) < stops:
            break
        assert checks(destination) == [], steps[-1:]
        assert {tuple(snapshot) for snapshot in users(destination)} <= allowed, steps[-1:]
        list(run_some(store, wanted, 10_000))
        assert (found(destination, ids), checks(destination), len(users(destination))) == ([], [], 2), steps[-1:]
        shutil.rmtree(destination)
        stops += 1
    assert stops > 20


def run_some(store: Any, wanted: frozenset[str], count: int) -> Iterator[str]:
    """Run so many steps, and not one more."""
    for number, step in enumerate(erasure(store, plan_erase(store, SID, wanted.__contains__), TERMS)):
        if number == count:
            return
        step.run()
        yield step.name


def test_what_killed_runs_left_goes_too(exported: tuple[Path, list[str]], tmp_path: Path) -> None:
    source, ids = exported
    shutil.copytree(source, tmp_path / "c")
    folder, destination = tmp_path / "c", tmp_path / "c" / "exports"
    account = f"account_sid={SID}"
    orphan = f"{account}/snapshot_date=2026-01-02/snapshot_id=20260102T000000Z"
    staged = [f"parquet/{orphan}/part-00000.parquet", f".staging/{account}/20260102T000000Z/ndjson/part-00000.ndjson"]
    living = next(iter(list_manifests(LocalStore(destination), SID))).manifest.snapshot_id
    staged += [f".staging/{account}/{living}/replaced-parquet/part", f"snapshots/{account}/{living}/.x.syncer-tmp"]
    for path in staged:
        (destination / path).parent.mkdir(parents=True, exist_ok=True)
        (destination / path).write_text(ids[0])
    assert erase(folder, ids[0], "--dry-run") == 0
    assert all((destination / path).exists() for path in staged)
    assert erase(folder, ids[0], "--yes") == 0
    assert (found(destination, ids[:1]), checks(destination)) == ([], [])
    assert not any((destination / path).exists() for path in staged)


def test_a_pruned_snapshot_whose_manifest_names_an_erased_user_is_forgotten(
    exported: tuple[Path, list[str]], tmp_path: Path
) -> None:
    source, ids = exported
    shutil.copytree(source, tmp_path / "c")
    folder, destination = tmp_path / "c", tmp_path / "c" / "exports"
    where = ["--destination", str(destination), "--state-dir", str(folder / "state")]
    assert main(["prune", "--keep-last", "1", *where]) == 0
    first = next(iter(sorted((destination / "snapshots" / f"account_sid={SID}").iterdir())))
    assert ids[0] in (first / "pruned.json").read_text()
    assert erase(folder, ids[0], "--yes") == 0
    assert (first.exists(), found(destination, ids[:1]), checks(destination)) == (False, [], [])


def test_signed_snapshots_are_not_replaced_by_unsigned_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = tmp_path / "key"
    assert main(["keygen", str(key)]) == 0
    with emulator("--users", "20") as service:
        ids = [user["id"] for user in service.truth()]
        export(service.url, tmp_path, "--signing-key", str(key))
    before = users(tmp_path / "exports")
    assert erase(tmp_path, ids[3], "--yes") == 2
    assert "is signed, what replaces it would not be, and nothing was changed; give --signing-key" in (
        capsys.readouterr().err
    )
    assert users(tmp_path / "exports") == before
    assert not (tmp_path / "state" / SID / "erased.ndjson").exists()
    assert erase(tmp_path, ids[3], "--yes", "--signing-key", str(key)) == 0
    assert (found(tmp_path / "exports", ids[3:4]), checks(tmp_path / "exports")) == ([], [])


def test_a_dry_run_leaves_the_state_folder_alone(exported: tuple[Path, list[str]], tmp_path: Path) -> None:
    source, ids = exported
    shutil.copytree(source, tmp_path / "c")
    state = tmp_path / "c" / "state" / SID
    before = sorted(path.name for path in state.iterdir())
    assert erase(tmp_path / "c", *ids, "--dry-run") == 0
    assert sorted(path.name for path in state.iterdir()) == before


def test_a_user_that_no_snapshot_names_is_remembered_and_it_is_said(
    exported: tuple[Path, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, _ = exported
    shutil.copytree(source, tmp_path / "c")
    nobody = "comms_pushnotificationuser_" + "0" * 26
    reports = []
    for _ in range(2):
        assert erase(tmp_path / "c", nobody, "--yes") == 0
        reports.append(capsys.readouterr().out.splitlines())
    nothing = "nothing below the destination names a user who is to be erased"
    assert reports == [[nothing, "1 user remembered as erased: exports leave them out from now on"], [nothing]]
    assert erase(tmp_path / "c", nobody, "--yes", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "version": 1,
        "account_sid": SID,
        "dry_run": False,
        "remembered": 0,
        "rewritten": [],
        "finished": [],
        "forgotten": [],
        "leftovers": [],
    }
