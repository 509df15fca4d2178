"""Users straight from a page's text, for the one form that nearly all pages have. Pure: no I/O, no clock.

With null in place of every time of deletion the users of such a page all have one length: the text is a grid. Where
each row of it has the same bytes around its values as the first one, and no value needs an escape, the text is JSON and
means these values. Anything else is None, and the page is parsed as any JSON.
"""

from __future__ import annotations

import re
import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from syncer.model import UsersInText
from syncer.snapshot.times import TIME, read_times

ID_CHARACTERS_MAX = 128
"""Documented ids have 53 to 62 characters; the shape itself is not checked, it may change while the API is a beta."""
TEXT_BYTES_MIN = 32_768
"""Below some 200 users a page the parser is the quicker way; at 1,000 it takes twice as long."""
DELETED_SHARE_MAX = 0.5
"""Each deleted user is taken out by itself; of more than half of a page's users the parser is the quicker way."""
_HEAD, _TAIL = b'{"users":[{', b'}],"pagination":{'
_BETWEEN = b"},{"
_TAIL_BYTES = 16_384
_KEYS = (b'"id":"', b'","createdAt":"', b'","updatedAt":"', b'","deletedAt":null')
_FORM = re.compile(rb'([^"]+)'.join(map(re.escape, _KEYS)) + rb"(.*)", re.DOTALL)
_DELETED, _NOT_DELETED = b'"deletedAt":"', b'"deletedAt":null'
_NULL_BYTES = len(_NOT_DELETED) - len(_DELETED) - 1
"""What null takes up more than an empty string."""
_UNSAFE = bytes([*range(0x20), ord('"'), 0x7F])
"""What ends a string, and control characters: an id with one of them is for the parser to judge."""


