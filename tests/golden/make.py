"""Makes tests/golden/exports, tests/golden/trusted_keys and the proofs: snapshots that every later version must read.

Run it as ``python -m tests.golden.make FOLDER``; with a fixed clock, fixed users and a fixed key it always makes the
same bytes. What is committed is never made anew by a later version: a new form gets a folder of its own.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from syncer.blocking import BlockingThread
from syncer.export import export_account
from syncer.model import Counters, Page, Token
from syncer.run import ExportPorts, ExportRequest
from syncer.snapshot.catalog import find_snapshot
from syncer.snapshot.evidence import prove_user
from syncer.snapshot.local_store import LocalStore
from syncer.snapshot.proof_file import build_proof
from syncer.snapshot.prune import plan_account, removal
from syncer.snapshot.retention import Policy
from syncer.snapshot.signing import KeySigner
from syncer.snapshot.sshsig import signer_line
from syncer.state import AccountState
from tests.snapshot_data import User, make_users

SIGNED, PLAIN = "AC" + "1" * 32, "AC" + "2" * 32
START = datetime(2026, 11, 21, 2, tzinfo=UTC)
USERS = 300
SIGNER = KeySigner(Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"the key of the golden snapshots").digest()))


@dataclass
class FixedList:
    """A list of users that never changes; a token is the place where its page begins."""

    users: list[User]
    counters: Counters

    async def __call__(
        self, token: Token | None, page_size: int, on_next: Callable[[Token], None] | None = None
    ) -> Page:
        self.counters.requests += 1
        begin = int(token or 0)
        rows, following = self.users[begin : begin + page_size], begin + page_size
        more = Token(str(following)) if following < len(self.users) else None
        body = orjson.dumps({"users": rows, "pagination": {"next": more}})
        return Page(orjson.loads(body)["users"], more, None if more else "null", body)


def nights() -> list[list[User]]:
    """The users of three nights: some are created, updated, deleted, and one has vanished."""
    first = make_users(USERS)
    second = [*first, *make_users(USERS + 20)[USERS:]]
    second[3] = {**second[3], "updatedAt": "2026-11-21T12:00:00Z"}
    second[5] = {**second[5], "deletedAt": "2026-11-21T13:00:00.123456Z"}
    third = [user for place, user in enumerate(second) if place != 7]
    third[9] = {**third[9], "plan": {"name": "größer", "price": 1.10, "of": [1, None]}}
    return [first, second, third]


async def export(root: Path, state: Path, account_sid: str, users: list[User], started: datetime) -> None:
    """Publish one snapshot of an account."""
    counters = Counters()
    request = ExportRequest(
        account_sid=account_sid,
        base_url="https://comms.example/v1",
        destination="exports",
        state=AccountState(state / account_sid),
        formats=("parquet", "ndjson"),
        page_size=50,
        walkers=1,
        sequential=True,
        ndjson_compression="zstd" if account_sid == SIGNED else "none",
        with_changes=account_sid == SIGNED,
    )
    with BlockingThread() as thread:
        ports = ExportPorts(FixedList(users, counters), LocalStore(root), counters, lambda: started, thread.run)
        if account_sid == SIGNED:
            ports = ExportPorts(
                FixedList(users, counters), LocalStore(root), counters, lambda: started, thread.run, signer=SIGNER
            )
        await export_account(request, ports)


def make(folder: Path) -> None:
    """Everything, below ``folder``."""
    root = folder / "exports"
    with tempfile.TemporaryDirectory() as state:
        for night, users in enumerate(nights()):
            asyncio.run(export(root, Path(state), SIGNED, users, START + timedelta(days=night)))
        asyncio.run(export(root, Path(state), PLAIN, nights()[2][:30], START))
    store = LocalStore(root)
    plan = plan_account(store, SIGNED, Policy(last=2), START, timedelta(days=1))
    for step in removal(store, plan):
        step.run()
    (folder / "trusted_keys").write_text(signer_line("golden", SIGNER.public) + "\n")
    latest = find_snapshot(store, SIGNED, "latest")
    for name, user_id in (("present", nights()[2][150]["id"]), ("absent", nights()[1][7]["id"])):
        proof = prove_user(store, latest.manifest, latest.sha256, user_id)
        (folder / f"{name}.json").write_bytes(build_proof(proof))


if __name__ == "__main__":
    make(Path(sys.argv[1]))
