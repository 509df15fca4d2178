"""Accounts and their secrets: from `[[accounts]]`, or from the environment when the file names none.

A secret comes from a variable or a private file, never from the text of the configuration, and is in no message.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass

from syncer.credentials import Credentials, Secret

SECRET_BYTES_MAX = 4096
_ACCOUNT_SID = re.compile(r"AC[0-9a-fA-F]{32}")
_KEY_SID = re.compile(r"SK[0-9a-fA-F]{32}")
_KEYS = ("sid", "auth_token", "api_key", "api_secret")
_SID_EXPECTED = "expected AC and 32 hexadecimal digits"
_KEY_EXPECTED = "expected SK and 32 hexadecimal digits"


@dataclass(frozen=True, slots=True)
class Account:
    """One set of credentials: the unit of crawling, of rate limits and of snapshots."""

    sid: str
    credentials: Credentials


class AccountProblem(Exception):
    """What is wrong with an account; ``key`` says where. Never holds a secret."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def is_account_sid(text: object) -> bool:
    """Whether a text is an Account SID: only such a one ever becomes part of a path."""
    return isinstance(text, str) and _ACCOUNT_SID.fullmatch(text) is not None


def account_keys() -> tuple[str, ...]:
    """The keys of an ``[[accounts]]`` table."""
    return _KEYS


def account_from_table(table: Mapping[str, object], environ: Mapping[str, str], *, resolve: bool) -> Account | None:
    """The account of one ``[[accounts]]`` table. Raises AccountProblem.

    Without ``resolve`` only the form is checked and None is returned: listing snapshots needs no secret.
    """
    sid = table.get("sid")
    if not is_account_sid(sid):
        # A token pasted in its place would be printed: only what begins as a SID does is.
        given = f" and not {ascii(sid)[:40]}" if isinstance(sid, str) and sid.startswith("AC") else ""
        raise AccountProblem("sid", _SID_EXPECTED + given)
    has_key = "api_key" in table or "api_secret" in table
    if has_key == ("auth_token" in table):
        raise AccountProblem("auth_token", "expected either auth_token, or api_key with api_secret")
    if not has_key:
        secret = _secret("auth_token", table["auth_token"], environ, resolve=resolve)
        return Account(str(sid), Credentials(str(sid), secret)) if secret else None
    key = table.get("api_key")
    if not isinstance(key, str) or not _KEY_SID.fullmatch(key):
        raise AccountProblem("api_key", _KEY_EXPECTED)
    if "api_secret" not in table:
        raise AccountProblem("api_key", "expected api_secret beside it")
    secret = _secret("api_secret", table["api_secret"], environ, resolve=resolve)
    return Account(str(sid), Credentials(key, secret)) if secret else None


def account_from_environment(environ: Mapping[str, str]) -> Account:
    """The one account that ``TWILIO_…`` variables name; an API key goes before an auth token. Raises AccountProblem."""
    sid = environ.get("TWILIO_ACCOUNT_SID", "")
    if not sid:
        raise AccountProblem(
            "TWILIO_ACCOUNT_SID",
            "no account is configured: set it with TWILIO_AUTH_TOKEN, or add [[accounts]] to the file",
        )
    if not is_account_sid(sid):
        raise AccountProblem("TWILIO_ACCOUNT_SID", _SID_EXPECTED)
    key, has_secret = environ.get("TWILIO_API_KEY", ""), bool(environ.get("TWILIO_API_SECRET"))
    if not key and not has_secret:
        return Account(sid, Credentials(sid, _from_variable("TWILIO_AUTH_TOKEN", "TWILIO_AUTH_TOKEN", environ)))
    if not _KEY_SID.fullmatch(key):
        raise AccountProblem("TWILIO_API_KEY", _KEY_EXPECTED)
    return Account(sid, Credentials(key, _from_variable("TWILIO_API_SECRET", "TWILIO_API_SECRET", environ)))


def _secret(key: str, source: object, environ: Mapping[str, str], *, resolve: bool) -> Secret | None:
    if isinstance(source, str):
        raise AccountProblem(key, 'a secret is not written into the file: use { env = "NAME" } or { file = "PATH" }')
    if not isinstance(source, dict) or set(source) not in ({"env"}, {"file"}):
        raise AccountProblem(key, 'expected { env = "NAME" } or { file = "PATH" }')
    kind, where = next(iter(source.items()))
    if not isinstance(where, str) or not where or "\0" in where:
        raise AccountProblem(key, f"expected a text that is not empty after {kind}")
    if not resolve:
        return None
    return _from_variable(key, where, environ) if kind == "env" else _from_file(key, where)


def _from_variable(key: str, variable: str, environ: Mapping[str, str]) -> Secret:
    if not environ.get(variable):
        # A secret pasted in the place of a name would be printed here: only what looks like a name is.
        name = variable if re.fullmatch(r"[A-Z][A-Z0-9_]{0,63}", variable) else "that it names"
        raise AccountProblem(key, f"the environment variable {name} is not set")
    return _checked(key, environ[variable])


def _from_file(key: str, where: str) -> Secret:
    """Read a secret's file. It is opened once and judged by what was opened, so that it cannot change in between."""
    path = os.path.expanduser(where)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        reason = "it is a symbolic link" if os.path.islink(path) else error.strerror
        raise AccountProblem(key, f"the secret's file {path} cannot be used: {reason}") from None
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise AccountProblem(key, f"the secret's file {path} cannot be used: it is no regular file")
        if facts.st_mode & 0o077:
            raise AccountProblem(key, f"the secret's file {path} can be read by others: run chmod 600 on it")
        content = os.read(descriptor, SECRET_BYTES_MAX + 2)
    finally:
        os.close(descriptor)
    try:
        return _checked(key, content.decode("utf-8"))
    except UnicodeDecodeError:
        raise AccountProblem(key, f"the secret's file {path} is not text") from None


def _checked(key: str, value: str) -> Secret:
    value = value.removesuffix("\n").removesuffix("\r")
    if not value or len(value) > SECRET_BYTES_MAX or not value.isprintable():
        raise AccountProblem(key, "the secret is empty, too long, or holds a control character")
    return Secret(value)
