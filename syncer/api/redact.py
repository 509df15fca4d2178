"""Keeps page tokens and secrets out of every text. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from urllib.parse import quote

from syncer.credentials import Credentials

_SHORTEST = 4
"""A shorter value says nothing, and would take ordinary words apart."""


def mark(token: str) -> str:
    """Eight hexadecimal digits that name a page token without telling it: it holds the Account SID."""
    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def secret_forms(credentials: Credentials) -> tuple[str, ...]:
    """The forms in which a service could echo the secret: as it is, percent-encoded, in the Basic header."""
    secret = credentials.secret.reveal()
    return secret, quote(secret, safe=""), credentials.basic_header().removeprefix("Basic ")


def without(text: str, hidden: Iterable[str]) -> str:
    """The text with each of the hidden values replaced, in a foreign message too."""
    for value in hidden:
        if len(value) >= _SHORTEST:
            text = text.replace(value, "(hidden)")
    return text
