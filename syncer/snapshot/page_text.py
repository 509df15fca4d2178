"""Users straight from a page's text, for the one form that nearly all pages have. Pure: no I/O, no clock.

With null in place of every time of deletion the users of such a page all have one length: the text is a grid. Where
each row of it has the same bytes around its values as the first one, and no value needs an escape, the text is JSON and
means these values. Anything else is None, and the page is parsed as any JSON.
"""

from __future__ import annotations

import re
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
_KEYS = (b'"id":"', b'","createdAt":"', b'","updatedAt":"', b'","deletedAt":')
_FORM = re.compile(rb'([^"]+)'.join(map(re.escape, _KEYS)) + rb'(null|"[^"]*")(.*)', re.DOTALL)
_NULL = b"null"
_QUOTE, _QUOTES = ord('"'), '""'
_UNSAFE = bytes([*range(0x20), _QUOTE, 0x7F])
"""What ends a string, and control characters: an id with one of them is for the parser to judge."""
_ROWS_AT_ONCE = 128
"""Rows looked at for the next deleted one."""


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
    text: memoryview
    """The users' own JSON, with what separates them, without the first and the last brace."""
    row_bytes: int
    """The length of a user's JSON and of what separates it from the next, where there is no time of deletion."""
    deleted: tuple[tuple[int, bytes], ...]
    """The rows with one, and the time as it is written."""

    def lines(self) -> Any:
        """Each user as a line of JSON, as ``columns`` writes lines."""
        # Arrow's memory: large objects of Python's that live on for a page cost a hundred page faults each.
        buffer = pa.allocate_buffer(len(self.text) + 3)
        content = memoryview(buffer).cast("B")
        content[:1], content[1:-2], content[-2:] = b"{", self.text, b"}\n"
        rows, width = len(self.ids), self.row_bytes
        lengths = array("i", [0]) + array("i", [width]) * rows
        start, first = 0, 0
        for row, time in (*self.deleted, (rows, b"")):
            end = start + (row - first) * width
            # The comma between two users is as long as a line end.
            content[start + width - 1 : end : width] = b"\n" * (row - first)
            if row < rows:
                lengths[row + 1] += len(time) + len(_QUOTES) - len(_NULL)
                start, first = end + lengths[row + 1], row + 1
                content[start - 1] = ord("\n")
        offsets = pc.cumulative_sum(pa.Array.from_buffers(pa.int32(), rows + 1, [None, pa.py_buffer(lengths)]))
        return pa.Array.from_buffers(pa.binary(), rows, [None, offsets.buffers()[1], buffer])


def find_users(body: bytes, bytes_min: int = TEXT_BYTES_MIN) -> UsersInText | None:
    """The users of a list answer as ``TextColumns``, and the answer without them. None whenever there is a doubt, and
    for an answer of fewer than ``bytes_min`` bytes."""
    if len(body) < bytes_min or not body.startswith(_HEAD) or b"\\" in body or not body.isascii():
        return None
    end = body.rfind(_TAIL, max(0, len(body) - _TAIL_BYTES))
    if end < len(_HEAD) or body.find(b'"users"', end) >= 0:  # of two keys with one name the parser takes the last
        return None
    try:
        columns = _read(body, len(_HEAD), end)
    except pa.ArrowInvalid:  # a time that Arrow does not read
        return None
    return None if columns is None else UsersInText(columns, _HEAD[:-1] + body[end + 1 :])


