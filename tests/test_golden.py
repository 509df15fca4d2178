"""Snapshots that were made by the first version with evidence: every later one verifies, reads and proves them."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from syncer.commands.main import main
from syncer.commands.verifying import check_history, check_snapshot
from syncer.errors import SyncerError
from syncer.snapshot import layout
from syncer.snapshot.catalog import find_snapshot, list_snapshot_ids
from syncer.snapshot.chain import check_place
from syncer.snapshot.local_store import LocalStore
from syncer.snapshot.manifest import ReconciliationFacts
from syncer.snapshot.reading import read_users
from syncer.snapshot.signing import load_trusted_keys
from tests.golden.make import PLAIN, SIGNED, make, nights
from tests.golden.make_erased import ERASED, GONE, HIDDEN
from tests.golden.make_erased import make as make_erased
from tests.snapshot_data import make_users

GOLDEN = Path(__file__).resolve().parent / "golden"
STORE = LocalStore(GOLDEN / "exports")
TRUSTED = str(GOLDEN / "trusted_keys")
FLIPS = 200
"""Of the campaign's 2,000 (`make bitflips`)."""


def files(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_the_whole_history_is_verified(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--destination", str(GOLDEN / "exports"), "--json")
    assert main(["verify", "--all", *flags]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [(s["account_sid"], s["snapshot_id"], s["pruned"], s["ok"]) for s in report["snapshots"]] == [
        (SIGNED, "20261121T020000Z", True, True),
        (SIGNED, "20261122T020000Z", False, True),
        (SIGNED, "20261123T020000Z", False, True),
        (PLAIN, "20261121T020000Z", False, True),
    ]
    assert main(["verify", "--all", *flags, "--account", SIGNED, "--trusted-keys", TRUSTED]) == 0
    capsys.readouterr()
    assert main(["verify", *flags, "--account", PLAIN, "--trusted-keys", TRUSTED]) == 8
    assert "signature: this snapshot is not signed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("sid", "name", "night"), [(SIGNED, "previous", 1), (SIGNED, "latest", 2), (PLAIN, "latest", 2)]
)
def test_the_users_are_read(sid: str, name: str, night: int) -> None:
    published = find_snapshot(STORE, sid, name)
    expected = [(user["id"], user["deletedAt"] is not None) for user in nights()[night]]
    rows = [row for batch in read_users(STORE, published.manifest) for row in batch.to_pylist()]
    assert [(row["id"], row["deleted_at"] is not None) for row in rows] == expected[: len(rows)]
    assert len(rows) == published.manifest.users == (30 if sid == PLAIN else len(expected))


def test_two_nights_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--destination", str(GOLDEN / "exports"), "--account", SIGNED, "--json")
    assert main(["diff", "previous", "latest", *flags]) == 0
    counts = json.loads(capsys.readouterr().out)["counts"]
    assert {change: count for change, count in counts.items() if count} == {
        "updated": 1,
        "vanished": 1,
        "unchanged": 318,
    }


@pytest.mark.parametrize("name", ["present", "absent"])
def test_the_proofs_are_checked_without_the_data(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = GOLDEN / "exports" / layout.manifest_path(SIGNED, "20261123T020000Z")
    proof = str(GOLDEN / f"{name}.json")
    assert main(["prove", "--check", proof, "--manifest", str(manifest), "--trusted-keys", TRUSTED]) == 0
    assert ("is not in snapshot" in capsys.readouterr().out) == (name == "absent")


def test_they_are_made_the_same_way_every_time(tmp_path: Path) -> None:
    make(tmp_path / "once")
    make(tmp_path / "again")
    assert files(tmp_path / "once") == files(tmp_path / "again")
    make_erased(tmp_path / "third")
    make_erased(tmp_path / "fourth")
    assert files(tmp_path / "third") == files(tmp_path / "fourth")


def is_accepted(root: Path, sid: str, name: str, *, trusted: bool) -> bool:
    """Whether verify calls a snapshot sound; ``all``: the whole history."""
    store = LocalStore(root)
    try:
        keys = load_trusted_keys(Path(TRUSTED)) if trusted else None
        if name == "all":
            return not any(report.failed for report in check_history(store, sid, keys))
        return not check_snapshot(store, find_snapshot(store, sid, name), keys).failed
    except SyncerError:
        return False


def flips(root: Path, count: int, seed: int) -> Iterator[tuple[str, int]]:
    """Every file that is not empty as often as any other, and a bit in it."""
    chance = random.Random(seed)
    paths = [path for path, data in files(root).items() if data]
    for _ in range(count):
        path = chance.choice(paths)
        yield path, chance.randrange(len((root / path).read_bytes()) * 8)


def snapshot_of(path: str) -> tuple[str, str]:
    """The account of a file, and the snapshot; ``all`` for what is left of a pruned one."""
    sid = next(sid for sid in (SIGNED, PLAIN, ERASED) if sid in path)
    nights = {SIGNED: {"20261121": "all", "20261122": "previous"}, ERASED: {"20261121": "previous"}}.get(sid, {})
    return sid, next((name for night, name in nights.items() if night in path), "latest")


def missed_flips(root: Path, count: int, seed: int) -> list[tuple[str, int]]:
    """Flips that verify does not find, looking at the snapshots of the account that the file belongs to."""
    for name in ("exports", "erased"):
        shutil.copytree(GOLDEN / name, root, dirs_exist_ok=True)
    missed = []
    for path, bit in flips(root, count, seed):
        data = bytearray((root / path).read_bytes())
        data[bit // 8] ^= 1 << bit % 8
        (root / path).write_bytes(data)
        sid, name = snapshot_of(path)
        if is_accepted(root, sid, name, trusted=False):
            missed.append((path, bit))
        data[bit // 8] ^= 1 << bit % 8
        (root / path).write_bytes(data)
    return missed


def test_every_flipped_bit_is_found(tmp_path: Path) -> None:
    assert missed_flips(tmp_path / "exports", FLIPS, seed=1) == []
    assert is_accepted(tmp_path / "exports", SIGNED, "latest", trusted=True)


def test_a_pruned_manifest_that_was_changed_is_found_by_its_signature_and_the_next_one(tmp_path: Path) -> None:
    root = Path(shutil.copytree(GOLDEN / "exports", tmp_path / "exports"))
    path = root / layout.pruned_path(SIGNED, "20261121T020000Z")
    path.write_bytes(path.read_bytes().replace(b'"users": 300', b'"users": 301'))
    checks = check_place(LocalStore(root), SIGNED, "20261121T020000Z", None)
    assert [(check.name, check.ok) for check in checks] == [("next", False), ("signature", False)]
    assert not is_accepted(root, SIGNED, "previous", trusted=False)


def test_two_of_them_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--destination", str(GOLDEN / "exports"), "--account", SIGNED, "--json")
    assert main(["diff", "previous", "latest", *flags]) == 0
    counts = json.loads(capsys.readouterr().out)["counts"]
    assert {word: count for word, count in counts.items() if count} == {
        "updated": 1,
        "vanished": 1,
        "unchanged": 318,
    }


def test_users_erased_one_after_another_leave_a_chain_that_leads_back_to_what_was_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = shutil.copytree(GOLDEN / "exports", tmp_path / "exports")
    at = ["--destination", str(root), "--account", SIGNED]
    gone_in_the_last_night = nights()[1][7]["id"]
    assert main(["keygen", str(tmp_path / "key")]) == 0
    how = ["--state-dir", str(tmp_path / "state"), "--signing-key", str(tmp_path / "key"), "--yes"]
    for user_id in (nights()[0][20]["id"], nights()[0][30]["id"], gone_in_the_last_night):
        assert main(["erase", user_id, *at, *how]) == 0
    capsys.readouterr()
    assert main(["verify", "--all", "--json", *at]) == 0
    listed = json.loads(capsys.readouterr().out)["snapshots"]
    links = [check["detail"] for one in listed for check in one["checks"] if check["name"] == "next"]
    older, newer = list_snapshot_ids(LocalStore(root), SIGNED)
    assert (older, newer) == ("20261122T020003Z", "20261123T020002Z")
    assert links[-1] == f"{newer} follows 20261122T020000Z, which this snapshot replaced"
    erased = find_snapshot(LocalStore(root), SIGNED, "latest").manifest.erased
    assert erased is not None
    assert (erased.snapshot_id, [one.snapshot_id for one in erased.earlier]) == (
        "20261123T020001Z",
        ["20261123T020000Z"],
    )
    assert erased.replaced("20261123T020000Z", erased.earlier[0].sha256)
    assert not erased.replaced("20261123T020000Z", "0" * 64)


def test_snapshots_with_rejects_added_and_erased_users_are_verified_read_and_compared(
    capsys: pytest.CaptureFixture[str],
) -> None:
    flags = ("--destination", str(GOLDEN / "erased"), "--json")
    assert main(["verify", "--all", *flags]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["ok"], [s["snapshot_id"] for s in report["snapshots"]]) == (
        True,
        ["20261121T020002Z", "20261122T020002Z"],
    )
    store, users = LocalStore(GOLDEN / "erased"), make_users(120)
    expected = [user["id"] for place, user in enumerate(users) if place not in GONE]
    for name in ("previous", "latest"):
        manifest = find_snapshot(store, ERASED, name).manifest
        for form in ("parquet", "ndjson"):
            parts = replace(manifest, formats=(form,), files=tuple(f for f in manifest.files if f.format == form))
            read = [i for batch in read_users(store, parts, ("id",)) for i in batch.column("id").to_pylist()]
            assert read == expected
        assert manifest.rejects.count == 2
        assert manifest.erased is not None
        assert (len(manifest.erased.earlier), manifest.erased.reason) == (1, "asked for")
    assert manifest.reconciliation == ReconciliationFacts(1, 0, (users[HIDDEN]["id"],))
    assert main(["diff", *flags]) == 0
    assert json.loads(capsys.readouterr().out)["counts"]["unchanged"] == 118
