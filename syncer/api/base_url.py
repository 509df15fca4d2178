"""Checks where requests may go, before any is made. Pure: no I/O; never repeats a URL that holds a login."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from syncer.errors import UsageError

_HINT = "expected something like https://comms.twilio.com/v1"


def checked_base_url(text: str, *, allow_http: bool = False) -> str:
    """Return the base URL without a closing slash.

    https only, except for a server on this machine (or with ``allow_http``): the secret travels in every request.
    Raises ``UsageError``.
    """
    parts = _split(text)
    if parts is None:
        raise UsageError("the base URL is not a URL", hint=_HINT)
    host = parts.hostname
    if parts.username is not None or parts.password is not None:
        raise UsageError(
            "the base URL holds a login", hint="give the credentials by the environment or the config file"
        )
    if parts.scheme not in ("http", "https") or not host:
        raise UsageError("the base URL is not an http or https URL", hint=_HINT)
    if not text.isascii() or not text.isprintable() or " " in text:
        raise UsageError("the base URL holds a character that a URL may not hold", hint=_HINT)
    if parts.query or parts.fragment or text.endswith(("?", "#")):
        raise UsageError("the base URL has a query or a fragment", hint=_HINT)
    if parts.scheme == "http" and not (allow_http or is_loopback(host)):
        raise UsageError(f"the base URL would send the credentials to {host} in the clear", hint="use https")
    return text.rstrip("/")


def _split(text: str) -> SplitResult | None:
    """The parts, or None; the parser's own exception may repeat a login, so it does not leave this function."""
    try:
        parts = urlsplit(text)
        _ = parts.port
        return parts
    except ValueError:
        return None


def is_loopback(host: str) -> bool:
    """Whether the host is this machine by its name or address; nothing is resolved."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
