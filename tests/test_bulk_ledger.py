"""The erasure ledger knows who was erased, and tells nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncer.bulk.ledger import Ledger, read_erased
from syncer.errors import LockHeld, StorageFailed

A = "comms_pushnotificationuser_01h9krwprkeee8fzqspvwy6nq8"
B = "comms_pushnotificationuser_01h9krwprkeee8fzqspvwy6nq9"


def test_it_knows_the_erased_and_holds_no_id(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    assert [ledger.add([A, A], "t", "r"), ledger.add([A], "t", "r")] == [1, 0]
    ledger.close()
    again = Ledger(tmp_path)
    assert (A in again, B in again, len(again)) == (True, False, 1)
    again.close()
    assert not any(A.encode() in path.read_bytes() for path in tmp_path.iterdir())
    assert (tmp_path / "erasure.key").stat().st_mode & 0o777 == 0o600


def test_another_key_gives_other_hashes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        ledger = Ledger(tmp_path / name)
        ledger.add([A], "t", "r")
        ledger.close()
    assert (tmp_path / "a/erased.ndjson").read_bytes() != (tmp_path / "b/erased.ndjson").read_bytes()


def test_hashes_whose_key_is_gone_are_an_error(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.add([A], "t", "r")
    ledger.close()
    (tmp_path / "erasure.key").unlink()
    with pytest.raises(StorageFailed, match="key"):
        Ledger(tmp_path)
    (tmp_path / "erasure.key").write_bytes(b"short")
    with pytest.raises(StorageFailed, match="not the key"):
        Ledger(tmp_path)


def test_a_damaged_ledger_is_an_error_and_a_torn_line_is_none(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.add([A], "t", "r")
    with pytest.raises(LockHeld):
        Ledger(tmp_path)
    ledger.close()
    path = tmp_path / "erased.ndjson"
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:20])
    again = Ledger(tmp_path)
    assert (len(again), path.read_bytes()) == (1, whole)
    again.close()
    path.write_bytes(b"{}\n" + whole)
    with pytest.raises(StorageFailed, match="damaged"):
        Ledger(tmp_path)


def test_readers_need_no_lock_and_see_whole_lines_only(tmp_path: Path) -> None:
    assert read_erased(tmp_path / "nowhere") is None
    ledger = Ledger(tmp_path)
    assert read_erased(tmp_path) is None
    ledger.add([A], "t", "r")
    with (tmp_path / "erased.ndjson").open("ab") as file:
        file.write(b'{"hash":')
    is_erased = read_erased(tmp_path)
    assert is_erased is not None
    assert (is_erased(A), is_erased(B)) == (True, False)
    ledger.close()
    (tmp_path / "erasure.key").unlink()
    with pytest.raises(StorageFailed, match="key"):
        read_erased(tmp_path)
    (tmp_path / "erased.ndjson").write_bytes(b"[]\n")
    with pytest.raises(StorageFailed, match="damaged"):
        read_erased(tmp_path)
