"""Where a snapshot is loaded to, out of a text. Pure. A text may hold a password: no message repeats any of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote

from syncer.errors import UsageError

Kind = Literal["duckdb", "postgresql", "delta", "iceberg"]
Mode = Literal["replace", "append-history", "scd2"]
MODES: tuple[Mode, ...] = ("replace", "append-history", "scd2")
EXTRAS: dict[Kind, str] = {"duckdb": "duckdb", "postgresql": "postgres", "delta": "delta", "iceberg": "iceberg"}
_KINDS_TOLD = "duckdb:///file.db, postgresql://..., delta:PATH or iceberg:CATALOG.TABLE"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")
# A login stands between the slashes and the last @ before the path; a password may also be a parameter.
_LOGIN = re.compile(r"//([^/?#]*)@")
_PASSWORD_PARAMETER = re.compile(r"[?&](?:ssl)?password=([^&#]*)")


@dataclass(frozen=True, slots=True)
class Target:
    """A place to load to. ``location`` may hold a password and is in no repr."""

    kind: Kind
    location: str = field(repr=False)
    """A file, a URI, a folder, or a catalog with a table."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Passwords in the location, as written and decoded."""


@dataclass(frozen=True, slots=True)
class TableName:
    """A table; ``schema`` empty: the database's own choice."""

    schema: str
    name: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}" if self.schema else self.name


def parse_target(text: str) -> Target:
    """Raises UsageError for a text that names no kind of target."""
    scheme, _, rest = text.partition(":")
    if scheme == "duckdb" and rest.startswith("///") and rest[3:]:
        return Target("duckdb", rest[3:])
    if scheme in ("postgresql", "postgres") and rest.startswith("//"):
        return Target("postgresql", text, _secrets(text))
    if scheme == "delta" and rest:
        return Target("delta", rest)
    if scheme == "iceberg" and rest.count(".") and all(rest.split(".")):
        return Target("iceberg", rest)
    raise UsageError("TARGET names nothing that can be loaded to", hint=f"write {_KINDS_TOLD}")


def parse_table(text: str) -> TableName:
    """A name, or a schema and a name. Raises UsageError for what would need quoting."""
    *schemas, name = text.split(".")
    if len(schemas) > 1 or not all(_NAME.fullmatch(part) for part in (*schemas, name)):
        raise UsageError(
            "--table is not a name of a table", hint="use letters, digits and _, at most 40, or SCHEMA.NAME"
        )
    return TableName(schemas[0] if schemas else "", name)


def without_login(text: str) -> str:
    """A text that a person typed, with logins of URIs left out."""
    return _LOGIN.sub("//(login)@", _PASSWORD_PARAMETER.sub("", text))


def _secrets(uri: str) -> tuple[str, ...]:
    """Everything that may be a password, as written and decoded."""
    written = [login.partition(":")[2] for login in _LOGIN.findall(uri)] + _PASSWORD_PARAMETER.findall(uri)
    return tuple(dict.fromkeys(text for secret in written if secret for text in (secret, unquote(secret))))