@dataclass(frozen=True, slots=True)
class TextColumns:
    """A page's users, in list order."""

    ids: Any
    created_at: Any
    updated_at: Any
    deleted_at: Any
    extra: Any
    """The unknown fields as JSON, the same for all; null where there are none."""
    unknown: frozenset[str]
    """Names of the unknown fields."""
    text: bytes
    """The users' own JSON, with what separates them, without the first and the last brace."""
    row_bytes: int
    """The length of a user's JSON and of what separates it from the next, where there is no time of deletion."""
    longer: tuple[tuple[int, int], ...]
    """The rows with one, and how many bytes each is longer."""

    def lines(self) -> Any:
        """Each user as a line of JSON, as ``columns`` writes lines."""
        # Arrow's memory: large objects of Python's that live on for a page cost a hundred page faults each.
        buffer = pa.allocate_buffer(len(self.text) + 3)
        content = memoryview(buffer).cast("B")
        content[:1], content[1:-2], content[-2:] = b"{", self.text, b"}\n"
        width, end = self.row_bytes, 0
        ends = array("i", [0])
        for row, more in (*self.longer, (len(self.ids), 0)):
            start, end = end, end + (row - len(ends) + 1) * width
            # The comma between two users is as long as a line end.
            content[start + width - 1 : end : width] = b"\n" * ((end - start) // width)
            ends.extend(range(start + width, end + 1, width))
            if row < len(self.ids):
                end += width + more
                content[end - 1] = ord("\n")
                ends.append(end)
        return pa.Array.from_buffers(pa.binary(), len(self.ids), [None, pa.py_buffer(ends), buffer])


@dataclass(frozen=True, slots=True)
class _Deleted:
    """The deleted users of a page: where the text without their times says null, and these times."""

    places: list[int]
    times: list[bytes]


def find_users(body: bytes, bytes_min: int = TEXT_BYTES_MIN) -> UsersInText | None:
    """The users of a list answer as ``TextColumns``, and the answer without them. None whenever there is a doubt, and
    for an answer of fewer than ``bytes_min`` bytes."""
    if len(body) < bytes_min or not body.startswith(_HEAD) or b"\\" in body or not body.isascii():
        return None
    end = body.rfind(_TAIL, max(0, len(body) - _TAIL_BYTES))
    if end < len(_HEAD) or body.find(b'"users"', end) >= 0:  # of two keys with one name the parser takes the last
        return None
    try:
        columns = _read(body[len(_HEAD) : end])
    except pa.ArrowInvalid:  # a time that Arrow does not read
        return None
    return None if columns is None else UsersInText(columns, _HEAD[:-1] + body[end + 1 :])


def _read(text: bytes) -> TextColumns | None:
    even, deleted = _take_out_deleted(text)
    form = _FORM.fullmatch(even, 0, even.find(_BETWEEN))
    unknown = form and _unknown_fields(form[4])
    if form is None or unknown is None or len(form[1]) > ID_CHARACTERS_MAX:
        return None
    width = form.end() + len(_BETWEEN)
    rows, rest = divmod(len(even), width)
    at = [place // width for place in deleted.places]
    column = form.end(3) + 2
    if rest or len(at) > rows * DELETED_SHARE_MAX or any(place % width != column for place in deleted.places):
        return None
    grid = pa.Array.from_buffers(pa.binary(width), rows, [None, pa.py_buffer(even)])
    ids, *times = (pc.binary_slice(grid, *form.span(group)) for group in (1, 2, 3))
    if not _is_all_of(grid, form) or not _are_safe(ids.buffers()[1]):
        return None
    longer = tuple((row, len(time) - _NULL_BYTES) for row, time in zip(at, deleted.times, strict=True))
    created, updated = (read_times(_texts(values)) for values in times)
    extra = pa.repeat(pa.scalar(orjson.dumps(unknown).decode() if unknown else None, pa.string()), rows)
    deleted_at = _deleted_at(rows, at, deleted.times)
    return TextColumns(_texts(ids), created, updated, deleted_at, extra, frozenset(unknown), text, width, longer)


def _take_out_deleted(text: bytes) -> tuple[bytes, _Deleted]:
    """The text with null for every time of deletion, and with a separator after the last user too."""
    head, *rest = text.split(_DELETED)
    pieces, at = [head], len(head)
    deleted = _Deleted([], [])
    for piece in rest:
        time, _, more = piece.partition(b'"')
        deleted.places.append(at)
        deleted.times.append(time)
        pieces += (_NOT_DELETED, more)
        at += len(_NOT_DELETED) + len(more)
    return b"".join((*pieces, _BETWEEN)), deleted


def _is_all_of(grid: Any, form: re.Match[bytes]) -> bool:
    """Whether every row has the first one's bytes around its values."""
    borders = (0, *form.span(1), *form.span(2), *form.span(3), grid.type.byte_width)
    first: bytes = grid[0].as_py()
    return all(
        bytes(pc.binary_slice(grid, start, end).buffers()[1]) == first[start:end] * len(grid)
        for start, end in zip(borders[::2], borders[1::2], strict=True)
    )


def _unknown_fields(members: bytes) -> dict[str, Any] | None:
    """Fields that follow the known ones, the same in every row; None unless they are written as they are written
    here: then a parser would give the same line."""
    if not members:
        return {}
    try:
        fields: dict[str, Any] = orjson.loads(b"{" + members[1:] + b"}")
    except orjson.JSONDecodeError:
        return None
    is_known = fields.keys() & {"id", "createdAt", "updatedAt", "deletedAt"}
    return fields if not is_known and b"," + orjson.dumps(fields)[1:-1] == members else None


def _are_safe(ids: Any) -> bool:
    found = bytes(ids)
    return len(found.translate(None, _UNSAFE)) == len(found)


def _texts(values: Any) -> Any:
    """Values of one length as strings, without a copy of them; they are ASCII."""
    offsets = _offsets(len(values), values.type.byte_width)
    return pa.Array.from_buffers(pa.string(), len(values), [None, offsets, values.buffers()[1]], 0)


@lru_cache(maxsize=8)
def _offsets(rows: int, width: int) -> Any:
    return pa.array(range(0, (rows + 1) * width, width), pa.int32()).buffers()[1]


def _deleted_at(rows: int, at: Sequence[int], times: Sequence[bytes]) -> Any:
    """The few times of deletion, each in its row."""
    if not at:
        return pa.nulls(rows, TIME)
    values, present = bytearray(8 * rows), bytearray((rows + 7) // 8)
    for row, value in zip(at, read_times(pa.array(times, pa.string())).view(pa.int64()).to_pylist(), strict=True):
        struct.pack_into("<q", values, 8 * row, value)
        present[row // 8] |= 1 << row % 8
    return pa.Array.from_buffers(TIME, rows, [pa.py_buffer(present), pa.py_buffer(values)], rows - len(at))
