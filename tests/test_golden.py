"""Snapshots that were made by the first version with evidence: every later one verifies, reads and proves them."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncer.commands.main import main
from syncer.commands.verifying import check_snapshot
from syncer.errors import SyncerError
from syncer.snapshot import layout
from syncer.snapshot.catalog import find_snapshot
from syncer.snapshot.chain import check_place
from syncer.snapshot.reading import read_users
from syncer.snapshot.signing import load_trusted_keys
from syncer.snapshot.store import LocalStore
from tests.golden.make import PLAIN, SIGNED, make, nights

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


def is_accepted(root: Path, sid: str, name: str, *, trusted: bool) -> bool:
    """Whether verify calls a snapshot sound."""
    store = LocalStore(root)
    try:
        keys = load_trusted_keys(Path(TRUSTED)) if trusted else None
        return not check_snapshot(store, find_snapshot(store, sid, name), keys).failed
    except SyncerError:
        return False


def flips(count: int, seed: int) -> Iterator[tuple[str, int]]:
    """Files of the two whole signed snapshots and the plain one, each as often as any other, and a bit in each."""
    chance = random.Random(seed)
    paths = [path for path, data in files(GOLDEN / "exports").items() if data and "20261121T020000Z/p" not in path]
    paths = [path for path in paths if not ("20261121T020000Z" in path and SIGNED in path)]
    for _ in range(count):
        path = chance.choice(paths)
        yield path, chance.randrange(len((GOLDEN / "exports" / path).read_bytes()) * 8)


def missed_flips(root: Path, count: int, seed: int) -> list[tuple[str, int]]:
    """Flips that verify does not find, looking at the snapshots of the account that the file belongs to."""
    shutil.copytree(GOLDEN / "exports", root)
    missed = []
    for path, bit in flips(count, seed):
        data = bytearray((root / path).read_bytes())
        data[bit // 8] ^= 1 << bit % 8
        (root / path).write_bytes(data)
        sid = SIGNED if SIGNED in path else PLAIN
        name = "previous" if "20261122" in path else "latest"
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
