"""JSON with numbers kept as written: the fast parser rounds what 64 bits or a double cannot hold. Pure: no I/O."""

from __future__ import annotations

import json
from typing import Any

import orjson

from syncer.errors import ContractBroken


def read_exact_users(body: bytes) -> list[Any]:
    """The users of a list answer, each number as its own text. Raises ContractBroken for one nested too deeply."""
    try:
        envelope = json.loads(body, parse_float=orjson.Fragment, parse_int=orjson.Fragment)
    except RecursionError:
        raise _too_deep() from None
    users: list[Any] = envelope["users"]
    return users


def one_line(body: bytes) -> bytes:
    """A JSON value without white space between its parts, each number as its own text. Raises ContractBroken."""
    value = orjson.loads(body)
    if not holds_doubtful_number(value):
        return dump_row(value)
    try:
        return dump_row(json.loads(body, parse_float=orjson.Fragment, parse_int=orjson.Fragment))
    except RecursionError:
        raise _too_deep() from None


def holds_doubtful_number(value: Any) -> bool:
    """Whether a parsed value may differ from what was served: a float, which is also what became of a huge integer."""
    left = [value]
    while left:  # not by calling itself: the parser takes deeper values than Python's stack
        item = left.pop()
        if isinstance(item, float):
            return True
        if isinstance(item, dict):
            left += item.values()
        elif isinstance(item, list):
            left += item
    return False


def dump_row(value: Any) -> bytes:
    """One line of JSON without a line end. Raises ContractBroken for a value nested too deeply."""
    try:
        return orjson.dumps(value)
    except TypeError:
        raise _too_deep() from None


def _too_deep() -> ContractBroken:
    return ContractBroken(
        "a user is nested deeper than 250 levels", hint="it cannot be written; report it to the API's support"
    )
