"""Judges what a simulated night left behind, from the files alone and the service's own history.

Shares no code with the product: reads Parquet with pyarrow and JSON with the standard library.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from pathlib import Path

import pyarrow.parquet as pq

from tests.simulation.service import Service, User


class CheckFailed(AssertionError):
    """A promise was broken."""


def published(destination: Path) -> list[str]:
    """Ids of all snapshots that exist, oldest first: those with a manifest."""
    return sorted(path.parent.name for path in destination.glob("snapshots/*/*/manifest.json"))


def check_snapshot(
    destination: Path, snapshot_id: str, service: Service, first_request: int, last_request: int
) -> None:
    """Hold a published snapshot against the history of the list between its first and its last request."""
    manifest_path = next(destination.glob(f"snapshots/*/{snapshot_id}/manifest.json"))
    manifest = json.loads(manifest_path.read_bytes())
    _require(manifest["verdict"] == "complete", "a published snapshot is not complete")
    rows = _rows(destination, manifest)
    ids = [row["id"] for row in rows]
    _require(ids == sorted(set(ids)), "ids are not sorted and unique")
    _require(manifest["users"] == len(ids), "the manifest counts other users than the files")
    by_id = {row["id"]: row for row in rows}
    for user in service.everyone:
        _check_user(user, by_id.pop(user.id, None), first_request, last_request)
    _require(not by_id, f"users that never existed: {sorted(by_id)[:3]}")
    deleted = sum(row["deleted_at"] is not None for row in rows)
    _require(manifest["deleted_users"] == deleted, "the manifest counts other deleted users than the files")


def _rows(destination: Path, manifest: dict[str, object]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    files = manifest["files"]
    assert isinstance(files, list)
    for file in files:
        path = destination / file["path"]
        data = path.read_bytes()
        _require(len(data) == file["bytes"], "a file has another size than the manifest says")
        _require(hashlib.sha256(data).hexdigest() == file["sha256"], "a file has another hash than the manifest says")
        if file["format"] == "parquet":
            rows += pq.ParquetFile(path).read().to_pylist()
    return rows


def _check_user(user: User, row: dict[str, object] | None, first: int, last: int) -> None:
    was_there_throughout = user.born < first and (user.gone is None or user.gone > last)
    kept_its_place = not any(first <= moved <= last for moved in user.moved)
    if row is None:
        _require(not (was_there_throughout and kept_its_place), f"{user.id} was there throughout and is missing")
        return
    _require(user.gone is None or user.gone >= first, f"{user.id} was gone before the first request")
    version = (_text(row["updated_at"]), _text(row["deleted_at"]))
    _require(version in user.versions, f"{user.id} has a version that it never had")
    _require(_text(row["created_at"]) == user.created_at, f"{user.id} has another time of creation")


def _text(value: object) -> str | None:
    return value.strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(value, datetime) else None


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise CheckFailed(what)
