"""An export that meets erased users: none is ever in a published file, and proof, changes and guards stay sound."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.erased_traces import found
from tests.processes import SID, Emulator, data_files, emulator, export, syncer
from tests.test_commands_erase import checks, erase, users

BOTH = ("--format", "parquet", "--format", "ndjson", "--page-size", "40", "--changes")
BORDERS = (0, 39, 40, 41, 80, 123, 159, 160, 399, 5)
"""First and last of the list, both sides of a page's border, neighbours, users within."""


def latest(folder: Path) -> dict[str, Any]:
    exports = folder / "exports"
    pointer = json.loads((exports / "snapshots" / f"account_sid={SID}" / "latest.json").read_bytes())
    return dict(json.loads((exports / pointer["manifest"]).read_bytes()))


def changes(folder: Path, manifest: dict[str, Any]) -> list[tuple[str, str]]:
    tables = [pq.read_table(folder / "exports" / file["path"]) for file in manifest["changes"]["files"]]
    return [(row["change"], row["id"]) for table in tables for row in table.to_pylist()]


def night(service: Emulator, folder: Path, *more: str) -> tuple[dict[str, Any], str]:
    """One export; its manifest, and what was said."""
    where = ["--destination", str(folder / "exports"), "--state-dir", str(folder / "state"), "--progress", "never"]
    done = syncer("export", "--base-url", service.url, "--rate", "10000", *where, *more)
    assert done.returncode == 0, done.stderr
    return latest(folder), " ".join(done.stderr.split())


@pytest.mark.parametrize(("walkers", "order"), [("1", "oldest"), ("4", "oldest"), ("4", "newest")])
def test_erased_users_who_are_served_again_are_left_out_and_the_changes_are_written(
    tmp_path: Path, walkers: str, order: str
) -> None:
    with emulator("--users", "400", "--order", order) as service:
        ids = [user["id"] for user in service.truth()]
        gone = [ids[i] for i in BORDERS]
        export(service.url, tmp_path, *BOTH)
        assert erase(tmp_path, *gone, "--yes") == 0
        service.change(update=[ids[80], ids[81]], create=2)
        manifest, said = night(service, tmp_path, *BOTH, "--concurrency", walkers)
        assert found(tmp_path / "exports", gone) == []
        assert checks(tmp_path / "exports") == []
        assert users(tmp_path / "exports")[-1] == [u["id"] for u in service.truth() if u["id"] not in gone]
        assert (manifest["users"], "erased" in manifest) == (392, False)
        detail = "10 erased users served again, and left out"
        assert manifest["checks"]["erased"] == {"ok": True, "detail": detail}
        assert "10 erased users were served again, and left out of the snapshot" in said
        assert sorted(word for word, _ in changes(tmp_path, manifest)) == ["created", "created", "updated"]
        # The next night starts at the entries of this one, as far as no token names an erased user.
        manifest, _ = night(service, tmp_path, *BOTH, "--concurrency", "4")
        assert (manifest["crawl"]["walkers"], manifest["crawl"]["entries_refused"]) == (4, 0)
        assert (changes(tmp_path, manifest), checks(tmp_path / "exports")) == ([], [])


def test_the_files_are_those_of_a_list_without_the_erased_users(tmp_path: Path) -> None:
    with emulator("--users", "300") as service:
        gone = [user["id"] for user in service.truth()][::37]
        export(service.url, tmp_path, *BOTH)
        assert erase(tmp_path, *gone, "--yes") == 0
        rewritten = data_files(tmp_path)
        night(service, tmp_path, *BOTH, "--page-size", "17")
    assert data_files(tmp_path) == rewritten


def test_erased_users_of_a_restored_snapshot_are_noticed_and_no_change(tmp_path: Path) -> None:
    with emulator("--users", "200") as service:
        gone = [user["id"] for user in service.truth()][20:120]
        export(service.url, tmp_path, *BOTH)
        shutil.copytree(tmp_path / "exports", tmp_path / "copy")
        assert erase(tmp_path, *gone, "--yes") == 0
        shutil.rmtree(tmp_path / "exports")
        (tmp_path / "copy").rename(tmp_path / "exports")
        time.sleep(2)  # ids are seconds: what replaces the first snapshot needs one between it and the second
        manifest, said = night(service, tmp_path, *BOTH)
        assert changes(tmp_path, manifest) == []  # half of the users are gone, and no guard trips either
        assert manifest["checks"]["vanished"]["detail"].startswith("no user of the last snapshot gone")
        assert "holds 100 erased users: `syncer erase` without ids takes them out" in said
        where = ["--destination", str(tmp_path / "exports"), "--state-dir", str(tmp_path / "state")]
        for command in (["diff"], ["prove", gone[3], "previous"], ["fetch", "--from", "previous"]):
            done = syncer(*command, *where)
            assert (done.returncode, done.stdout) == (5, ""), (command, done.stderr)
            assert "holds users that were erased" in done.stderr
        assert erase(tmp_path, "--yes") == 0
    assert (found(tmp_path / "exports", gone), checks(tmp_path / "exports")) == ([], [])
    assert syncer("diff", *where).returncode == 0
    absent = syncer("prove", gone[3], *where)
    assert json.loads(absent.stdout)["present"] is False


def test_rejects_that_name_an_erased_user_say_only_that(tmp_path: Path) -> None:
    with emulator("--users", "90", "--fault", "bad-row=1") as service:
        ids = [user["id"] for user in service.truth()]
        export(service.url, tmp_path, "--page-size", "30", SYNCER_MAX_REJECTS="9")
        manifest = latest(tmp_path)
        lines = (tmp_path / "exports" / manifest["rejects"]["path"]).read_bytes().splitlines()
        gone = [i for i in ids if any(i.encode() in line for line in lines)]
        assert gone
        assert erase(tmp_path, *gone, "--yes") == 0
        export(service.url, tmp_path, "--page-size", "30", SYNCER_MAX_REJECTS="9")
    assert (found(tmp_path / "exports", gone), checks(tmp_path / "exports")) == ([], [])
    assert latest(tmp_path)["rejects"]["count"] == manifest["rejects"]["count"]


def test_a_ledger_whose_key_is_gone_stops_the_export_before_anything_is_published(tmp_path: Path) -> None:
    with emulator("--users", "50") as service:
        export(service.url, tmp_path)
        assert erase(tmp_path, service.truth()[3]["id"], "--yes") == 0
        before = users(tmp_path / "exports")
        (tmp_path / "state" / SID / "erasure.key").unlink()
        export(service.url, tmp_path, code=6)
    assert users(tmp_path / "exports") == before
