"""What an object store's client says, as one sentence of ours: its own text may hold URLs, headers and more.

Pure but for the classes of the client's exceptions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

from syncer.errors import StorageFailed
from syncer.snapshot.store import FileMissing

_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound", "The specified bucket does not exist")
_NO_CREDENTIALS = ("169.254.169.254", "169.254.170.2", "metadata.google.internal", "MissingCredentials")
_STATUS = re.compile(r"status code: ([0-9]{3})")
_AGAIN = "run again: it resumes"


@contextmanager
def object_errors(what: str, verb: str) -> Iterator[None]:
    """Turn a failed request into a sentence about ``what``, which cannot be ``verb``; FileMissing if absent."""
    try:
        yield
    except FileNotFoundError as error:
        if _has(str(error), _NO_BUCKET):
            raise _failure(what, verb, str(error)) from None
        raise FileMissing(f"{what} is not there") from None
    except (PermissionDeniedError, UnauthenticatedError):
        raise StorageFailed(
            f"{what} cannot be {verb}: access denied", hint="check the credentials and their rights, then " + _AGAIN
        ) from None
    except (BaseError, OSError) as error:
        raise _failure(what, verb, str(error)) from None


def _failure(what: str, verb: str, text: str) -> StorageFailed:
    reason, hint = _reason(text)
    return StorageFailed(f"{what} cannot be {verb}: {reason}", hint=hint)


def _reason(text: str) -> tuple[str, str]:
    """Why, and what to do. The status is the last one that is named: retries come before it."""
    status = _STATUS.findall(text)
    if _has(text, _NO_BUCKET):
        return "the bucket or container does not exist", f"create it, then {_AGAIN}"
    if _has(text, _NO_CREDENTIALS):
        return "no credentials were found", f"set them as docs/stores.md says, then {_AGAIN}"
    if status and status[-1] in ("401", "403"):
        return "access denied", f"check the credentials and their rights, then {_AGAIN}"
    if status:
        return f"the store answered {status[-1]}", _AGAIN
    if _has(text, ("timed out", "Timeout", "TimedOut")):
        return "the store did not answer in time", _AGAIN
    if _has(text, ("error sending request", "Connect", "dns error")):
        return "the store cannot be reached", f"check the network and the endpoint, then {_AGAIN}"
    return "the store's answer makes no sense", _AGAIN


def _has(text: str, words: tuple[str, ...]) -> bool:
    return any(word in text for word in words)
