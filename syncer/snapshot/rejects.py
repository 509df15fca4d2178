"""Users that break the contract: which they are, and why. Pure: no I/O, no clock."""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa

from syncer.model import Reject
from syncer.snapshot.exact import dump_row
from syncer.snapshot.page_text import ID_CHARACTERS_MAX
from syncer.snapshot.times import read_times

CONTROL_CHARACTER = re.compile("[\x00-\x1f\x7f-\x9f]")
"""Not allowed in an id."""


def sort_out(users: list[Any]) -> tuple[list[dict[str, Any]], tuple[Reject, ...]]:
    """The users of a page that are as documented, and the others."""
    reasons = [_shape_fault(user) for user in users]
    for name in ("createdAt", "updatedAt", "deletedAt"):
        open_rows = [row for row, reason in enumerate(reasons) if not reason and users[row].get(name) is not None]
        for row in _unreadable_times(users, name, open_rows):
            reasons[row] = f"{name} is not a readable time"
    rejects = tuple(Reject(row, reason, dump_row(users[row])) for row, reason in enumerate(reasons) if reason)
    return [user for user, reason in zip(users, reasons, strict=True) if not reason], rejects


def _shape_fault(user: Any) -> str:
    if not isinstance(user, dict):
        return "not an object"
    fault = _id_fault(user["id"]) if "id" in user else "there is no id"
    for name in ("createdAt", "updatedAt"):
        fault = fault or ("" if user.get(name) is not None else f"there is no {name}")
    for name in ("createdAt", "updatedAt", "deletedAt"):
        fault = fault or ("" if isinstance(user.get(name), str | None) else f"{name} is not a string")
    return fault


def _id_fault(value: Any) -> str:
    if not isinstance(value, str):
        return "id is not a string"
    if not value:
        return "id is empty"
    if len(value) > ID_CHARACTERS_MAX:
        return f"id is longer than {ID_CHARACTERS_MAX} characters"
    return "id holds a control character" if CONTROL_CHARACTER.search(value) else ""


def _unreadable_times(users: list[Any], name: str, rows: list[int]) -> list[int]:
    """Rows whose time Arrow refuses; by halves, as one bad value fails a whole array."""
    try:
        read_times(pa.array([users[row][name] for row in rows], pa.string()))
    except pa.ArrowInvalid:
        if len(rows) == 1:
            return rows
        middle = len(rows) // 2
        return _unreadable_times(users, name, rows[:middle]) + _unreadable_times(users, name, rows[middle:])
    return []
