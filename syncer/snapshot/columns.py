"""From a page of users to columns. Pure: no I/O, no clock.

Nothing is dropped in silence: a field the schema does not know goes to ``extra``, a user that breaks the contract is a
reject.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from syncer.model import Encode, EncodedPage, Page, Reject
from syncer.snapshot.exact import dump_row, holds_doubtful_number, read_exact_users
from syncer.snapshot.page_text import ID_CHARACTERS_MAX, TextColumns
from syncer.snapshot.rejects import CONTROL_CHARACTER, sort_out
from syncer.snapshot.times import TIME, read_times

USER_SCHEMA: Any = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("created_at", TIME, nullable=False),
        pa.field("updated_at", TIME, nullable=False),
        pa.field("deleted_at", TIME),
        pa.field("extra", pa.string()),
    ]
)
LINE_SCHEMA: Any = USER_SCHEMA.append(pa.field("line", pa.binary(), nullable=False))
"""With the user's own JSON and its line end, for NDJSON."""

FIELDS_MAX = 256
"""Names of unknown fields that are kept: a service that makes up names for every user must not fill the memory."""
SEEN_MAX = 1024
_KNOWN = frozenset({"id", "createdAt", "updatedAt", "deletedAt"})
_DOUBT = (AttributeError, KeyError, TypeError, ValueError, pa.ArrowException)

_Users = Sequence[dict[str, Any]]


def unknown_fields(seen: set[str]) -> tuple[str, ...]:
    """Of the names that an encoder gathered, those that the schema does not know, sorted."""
    return tuple(sorted(seen - _KNOWN)[:FIELDS_MAX])


def schema(*, with_lines: bool) -> Any:
    """The columns of a page in the spool."""
    return LINE_SCHEMA if with_lines else USER_SCHEMA


def make_encoder(*, with_lines: bool, seen: set[str] | None = None) -> Encode:
    """The function that turns a page into columns; ``with_lines`` when NDJSON is to be written.

    ``seen`` gathers the names of all fields of users that have any unknown one; enough of them, and it grows no more.
    It raises ContractBroken for a user nested deeper than can be written again.
    """

    def encode(page: Page) -> EncodedPage:
        if isinstance(page.columns, TextColumns):
            if seen is not None and page.columns.unknown:
                seen.update(page.columns.unknown)
            return _of_text(page.columns, with_lines)
        accepted = page.users
        rejects: tuple[Reject, ...] = ()
        try:
            ids, batch = _encode_clean(accepted, page.body, with_lines)
        except _DOUBT:
            accepted, rejects = sort_out(read_exact_users(page.body))
            ids, batch = _encode_clean(accepted, page.body, with_lines)
        if seen is not None and len(seen) < SEEN_MAX and batch.column("extra").null_count < len(accepted):
            seen.update(*accepted)
        return _encoded(ids, len(page.users), batch, rejects)

    return encode


def _encoded(ids: list[str], users: int, batch: Any, rejects: tuple[Reject, ...]) -> EncodedPage:
    ordered = sorted(ids)
    low, high = (ordered[0], ordered[-1]) if ordered else (None, None)
    return EncodedPage(ids, low, high, users, digest_ids(ordered), batch, rejects)


def _of_text(found: TextColumns, with_lines: bool) -> EncodedPage:
    columns = [found.ids, found.created_at, found.updated_at, found.deleted_at, found.extra]
    if with_lines:
        columns.append(found.lines())
    batch = pa.RecordBatch.from_arrays(columns, schema=schema(with_lines=with_lines))
    return _encoded(found.ids.to_pylist(), batch.num_rows, batch, ())


def digest_ids(sorted_ids: Sequence[str]) -> bytes:
    """What the page index says of a page's users."""
    return hashlib.sha256("\n".join(sorted_ids).encode()).digest()


def newest_update(batch: Any) -> float:
    """The newest ``updated_at`` of a page's users, in seconds since 1970; 0 without users."""
    newest = pc.max(batch.column("updated_at")).cast(pa.int64()).as_py()
    return newest / 1e6 if newest is not None else 0.0


