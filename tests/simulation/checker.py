"""Judges what a simulated run left behind, from the files alone and the service's own history.

Shares no code with the product: reads Parquet with pyarrow and JSON with the standard library.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.simulation.chain import ChainBroken, read_rows, users_of_one_walk
from tests.simulation.population import User
from tests.simulation.service import Service

RETRIES_MAX, RETRIES_PER_GOOD = 50, 0.1
MANIFEST = "manifest.json"
TIMES = ("created_at", "updated_at", "deleted_at")
Row = tuple[int, int, int | None]


class CheckFailed(AssertionError):
    """A promise was broken."""


class UserLost(CheckFailed):
    """A user that was there throughout is missing."""


def require(holds: bool, what: str) -> None:
    """Raise CheckFailed unless it holds."""
    if not holds:
        raise CheckFailed(what)


def published(destination: Path) -> list[str]:
    """Ids of all snapshots that exist, oldest first: those with a manifest."""
    return sorted(i for folder in accounts(destination) for i in os.listdir(folder) if (folder / i / MANIFEST).exists())


def accounts(destination: Path) -> list[Path]:
    """The folders of manifests."""
    folder = destination / "snapshots"
    return list(folder.iterdir()) if folder.is_dir() else []


def check_pointer(destination: Path) -> None:
    """The pointer names a snapshot that exists, if there is one at all."""
    for folder in accounts(destination):
        if (pointer := folder / "latest.json").exists():
            named = json.loads(pointer.read_bytes())["snapshot_id"]
            require((folder / named / MANIFEST).exists(), "latest.json names a snapshot that does not exist")


def check_snapshot(
    destination: Path, snapshot_id: str, service: Service, first_request: int, last_request: int
) -> None:
    """Hold a published snapshot against the history of the list between its first and its last request."""
    (manifest_path,) = (folder / snapshot_id / MANIFEST for folder in accounts(destination))
    manifest = json.loads(manifest_path.read_bytes())
    require(manifest["verdict"] == "complete", "a published snapshot is not complete")
    times = [datetime.fromisoformat(manifest[name]) for name in ("started_at", "finished_at")]
    require(times[0] <= times[1], "a snapshot was finished before it was started")
    rows = _rows(destination, manifest)
    require(manifest["users"] == len(rows), "the manifest counts other users than the files")
    deleted = sum(row[2] is not None for row in rows.values())
    require(manifest["deleted_users"] == deleted, "the manifest counts other deleted users than the files")
    _check_pages(manifest_path.parent / "pages.parquet", set(rows), service, first_request, last_request)
    for user in service.population.everyone:
        _check_user(user, rows.pop(user.id, None), first_request, last_request)
    require(not rows, f"users that never existed: {sorted(rows)[:3]}")


def check_manners(service: Service, walkers: int) -> None:
    """How a run behaved towards the service, whatever became of it."""
    account = service.account
    require(account.early == 0, f"{account.early} requests inside a Retry-After window")
    require(account.too_fast == 0, f"{account.too_fast} requests beyond the rate")
    limit = RETRIES_MAX + RETRIES_PER_GOOD * account.good
    failed_max = limit + 2 * walkers + 20
    require(account.failed <= failed_max, f"{account.failed} failed attempts with {account.good} good answers")
    # With faults of single answers a page can be given up in one place and asked for anew in another: no retry, though
    # the service cannot tell. In an outage nothing is asked for anew.
    if not service.s.faults:
        require(account.retries <= limit, f"{account.retries} retries with {account.good} good answers")


def unfinished(path: Path) -> tuple[str, bool]:
    """The snapshot that an unfinished run is to become, or nothing, and whether the next run may go on with it."""
    if not path.exists():
        return "", False
    connection = sqlite3.connect(path)
    try:
        known = {key: json.loads(value) for key, value in connection.execute("SELECT key, value FROM run")}
    finally:
        connection.close()
    refused = known.get("numbers", {}).get("refused")
    return (known["facts"]["snapshot_id"] if "facts" in known else ""), not refused


def is_remembered_unstable(state: Path) -> bool:
    """Whether later runs will walk this list by one walker."""
    return any(b"unstable_at" in path.read_bytes() for path in state.glob("*.json"))


def spooled(path: Path) -> tuple[int, int]:
    """What an unfinished run keeps: how often it began anew because its pages could not be trusted, and its pages."""
    if not path.exists():
        return 0, 0
    connection = sqlite3.connect(path)
    try:
        numbers = connection.execute("SELECT value FROM run WHERE key = 'numbers'").fetchone()
        restarts = json.loads(numbers[0]).get("restarts", 0) if numbers else 0
        return int(restarts), int(connection.execute("SELECT count(*) FROM pages").fetchone()[0])
    finally:
        connection.close()


def _rows(destination: Path, manifest: dict[str, list[dict[str, str | int]]]) -> dict[str, Row]:
    ids: list[str] = []
    rows: list[Row] = []
    for file in manifest["files"]:
        path = destination / str(file["path"])
        require(path.exists(), "a file of the manifest is not there")
        data = path.read_bytes()
        require(len(data) == file["bytes"], "a file has another size than the manifest says")
        require(hashlib.sha256(data).hexdigest() == file["sha256"], "a file has another hash than the manifest says")
        if file["format"] == "parquet":
            table = pq.ParquetFile(pa.BufferReader(data)).read(use_threads=False)
            ids += table.column("id").to_pylist()
            columns = [table.column(name).cast(pa.int64()).to_pylist() for name in TIMES]
            rows += zip(*columns, strict=True)
    require(all(a < b for a, b in pairwise(ids)), "ids are not sorted and unique")
    return dict(zip(ids, rows, strict=True))


def _check_pages(path: Path, ids: set[str], service: Service, first: int, last: int) -> None:
    """The pages of the index were served as it says, in one walk, and their users are those of the snapshot."""
    try:
        seen = users_of_one_walk(read_rows(path), service.served, first, last)
    except ChainBroken as broken:
        raise CheckFailed(str(broken)) from None
    require(seen == ids, "the users of the pages are not those of the files")


def _check_user(user: User, row: Row | None, first: int, last: int) -> None:
    if row is None:
        was_there_throughout = user.born < first and (user.gone is None or user.gone > last)
        kept_its_place = not any(first <= moved <= last for moved in user.moved)
        if was_there_throughout and kept_its_place:
            raise UserLost(f"{user.id} was there throughout and is missing")
        return
    require(user.gone is None or user.gone >= first, f"{user.id} was gone before the first request")
    created_at, updated_at, deleted_at = (None if time is None else time // 1_000_000 for time in row)
    versions = user.versions
    lasted = zip(versions, [*(version[2] for version in versions[1:]), last + 1], strict=True)
    was_served = any(v[:2] == (updated_at, deleted_at) and until >= first for v, until in lasted)
    require(was_served, f"{user.id} has a version that it did not have while the run lasted")
    require(created_at == user.created_at, f"{user.id} has another time of creation")
