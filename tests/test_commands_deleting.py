"""The order of deleting: noted, sent, receipted, each on the disk before the next; and what an interruption leaves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from syncer.blocking import BlockingThread
from syncer.bulk.plan import DeletePlan
from syncer.bulk.receipts import Receipts
from syncer.client import Deleted
from syncer.commands.deleting import _send
from syncer.errors import StorageFailed
from syncer.model import Counters

SID = "AC" + "0" * 32


class Service:
    """Writes down when a request leaves, and what files hold at that moment."""

    def __init__(self, events: list[str], receipts: Path) -> None:
        self._events = events
        self._receipts = receipts
        self.held: list[int] = []

    async def delete(self, user_id: str) -> Deleted:
        self._events.append(f"request {user_id}")
        self.held.append(len(self._receipts.read_bytes().splitlines()))
        return Deleted("accepted", 1, user_id, None)


async def send(folder: Path, service: Any, ids: tuple[str, ...]) -> None:
    receipts = Receipts(folder / "r.ndjson", SID, "https://api.invalid/v1")
    try:
        with BlockingThread() as thread:
            await _send(service, DeletePlan(SID, ids, 0, 0), receipts, thread, Counters(), 1)
    finally:
        receipts.close()


async def test_a_request_leaves_when_its_note_and_the_receipt_of_the_one_before_are_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        real(descriptor)
        name = Path(os.readlink(f"/proc/self/fd/{descriptor}")).name
        if name.startswith("r.ndjson"):
            events.append(f"synced {name}")

    monkeypatch.setattr(os, "fsync", fsync)
    service = Service(events, tmp_path / "r.ndjson")
    await send(tmp_path, service, ("a", "b", "c"))
    assert events == [
        step for user_id in "abc" for step in ("synced r.ndjson.sent", f"request {user_id}", "synced r.ndjson")
    ]
    assert service.held == [0, 1, 2]


async def test_a_full_disk_ends_the_run_before_another_request_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    real, writes = os.write, []

    def write(descriptor: int, data: Any) -> int:
        writes.append(descriptor)
        if len(writes) == 2:  # the first receipt
            raise OSError(28, "No space left on device")
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(StorageFailed, match="No space left on device"):
        await send(tmp_path, Service(events, tmp_path / "r.ndjson"), ("a", "b", "c"))
    assert events == ["request a"]
    monkeypatch.undo()
    again = Receipts(tmp_path / "r.ndjson", SID, "https://api.invalid/v1")
    assert (again.is_final("a"), again.is_in_doubt("a")) == (False, True)
    again.close()
