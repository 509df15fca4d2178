"""Makes tests/golden/erased: two signed snapshots with rejects and an added user, written anew by two erasures.

Run it as ``python -m tests.golden.make_erased FOLDER``. What is committed is never made anew: see ``make``.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import orjson

from syncer.blocking import BlockingThread
from syncer.export import export_account
from syncer.model import Counters
from syncer.run import ExportPorts, ExportRequest
from syncer.snapshot.erase import Terms, erasure
from syncer.snapshot.erase_plan import plan_erase
from syncer.snapshot.local_store import LocalStore
from syncer.snapshot.manifest import Tool
from syncer.state import AccountState
from syncer.version import VERSION
from tests.golden.make import SIGNER, START, FixedList
from tests.snapshot_data import User, make_users

ERASED = "AC" + "3" * 32
USERS = 120
HIDDEN = 60
"""The place of a user that the second night's list leaves out, and that a fetch finds."""
GONE = (20, 90)
"""The places of those who are erased, one after the other."""
REJECTS: list[User] = [
    {"id": 5, "createdAt": "2026-01-01T00:00:00Z"},
    {"id": "u", "createdAt": "soon", "updatedAt": "x"},
]


def lists() -> list[list[User]]:
    """What the list served in two nights, rejects included."""
    users = make_users(USERS)
    first = [*users[:30], *REJECTS, *users[30:]]
    return [first, [user for user in first if user is not users[HIDDEN]]]


async def export(root: Path, state: Path, users: list[User], started: datetime) -> None:
    """Publish one snapshot."""
    counters, hidden = Counters(), make_users(USERS)[HIDDEN]

    async def fetch_user(user_id: str) -> bytes | None:
        return orjson.dumps(hidden) if user_id == hidden["id"] else None

    request = ExportRequest(
        account_sid=ERASED,
        base_url="https://comms.example/v1",
        destination="exports",
        state=AccountState(state / ERASED),
        formats=("ndjson", "parquet"),
        page_size=50,
        walkers=1,
        sequential=True,
        max_rejects=len(REJECTS),
        parquet_profile="compact",
        ndjson_compression="gzip",
        confirm_vanished=10,
    )
    with BlockingThread() as thread:
        listed = FixedList(users, counters)
        ports = ExportPorts(
            listed, LocalStore(root), counters, lambda: started, thread.run, fetch_user=fetch_user, signer=SIGNER
        )
        await export_account(request, ports)


def make(folder: Path) -> None:
    """Everything, below ``folder``."""
    store = LocalStore(folder / "erased")
    with tempfile.TemporaryDirectory() as state:
        for night, users in enumerate(lists()):
            asyncio.run(export(store.root, Path(state), users, START + timedelta(days=night)))
    for number, place in enumerate(GONE):
        user_id = make_users(USERS)[place]["id"]
        terms = Terms("asked for", (START + timedelta(days=2 + number)).isoformat(), Tool("syncer", VERSION))
        for step in erasure(store, plan_erase(store, ERASED, lambda i, gone=user_id: i == gone), terms, SIGNER):  # type: ignore[misc]
            step.run()


if __name__ == "__main__":
    make(Path(sys.argv[1]))
