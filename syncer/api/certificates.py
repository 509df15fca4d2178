"""Which certificates are trusted. The context that is made here is the only one that requests use."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from syncer.errors import UsageError

_SYSTEM_FILE = "SSL_CERT_FILE"


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """TLS 1.2 or later, for servers with a certificate of ``ca_file``, else of the system's. Raises UsageError."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError):
        raise UsageError(f"the CA file {ca_file} cannot be read as PEM certificates", hint="check its path") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


@contextmanager
def system_file_unread() -> Iterator[None]:
    """While aiohttp is imported: it makes contexts of its own then, which nobody uses, and reads all certificates of
    the system for them, some 0.03 s in each process. OpenSSL looks for their file where the environment says."""
    before = os.environ.get(_SYSTEM_FILE)
    os.environ[_SYSTEM_FILE] = os.devnull
    try:
        yield
    finally:
        if before is None:
            del os.environ[_SYSTEM_FILE]
        else:
            os.environ[_SYSTEM_FILE] = before
