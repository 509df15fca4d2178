"""The store that a destination names: a folder, a ``file://`` URI, or a bucket of an object store."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from syncer.errors import UsageError
from syncer.snapshot.local_store import LocalStore
from syncer.snapshot.store import Stoppable, Store

_CLOUD_SCHEMES = ("s3", "s3a", "gs", "az", "abfs", "abfss")


def open_store(destination: str, staging: Path | None = None, stoppable: Stoppable = iter) -> Store:
    """The store that a path or a URI names. Raises UsageError for one that this installation cannot reach.

    ``staging``: a private folder on this machine for what is on its way to an object store; who only reads needs none.
    ``stoppable`` ends long uploads when the run is cancelled.
    """
    scheme, found, _ = destination.partition("://")
    if not destination:
        raise UsageError("the destination is empty", hint="give a folder")
    if not found:
        return _open_folder(Path(os.path.expanduser(destination)).absolute())
    if scheme.lower() == "file":
        return _open_folder(_file_uri_path(destination))
    if scheme.lower() in _CLOUD_SCHEMES:
        return _open_bucket(destination, staging, stoppable)
    raise UsageError(
        f"a destination cannot begin with {scheme[:20]!a}://", hint="give a folder, or an s3://, az:// or gs:// URI"
    )


def _open_folder(path: Path) -> LocalStore:
    if os.path.exists(path) and not os.path.isdir(path):
        raise UsageError(f"the destination {path} is not a folder", hint="give a folder")
    return LocalStore(path)


def _open_bucket(destination: str, staging: Path | None, stoppable: Stoppable) -> Store:
    try:
        from syncer.snapshot import object_store  # with its library only for those who need it
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "obstore":
            raise
        raise UsageError(
            "object stores need the extra syncer[cloud]", hint="pip install 'syncer[cloud]', or give a folder"
        ) from None
    return object_store.open_bucket(destination, staging, stoppable)


def _file_uri_path(uri: str) -> Path:
    parts = urlsplit(uri)
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/") or parts.query or parts.fragment:
        raise UsageError("a file:// URI must name an absolute path on this machine", hint="write it as file:///folder")
    return Path(unquote(parts.path))
