"""Secrets that do not show themselves. Pure: no I/O."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass


class Secret:
    """A string that never appears in ``repr``, ``str``, a format or a pickle; ``reveal`` is the one way in."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the secret itself; only the transport calls this."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __format__(self, _spec: str) -> str:
        return repr(self)

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a secret is not pickled")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


@dataclass(frozen=True, slots=True)
class Credentials:
    """HTTP Basic credentials: user is an Account SID (with its auth token) or an API key SID (with its secret)."""

    user: str
    secret: Secret

    def basic_header(self) -> str:
        """The value of the ``Authorization`` header (RFC 7617, UTF-8)."""
        pair = f"{self.user}:{self.secret.reveal()}".encode()
        return "Basic " + b64encode(pair).decode("ascii")
