"""Users straight from a page's text, for the one form that nearly all pages have. Pure: no I/O, no clock.

The text is cut into rows, and each row at the places where the first one has its values. Then the rows are put together
again out of these values: where that gives the very bytes that were served, and no value needs an escape, the text is
JSON and means these values. Anything else is None, and the page is parsed as any JSON.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from syncer.model import UsersInText
from syncer.snapshot.times import TIME, read_times

ID_CHARACTERS_MAX = 128
"""Documented ids have 53 to 62 characters; the shape itself is not checked, it may change while the API is a beta."""
TEXT_BYTES_MIN = 32_768
"""Below some 200 users a page the parser is the quicker way; at 1,000 it takes a third longer, with lines nearly twice
as long."""
_HEAD, _TAIL = b'{"users":[{', b'}],"pagination":{'
_BETWEEN = b"},{"
_TAIL_BYTES = 16_384
_TO_THE_END = 1 << 30
"""Arrow 26 fails where no end is given (binary_slice: negative buffer resize)."""
_KEYS = (b'"id":"', b'","createdAt":"', b'","updatedAt":"', b'","deletedAt":')
_FORM = re.compile(rb'([^"]+)'.join(map(re.escape, _KEYS)) + rb'(?:null|"[^"]+")(.*)', re.DOTALL)
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
    rows: Any
    """The users' own JSON, without its braces."""

    def lines(self) -> Any:
        """Each user as a line of JSON, as ``columns`` writes lines."""
        return pc.binary_join_element_wise(b"{", self.rows, b"}\n", b"")


def find_users(body: bytes, bytes_min: int = TEXT_BYTES_MIN) -> UsersInText | None:
    """The users of a list answer as ``TextColumns``, and the answer without them. None whenever there is a doubt, and
    for an answer of fewer than ``bytes_min`` bytes."""
    if len(body) < bytes_min or not body.startswith(_HEAD) or b"\\" in body or not body.isascii():
        return None
    end = body.rfind(_TAIL, max(0, len(body) - _TAIL_BYTES))
    if end < len(_HEAD) or body.find(b'"users"', end) >= 0:  # of two keys with one name the parser takes the last
        return None
    try:
        columns = _read(pa.py_buffer(body).slice(len(_HEAD), end - len(_HEAD)))
    except pa.ArrowInvalid:  # a time that Arrow does not read
        return None
    return None if columns is None else UsersInText(columns, _HEAD[:-1] + body[end + 1 :])


def _read(text: Any) -> TextColumns | None:
    whole = pa.Array.from_buffers(pa.binary(), 1, [None, pa.py_buffer(struct.pack("<ii", 0, text.size)), text])
    rows = pc.split_pattern(whole, _BETWEEN).values
    form = _FORM.fullmatch(rows[0].as_py())
    unknown = form and _unknown_fields(form[4])
    if form is None or unknown is None or len(form[1]) > ID_CHARACTERS_MAX:
        return None
    ids, created, updated = (pc.binary_slice(rows, *form.span(group)) for group in (1, 2, 3))
    deleted = pc.binary_slice(rows, form.end(3) + len(_KEYS[3]), -len(form[4]) or _TO_THE_END)
    again = (_KEYS[0], ids, _KEYS[1], created, _KEYS[2], updated, _KEYS[3], deleted, form[4], b"")
    if not pc.binary_join_element_wise(*again).equals(rows) or not _are_safe(ids):
        return None
    deleted_at = _optional_times(deleted)
    return (
        None
        if deleted_at is None
        else TextColumns(
            ids.view(pa.string()),
            read_times(created.view(pa.string())),
            read_times(updated.view(pa.string())),
            deleted_at,
            pa.repeat(pa.scalar(orjson.dumps(unknown).decode() if unknown else None, pa.string()), len(rows)),
            frozenset(unknown),
            rows,
        )
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
    _, offsets, content = ids.buffers()
    first, last = struct.unpack_from("<i", offsets)[0], struct.unpack_from("<i", offsets, 4 * len(ids))[0]
    found = bytes(content[first:last])
    return len(found.translate(None, _UNSAFE)) == len(found)


def _optional_times(values: Any) -> Any | None:
    """Times between quotes, or the word null."""
    is_null = pc.equal(values, b"null")
    nulls = pa.nulls(len(values), TIME)
    quoted = values.filter(pc.invert(is_null))
    if not len(quoted):
        return nulls
    texts = pc.binary_slice(quoted, 1, -1)
    if not pc.binary_join_element_wise(b'"', texts, b'"', b"").equals(quoted):
        return None
    return pc.replace_with_mask(nulls, pc.invert(is_null), read_times(texts.view(pa.string())))