def _read(body: bytes, start: int, end: int) -> TextColumns | None:
    """The users between two places of an answer, which is not copied: it is large beside the processor's cache."""
    form = _FORM.fullmatch(body[start : max(start, body.find(_BETWEEN, start, end))])
    unknown = form and _unknown_fields(form[5])
    if form is None or unknown is None or len(form[1]) > ID_CHARACTERS_MAX:
        return None
    width = form.end() - len(form[4]) + len(_NULL) + len(_BETWEEN)
    even, deleted = _take_out_deleted(body, start, end, form.start(4), width)
    rows, rest = divmod(len(even), width)
    if rest or rows < 2 or len(deleted) > rows * DELETED_SHARE_MAX:
        return None
    grid = _grid(pa.py_buffer(even), rows, width)
    if not _is_all_of(even, grid, form):
        return None
    ids, *times = (pc.binary_slice(grid, *form.span(group)) for group in (1, 2, 3))
    if not _are_safe(ids.buffers()[1]):
        return None
    created, updated = (read_times(_texts(values)) for values in times)
    return TextColumns(
        _texts(ids),
        created,
        updated,
        _deleted_at(rows, deleted),
        _repeated_text(orjson.dumps(unknown).decode() if unknown else None, rows),
        frozenset(unknown),
        memoryview(body)[start:end],
        width,
        tuple(deleted),
    )


def _take_out_deleted(
    body: bytes, start: int, end: int, column: int, width: int
) -> tuple[bytes, list[tuple[int, bytes]]]:
    """The users' text with null for every time of deletion, and with a separator after the last user too; the rows that
    had such a time, with it. ``column`` is its place in a row."""
    view, pieces = memoryview(body), list[bytes | memoryview]()
    deleted: list[tuple[int, bytes]] = []
    row, taken, at = 0, start, start + column
    while at < end:
        found = body[at : min(at + _ROWS_AT_ONCE * width, end) : width].find(_QUOTE)
        if found < 0:
            row, at = row + _ROWS_AT_ONCE, at + _ROWS_AT_ONCE * width
            continue
        row, at = row + found, at + found * width
        closing = body.find(_QUOTE, at + 1, end)
        if closing < 0:  # no text: what is left is not even
            break
        pieces += (view[taken:at], _NULL)
        deleted.append((row, body[at + 1 : closing]))
        row, taken, at = row + 1, closing + 1, closing + 1 + width - len(_NULL)
    return b"".join((*pieces, view[taken:end], _BETWEEN)), deleted


def _is_all_of(even: bytes, grid: Any, form: re.Match[bytes]) -> bool:
    """Whether every row of the text, which is a grid, has the first one's bytes around its values."""
    rows, width = len(grid), grid.type.byte_width
    first = even[:width]
    (start, end), (created, created_end), (updated, updated_end) = map(form.span, (1, 2, 3))
    # From the last value of a row to the first one of the next row.
    between = _grid(grid.buffers()[1].slice(updated_end), rows - 1, width)
    return even.endswith(first[updated_end:]) and all(
        pc.binary_slice(of, at, at + len(bytes_)).buffers()[1].equals(_repeated(bytes_, len(of)))
        for of, at, bytes_ in (
            (grid, end, first[end:created]),
            (grid, created_end, first[created_end:updated]),
            (between, 0, first[updated_end:] + first[:start]),
        )
    )


@lru_cache(maxsize=8)
def _repeated(bytes_: bytes, times: int) -> Any:
    """The same from page to page."""
    return pa.py_buffer(bytes_ * times)


@lru_cache(maxsize=2)
def _repeated_text(text: str | None, times: int) -> Any:
    return pa.repeat(pa.scalar(text, pa.string()), times)


def _grid(buffer: Any, rows: int, width: int) -> Any:
    return pa.Array.from_buffers(pa.binary(width), rows, [None, buffer])


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


def _deleted_at(rows: int, deleted: Sequence[tuple[int, bytes]]) -> Any:
    """The few times of deletion, each in its row."""
    column = pa.nulls(rows, TIME)
    if not deleted:
        return column
    places = bytearray((rows + 7) // 8)
    for row, _ in deleted:
        places[row // 8] |= 1 << row % 8
    mask = pa.Array.from_buffers(pa.bool_(), rows, [None, pa.py_buffer(places)])
    return pc.replace_with_mask(column, mask, read_times(pa.array([time for _, time in deleted], pa.string())))
