"""`keygen`, signed exports, `verify --all`, `prove`, `prune` and the table, on real snapshots of a small account."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from syncer.commands.main import main
from syncer.lock import hold_lock
from syncer.snapshot.layout import snapshot_time
from tests.golden.make import PLAIN, SIGNED
from tests.processes import SID, emulator, export, syncer

DOCS = Path(__file__).resolve().parent.parent / "docs"
GOLDEN = Path(__file__).resolve().parent / "golden"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a key, its trusted_keys, and three snapshots below ``exports``: the last one is not signed."""
    folder = tmp_path_factory.mktemp("published")
    done = syncer("keygen", str(folder / "key"), "--identity", "ops@example.com")
    (folder / "trusted_keys").write_text(done.stdout)
    with emulator("--users", "700") as running:
        export(running.url, folder, "--signing-key", str(folder / "key"))
        running.change(create=6, delete=2)
        export(running.url, folder, "--signing-key", str(folder / "key"))
        export(running.url, folder)
    return folder


@pytest.fixture
def folder(published: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(published, tmp_path / "copy"))


def flags(folder: Path) -> list[str]:
    return ["--destination", str(folder / "exports")]


def ids_of(folder: Path) -> list[str]:
    return sorted(p.parent.name for p in (folder / "exports/snapshots").glob("*/*/manifest.json"))


def account_folder(folder: Path) -> Path:
    return folder / "exports/snapshots" / f"account_sid={SID}"


def first_user(folder: Path) -> str:
    manifest = json.loads((account_folder(folder) / ids_of(folder)[1] / "manifest.json").read_bytes())
    return str(manifest["files"][0]["min_id"])


def test_a_key_is_made_once_and_its_line_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keygen", str(tmp_path / "key")]) == 0
    out, errors = capsys.readouterr()
    assert out.startswith('syncer namespaces="syncer-manifest" ssh-ed25519 AAAA')
    assert f"is in {tmp_path / 'key'}" in errors
    assert main(["keygen", str(tmp_path / "key")]) == 2
    assert main(["keygen", str(tmp_path / "other"), "--identity", "two words"]) == 2
    assert not (tmp_path / "other").exists()


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="OpenSSH is not installed")
def test_a_signed_snapshot_is_checked_by_ssh_keygen_alone_as_the_page_says(folder: Path) -> None:
    (command,) = re.findall(r"^ssh-keygen -Y verify .*$", (DOCS / "formats.md").read_text(), re.M)
    command = command.replace("-I syncer ", "-I ops@example.com ")
    snapshot = account_folder(folder) / ids_of(folder)[0]
    shutil.copy(folder / "trusted_keys", snapshot)
    assert subprocess.run(command, shell=True, cwd=snapshot, capture_output=True, timeout=30).returncode == 0
    manifest = snapshot / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"users": 700', b'"users": 701'))
    assert subprocess.run(command, shell=True, cwd=snapshot, capture_output=True, timeout=30).returncode != 0


def test_with_trusted_keys_an_unsigned_snapshot_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trusted = ["--trusted-keys", str(folder / "trusted_keys")]
    assert main(["verify", "previous", *flags(folder), *trusted]) == 0
    assert "ops@example.com" in capsys.readouterr().out
    assert main(["verify", *flags(folder), *trusted]) == 8
    assert "signature: this snapshot is not signed" in capsys.readouterr().err
    assert main(["verify", *flags(folder)]) == 0


def test_an_export_with_a_key_that_is_not_there_asks_for_nothing(tmp_path: Path) -> None:
    with emulator("--users", "10") as running:
        export(running.url, tmp_path, "--signing-key", str(tmp_path / "absent"), code=2)
        assert running.lists() == []