def _encode_clean(users: _Users, body: bytes, with_lines: bool) -> tuple[list[str], Any]:
    """Columns of users without fault; any doubt is an exception, and then ``sort_out`` names the user."""
    ids = [user["id"] for user in users]
    id_column = pa.array(ids, pa.string())
    _check_ids(ids, id_column, body)
    deleted, all_say_deleted = _deleted(users)
    extra, exact = _extra(users, body, all_say_deleted)
    columns = [
        id_column,
        _times([user["createdAt"] for user in users]),
        _times([user["updatedAt"] for user in users]),
        _times(deleted),
        extra,
    ]
    if columns[1].null_count or columns[2].null_count:
        raise ValueError("a time is null")
    if with_lines:
        columns.append(_lines(exact))
    return ids, pa.RecordBatch.from_arrays(columns, schema=schema(with_lines=with_lines))


def _check_ids(ids: list[str], column: Any, body: bytes) -> None:
    shortest, longest = pc.min_max(pc.binary_length(column)).as_py().values()  # in bytes: not fewer than characters
    if column.null_count:
        raise ValueError("an id is null")
    if shortest == 0 or ((longest or 0) > ID_CHARACTERS_MAX and max(map(len, ids)) > ID_CHARACTERS_MAX):
        raise ValueError("an id is empty or too long")
    # JSON allows control characters in strings only as escapes, apart from DEL and, beyond ASCII, C1.
    may_hold_control = b"\\" in body or not body.isascii() or b"\x7f" in body
    if may_hold_control and CONTROL_CHARACTER.search("".join(ids)):
        raise ValueError("an id holds a control character")


def _deleted(users: _Users) -> tuple[list[Any], bool]:
    """Each user's ``deletedAt``, and whether all have the field."""
    try:
        return [user["deletedAt"] for user in users], True
    except KeyError:
        return [user.get("deletedAt") for user in users], False


def _times(texts: list[Any]) -> Any:
    return read_times(pa.array(texts, pa.string()))


def _extra(users: _Users, body: bytes, all_say_deleted: bool) -> tuple[Any, _Users]:
    """The unknown fields as JSON, and the users with exact numbers where that makes a difference."""
    unknown = _unknown_fields(users, all_say_deleted)
    if unknown is None:
        return pa.nulls(len(users), pa.string()), users
    texts = _json_texts(unknown)
    if any(map(holds_doubtful_number, unknown)) and (exact := _exact_like(users, body)) is not users:
        return _extra(exact, body, all_say_deleted)
    if all(unknown):
        return texts, users
    return pc.if_else(pa.array(map(bool, unknown), pa.bool_()), texts, pa.scalar(None, pa.string())), users


def _exact_like(users: _Users, body: bytes) -> _Users:
    """The same users read again; users that were sorted out before are exact already."""
    exact = read_exact_users(body)
    return exact if len(exact) == len(users) else users


def _unknown_fields(users: _Users, all_say_deleted: bool) -> list[dict[str, Any]] | None:
    """Per user what the schema does not know, in served order; None when no user has any."""
    sizes = set(map(len, users))
    if all_say_deleted and sizes <= {4}:
        return None
    if all_say_deleted and sizes == {5}:  # one field more, that all have: the usual case of an unknown field
        (name,) = users[0].keys() - _KNOWN
        with suppress(KeyError):
            return [{name: user[name]} for user in users]
    unknown = [{k: v for k, v in user.items() if k not in _KNOWN} for user in users]
    return unknown if any(unknown) else None


def _json_texts(values: Sequence[Any]) -> Any:
    blob = _newline_separated(values)
    texts = pc.split_pattern(_one_text(blob), "\n").values if blob else pa.array([], pa.string())
    if len(texts) == len(values):
        return texts
    return pa.array([dump_row(value) for value in values], pa.string())


def _lines(users: _Users) -> Any:
    """Each user as a line of JSON. The data buffer of the result is the content of an NDJSON file."""
    blob = _newline_separated(users)
    texts = pc.split_pattern(_one_text(blob), "\n").values if blob else pa.array([], pa.string())
    if len(texts) != len(users) or not users:
        return pa.array([dump_row(user) + b"\n" for user in users], pa.binary())
    ends = pc.cumulative_sum(pc.add(pc.binary_length(texts), pa.scalar(1, pa.int32())))
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), ends])
    return pa.Array.from_buffers(pa.binary(), len(users), [None, offsets.buffers()[1], pa.py_buffer(blob + b"\n")])


def _newline_separated(values: Sequence[Any]) -> bytes:
    """All values in one go, some ten times cheaper than one by one. Nested objects may be torn: the caller counts."""
    return dump_row(values)[1:-1].replace(b"},{", b"}\n{")


def _one_text(blob: bytes) -> Any:
    return pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(struct.pack("<ii", 0, len(blob))), pa.py_buffer(blob)]
    )
