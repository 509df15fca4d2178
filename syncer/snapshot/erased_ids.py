"""Ids of users wherever a text may hold one: in rejects, manifests, and in page tokens, plainly or in base64. Pure.

Tokens stay opaque: they are looked at for names only, and no meaning is taken from them.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Iterator

IsErased = Callable[[str], bool]
"""Whether a user is in the account's erasure ledger."""
_PREFIX = b"comms_pushnotificationuser_"
_ID = re.compile(_PREFIX + rb"[0-7][a-hjkmnpqrstv-z0-9]{25,34}")
_SUFFIX_MIN = 26
_BASE64_RUN = re.compile(r"[A-Za-z0-9+/_-]{24,}")
_STANDARD = str.maketrans("-_", "+/")


def ids_in(text: bytes) -> Iterator[str]:
    """Every id of the API's own pattern in a text; where more letters follow one, all that it may have been."""
    for found in _ID.findall(text):
        for end in range(len(_PREFIX) + _SUFFIX_MIN, len(found) + 1):
            yield found[:end].decode()


def ids_in_token(token: str) -> Iterator[str]:
    """Every id that a page token names. Base64 may begin anywhere in it, so each of the four places is tried."""
    yield from ids_in(token.encode())
    for run in _BASE64_RUN.findall(token):
        text = run.translate(_STANDARD)
        for start in range(4):
            yield from ids_in(_decoded(text[start:]))


def _decoded(text: str) -> bytes:
    """What base64 says; a last character that is alone says nothing."""
    whole = text[:-1] if len(text) % 4 == 1 else text
    return b64decode(whole + "=" * (-len(whole) % 4))