def test_the_whole_history_is_checked_and_the_wrong_part_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, third = ids_of(folder)
    assert main(["verify", "--all", *flags(folder), "--json"]) == 0
    assert [s["snapshot_id"] for s in json.loads(capsys.readouterr().out)["snapshots"]] == [first, second, third]
    (account_folder(folder) / first / "manifest.json").write_text("{}")
    assert main(["verify", "--all", *flags(folder), "--json"]) == 8
    out, errors = capsys.readouterr()
    wrong = [(s["snapshot_id"], [c["name"] for c in s["checks"] if not c["ok"]]) for s in json.loads(out)["snapshots"]]
    assert wrong == [(first, ["manifest"]), (second, ["previous"]), (third, [])]
    assert f"snapshot {first} of {SID} does not match its manifest: manifest: " in errors
    assert main(["verify", "--all", *flags(folder)]) == 8
    assert "its manifest cannot be read" in capsys.readouterr().out
    assert main(["verify", "--all", "latest", *flags(folder)]) == 2


def test_a_proof_is_made_and_checked_without_the_data(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = account_folder(folder) / ids_of(folder)[1] / "manifest.json"
    proof, user = folder / "proof.json", first_user(folder)
    assert main(["prove", user, "previous", *flags(folder), "--output", str(proof)]) == 0
    shutil.rmtree(folder / "exports/parquet")
    check = ["prove", "--check", str(proof), "--manifest", str(manifest)]
    assert main([*check, "--trusted-keys", str(folder / "trusted_keys")]) == 0
    assert capsys.readouterr().out.startswith(f"{user} is in snapshot {ids_of(folder)[1]} of {SID}")
    proof.write_bytes(proof.read_bytes().replace(b"true", b"false"))
    assert main(check) == 8
    manifest.with_name("manifest.json.sig").unlink()
    assert main([*check, "--trusted-keys", str(folder / "trusted_keys")]) == 8
    assert "is not signed" in capsys.readouterr().err


def test_absence_is_proven_too_and_goes_to_standard_output(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prove", "nobody", *flags(folder)]) == 0
    (folder / "proof.json").write_text(capsys.readouterr().out)
    manifest = account_folder(folder) / ids_of(folder)[2] / "manifest.json"
    assert main(["prove", "--check", str(folder / "proof.json"), "--manifest", str(manifest)]) == 0
    assert capsys.readouterr().out.startswith("nobody is not in snapshot")


@pytest.mark.parametrize(
    "args",
    [
        [], ["--check", "proof"], ["u", "--check", "proof", "--manifest", "m"], ["u", "--manifest", "m"], ["\x1b[31m"],
        ["--check", "/absent", "--manifest", "/absent"],
    ],
)  # fmt: skip
def test_prove_wants_a_user_or_a_proof_with_its_manifest(args: list[str], folder: Path) -> None:
    assert main(["prove", *args, *flags(folder)]) == 2


def test_a_dry_run_prints_the_plan_that_is_then_carried_out(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second, third = ids_of(folder)
    prune = ["prune", *flags(folder), "--state-dir", str(folder / "state"), "--keep-last", "1"]
    assert main([*prune, "--dry-run"]) == 0
    planned = capsys.readouterr().out
    assert ids_of(folder) == [first, second, third]
    assert planned.splitlines() == [
        f"Account {SID}: 1 kept, 2 would be removed",
        f"  remove  {first}  no rule keeps it",
        f"  remove  {second}  no rule keeps it",
        f"  keep    {third}  last snapshot, latest complete snapshot: never removed",
    ]
    assert main([*prune]) == 0
    assert capsys.readouterr().out == planned.replace("would be removed", "removed")
    assert ids_of(folder) == [third]
    assert main(["verify", "--all", *flags(folder)]) == 0
    assert "users, complete, pruned" in capsys.readouterr().out
    assert main([*prune, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "version": 1,
        "dry_run": False,
        "accounts": [
            {
                "account_sid": SID,
                "plan": [
                    {
                        "action": "keep",
                        "snapshot_id": third,
                        "reason": "last snapshot, latest complete snapshot: never removed",
                    }
                ],
            }
        ],
        "failed": [],
    }


@pytest.mark.parametrize(
    "args",
    [[], ["--keep-last", "0"], ["--keep-last", "-1"], ["--keep-daily", "x"], ["--keep-within", "1y"], ["--grace", "x"]],
)
def test_without_a_policy_that_can_be_read_nothing_is_pruned(args: list[str], folder: Path) -> None:
    before = ids_of(folder)
    assert main(["prune", *flags(folder), "--state-dir", str(folder / "state"), *args]) == 2
    assert ids_of(folder) == before


def test_the_lock_of_an_export_at_work_is_respected(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = ids_of(folder)
    prune = [
        "prune",
        *flags(folder),
        "--state-dir",
        str(folder / "state"),
        "--keep-within",
        "0.5s",
        "--keep-yearly",
        "1",
    ]
    with hold_lock(folder / "state" / SID / "lock", SID, snapshot_time(before[0])):
        assert main(prune) == 7
    assert (ids_of(folder), "another run of account" in capsys.readouterr().err) == (before, True)


def test_accounts_are_pruned_one_by_one_and_those_that_were_not_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = Path(shutil.copytree(GOLDEN / "exports", tmp_path / "exports"))
    stray = root / f"parquet/account_sid={SID}/snapshot_date=2026-11-20/snapshot_id=20261120T020000Z"
    stray.mkdir(parents=True)
    (stray / "part-00000.parquet").write_bytes(b"PAR1")
    prune = ["prune", "--destination", str(root), "--state-dir", str(tmp_path / "state"), "--keep-last", "1", "--json"]
    with hold_lock(tmp_path / "state" / PLAIN / "lock", PLAIN, snapshot_time("20261121T020000Z")):
        assert main(prune) == 9
    out, errors = capsys.readouterr()
    report = json.loads(out)
    actions = {a["account_sid"]: [(p["action"], p["snapshot_id"]) for p in a["plan"]] for a in report["accounts"]}
    assert actions == {
        SIGNED: [("remove", "20261122T020000Z"), ("keep", "20261123T020000Z")],
        SID: [("collect", "20261120T020000Z")],
    }
    assert [(one["account_sid"], one["exit_code"]) for one in report["failed"]] == [(PLAIN, 7)]
    assert errors.startswith("syncer: error: 1 of 3 accounts were not pruned: another run of account " + PLAIN)
    assert not stray.exists()
    assert main(["verify", "--all", "--destination", str(root)]) == 0


def test_the_table_fits_a_terminal_and_says_what_changed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["snapshots", *flags(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert [(row.split()[4], row.split()[5], row.split()[-1]) for row in lines[2:]] == [
        ("-", lines[2].split()[5], "yes"),
        ("+6", lines[3].split()[5], "yes"),
        ("0", lines[4].split()[5], "-"),
    ]
    assert main(["snapshots", *flags(folder), "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["snapshots"]
    assert [(s["users"], s["users_change"], s["signed"], s["latest"]) for s in listed] == [
        (700, None, True, False),
        (706, 6, True, False),
        (706, 0, False, True),
    ]


def test_a_proof_says_what_it_proves_and_whether_a_signature_was_looked_at(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proof, manifest = folder / "proof.json", account_folder(folder) / ids_of(folder)[1] / "manifest.json"
    where = f"snapshot {ids_of(folder)[1]} of {SID}"
    assert main(["prove", "nobody", "previous", *flags(folder), "--output", str(proof)]) == 0
    assert capsys.readouterr() == ("", f"nobody is not in {where}; the proof is in {proof}\n")
    assert main(["prove", first_user(folder), "previous", *flags(folder)]) == 0
    assert capsys.readouterr().err == f"{first_user(folder)} is in {where}\n"
    check = ["prove", "--check", str(proof), "--manifest"]
    assert main([*check, str(manifest)]) == 0
    assert "give --trusted-keys if it is signed" in capsys.readouterr().err
    pruned = manifest.rename(manifest.with_name("pruned.json"))
    assert main([*check, str(pruned), "--trusted-keys", str(folder / "trusted_keys")]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("command", [["prove", "nobody"], ["diff"]])
def test_an_output_that_cannot_be_written_says_so_and_promises_no_resumption(
    folder: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, *flags(folder), "--output", str(folder)]) == 2
    assert "this is a folder; name a file" in capsys.readouterr().err
    assert main([*command, *flags(folder), "--output", "/proc/x.parquet"]) == 6
    error = capsys.readouterr().err
    assert (error.endswith("run again\n"), "resumes" in error) == (True, False)
