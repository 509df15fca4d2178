"""The plain values that pass between the rooms. Pure: no I/O, no clock, standard library only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal, NewType, Protocol

Token = NewType("Token", str)
"""A page token: opaque, never decoded, never built; it holds the Account SID, so it is redacted in every text."""

EndSpelling = Literal["null", "absent", "empty"]
"""How the last page spelt the end of the list."""


@dataclass(frozen=True, slots=True)
class ApiError:
    """What an unsuccessful answer said, whatever its form. ``code`` is for people: decisions use ``status``."""

    status: int | None
    """HTTP status; None when there was no answer (connect, cut, timeout)."""
    message: str
    """One line, printable, at most 512 characters."""
    code: int | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One list answer with status 200, its envelope checked; its users are not yet checked one by one."""

    users: list[dict[str, object]]
    """As parsed. Numbers that a double or 64 bits cannot hold exactly may be rounded here: ``body`` is the judge."""
    next: Token | None
    end: EndSpelling | None
    """None exactly when ``next`` is a token."""
    body: bytes
    columns: object = None
    """The users, where they were read as columns straight from the text: ``users`` is empty then."""


@dataclass(frozen=True, slots=True)
class UsersInText:
    """A list answer taken apart without a parser."""

    columns: object
    """Its users, opaque to everyone but the encoder."""
    envelope: bytes
    """The answer with an empty list of users: JSON exactly when the whole answer is."""


FindUsers = Callable[[bytes], UsersInText | None]
"""Reads the users straight from the text of a list answer; None whenever it is not sure of every byte."""


@dataclass(frozen=True, slots=True)
class TokenRefused:
    """The API answered 400 (or 404, 410, ...) to a page token, twice: stale, foreign, or bound to something else."""

    error: ApiError


@dataclass(frozen=True, slots=True)
class Struggling:
    """Repeated 500s, 502s, 504s or timeouts for one token at one page size: a smaller page may get through."""

    error: ApiError


ListAnswer = Page | TokenRefused | Struggling


class ListPage(Protocol):
    """The crawler's only way to the service."""

    async def __call__(
        self, token: Token | None, page_size: int, on_next: Callable[[Token], None] | None = None
    ) -> ListAnswer:
        """Ask for one page, retrying what is worth it.

        ``on_next`` is called at most once for each attempt with a whole body, before that body is parsed, with the
        token read at its tail; a guess that the returned page confirms or not. Raises SyncerError when nothing is left
        to try.
        """
        ...


FetchUser = Callable[[str], Awaitable[bytes | None]]
"""One user by id: its JSON as served, a whole object; None when there is no such user. Raises SyncerError when nothing
is left to try."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A user that breaks the contract, kept whole."""

    row: int
    """Index in its page, from 0."""
    reason: str
    body: bytes
    """The user's JSON on one line, without a line end."""


@dataclass(frozen=True, slots=True)
class EncodedPage:
    """A page's accepted users as columns, and the facts that the walk and the proof need."""

    ids: list[str]
    """Of accepted users, in list order; may hold repeats."""
    min_id: str | None
    """In order of code points, which is that of UTF-8's bytes; None on a page without any."""
    max_id: str | None
    users: int
    """Users served on the page: accepted and rejected."""
    digest: bytes
    """sha256 over the page's ids, sorted, joined by a line feed, in UTF-8."""
    batch: object
    """The columns, opaque to the crawl; ``pack`` makes bytes of them."""
    rejects: tuple[Reject, ...]


Encode = Callable[[Page], EncodedPage]
Pack = Callable[[object], "bytes | memoryview"]

Ending = Literal["end", "entry", "met"]
"""Why a stretch stopped: end of the list; its ``next`` is a later stretch's token; a user that a later stretch has
fetched."""


@dataclass(frozen=True, slots=True)
class PageRecord:
    """One row of the page index: everything the proof needs, nothing proportional to users."""

    stretch: int
    sequence: int
    """From 0 within its stretch."""
    asked: int
    """Rising number of the request within the run; decides which of two versions of a user was asked last."""
    token: Token | None
    next: Token | None
    end: EndSpelling | None
    page_size: int
    users: int
    rejects: int
    first_id: str | None
    """First and last accepted id in list order; min and max of them in byte order. None on a page without any."""
    last_id: str | None
    min_id: str | None
    max_id: str | None
    digest: bytes
    ending: Ending | None = None
    """Set on the last page of a stretch."""
    stitch: int | None = None
    """The stretch that was met, for the endings ``entry`` and ``met``."""
    stitch_id: str | None = None
    """The user that both stretches hold, for the ending ``met``."""


@dataclass(frozen=True, slots=True)
class RepeatedUsers:
    """Users met on two pages of a run: how many for one pair of pages. The merge finds them, the crawl judges them."""

    stretch: int
    """The earlier page in list order: (stretch, sequence) is not after the other's."""
    sequence: int
    other_stretch: int
    other_sequence: int
    identical: int
    """Users whose two rows are equal."""
    updated: int
    """Users whose two rows differ: updated between the two requests."""
    example_id: str


@dataclass(frozen=True, slots=True)
class Check:
    """One named test of a run or a snapshot with its outcome."""

    name: str
    ok: bool
    detail: str


@dataclass(slots=True)
class Counters:
    """What a run has done so far; written by the client and the crawler, read by the progress display."""

    pages: int = 0
    users: int = 0
    rejects: int = 0
    requests: int = 0
    """Wire requests, retries included."""
    retries: int = 0
    throttled: int = 0
    """429 answers."""
    waiting_for: str = ""
    """What the run waits for now, in words; empty when it does not wait."""
    users_expected: int | None = None
    """From the last complete snapshot; None when there is none."""
    phase: str = field(default="starting")
    users_before: int = 0
    """Of ``users``, those that an earlier process of the same run fetched: they say nothing about today's speed."""
    requests_before: int = 0
    began_at: int = 0
    """The service's clock at the first page of the run, in seconds since 1970; 0 where it does not say."""
    by_id: bool = False
    """Users are asked for one by one: there are no pages to tell of."""


RunBlocking = Callable[[Callable[[], None]], Awaitable[None]]
"""Runs a blocking call somewhere and waits for it: a thread in the product, in line where time is simulated."""

Send = Callable[["WireRequest"], Awaitable["WireResponse"]]
"""The wire. Raises only ``WireFailed``."""


@dataclass(frozen=True, slots=True)
class WireRequest:
    """One request: exactly one on the wire."""

    method: Literal["GET", "DELETE"]
    path: str
    """Below the base URL, starting with a slash, percent-encoded."""
    params: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class WireResponse:
    """A whole answer within the byte cap."""

    status: int
    headers: dict[str, str]
    """Names in lower case; the last of repeated ones."""
    body: bytes


WireFailure = Literal["connect", "disconnected", "timeout", "truncated", "too_large", "protocol"]


class WireFailed(Exception):
    """No whole answer. ``kind`` decides; the text holds no URL, header or token.

    ``sent`` is False only when the request surely did not reach the service (connect failed).
    """

    def __init__(self, kind: WireFailure, message: str, *, sent: bool = True) -> None:
        super().__init__(message)
        self.kind: WireFailure = kind
        self.sent = sent


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number and what is counted, for a person: ``1 page``, ``1,000 pages``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
