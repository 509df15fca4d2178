"""The one exception tree. Each class carries the exit code of the contract; each message is one sentence for a person.

Pure: no I/O. A retryable outcome is a value; an exception means that there is nothing left to try.
"""

from __future__ import annotations


class SyncerError(Exception):
    """A failure that a person can act on.

    The message says what happened and to what; ``hint`` says what to do. Neither ever holds a secret, a page token or
    text of a foreign exception that might.
    """

    exit_code = 1
    attempts = 0
    """Wire requests made for it, where somebody counted."""
    ambiguous = False
    """Whether one of them was sent and its answer never came: it may have been carried out."""

    def __init__(self, message: str, *, hint: str = "", request_id: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.request_id = request_id

    def __str__(self) -> str:
        request = f" (request {self.request_id})" if self.request_id else ""
        hint = f"; {self.hint}" if self.hint else ""
        return f"{self.message}{request}{hint}"


class UsageError(SyncerError):
    """Wrong arguments or configuration, found before any request."""

    exit_code = 2


class CredentialsRefused(SyncerError):
    """401 or 403: not retried."""

    exit_code = 3


class GaveUp(SyncerError):
    """Attempts, the retry budget or a deadline are spent. Progress is kept."""

    exit_code = 4


class DataRefused(SyncerError):
    """Nothing is published: the data cannot be trusted."""

    exit_code = 5


class ContractBroken(DataRefused):
    """An answer that the API's contract does not allow, or one that makes no sense to repeat."""


class CoverageNotProven(DataRefused):
    """The pages do not form an unbroken chain from the first to the end of the list, or the list was not stable."""


class GuardTripped(DataRefused):
    """A guard before publishing found a figure beyond its limit."""


class StorageFailed(SyncerError):
    """The disk or the bucket failed. Progress is kept."""

    exit_code = 6


class LockHeld(SyncerError):
    """Another run of this account is at work."""

    exit_code = 7


class SnapshotMismatch(SyncerError):
    """A snapshot does not match its manifest."""

    exit_code = 8


class PartlyDone(SyncerError):
    """Some of several accounts or ids failed, the rest is done."""

    exit_code = 9
