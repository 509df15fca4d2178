"""The words at the end of a run, for a person. Pure: no I/O, no clock; what it is told is all it knows."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from syncer.durations import show_duration, show_size
from syncer.model import Check, counted
from syncer.terminal import harmless

CLAIM = (
    "Every user that existed from the first request to the last, and kept its place in the list, "
    "is in the snapshot exactly once."
)
"""The strongest claim that the proof of coverage allows."""
_LABEL_WIDTH = 11


class Part(Protocol):
    """A data file, as far as the summary goes."""

    @property
    def format(self) -> str: ...
    @property
    def rows(self) -> int: ...
    @property
    def bytes(self) -> int: ...


class Exported(Protocol):
    """The result of one account's export, as far as the summary and the JSON report go."""

    @property
    def account_sid(self) -> str: ...
    @property
    def snapshot_id(self) -> str: ...
    @property
    def verdict(self) -> str: ...
    @property
    def users(self) -> int: ...
    @property
    def deleted_users(self) -> int: ...
    @property
    def pages(self) -> int: ...
    @property
    def requests(self) -> int: ...
    @property
    def retries(self) -> int: ...
    @property
    def throttled(self) -> int: ...
    @property
    def seconds(self) -> float: ...
    @property
    def manifest(self) -> str: ...
    @property
    def destination(self) -> str: ...
    @property
    def files(self) -> Sequence[Part]: ...
    @property
    def checks(self) -> Sequence[Check]: ...
    @property
    def notes(self) -> Sequence[str]: ...
    @property
    def resumed(self) -> bool: ...
    @property
    def previous_users(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Failure:
    """An account whose export failed."""

    account_sid: str
    exit_code: int
    error: str


def summary_text(result: Exported, width: int = 80) -> str:
    """Some ten lines about one published snapshot, none wider than ``width``; printable ASCII only."""
    lines = [f"Snapshot {result.snapshot_id} of {result.account_sid}: {result.verdict}"]
    lines += _row("users", f"{result.users:,} ({result.deleted_users:,} deleted){_compared(result)}", width)
    lines += _row("pages", _pages(result), width)
    speed = f", {result.users / result.seconds:,.0f} users a second" if result.seconds > 0 else ""
    resumed = ", resumed from an unfinished run" if result.resumed else ""
    lines += _row("time", f"{show_duration(result.seconds)}{speed}{resumed}", width)
    lines += _row("files", "; ".join(_formats(result.files)), width)
    lines += _row("checks", "; ".join(_checks(result.checks)), width)
    lines += _row("manifest", f"{result.destination.rstrip('/')}/{result.manifest}", width)
    for note in result.notes:
        lines += _row("note", note, width)
    if result.verdict == "complete":
        lines += _row("proven", CLAIM, width)
    return "\n".join(lines) + "\n"


def _compared(result: Exported) -> str:
    if result.previous_users is None:
        return ", the first snapshot of this account"
    change = result.users - result.previous_users
    return (
        f", {abs(change):,} {'fewer' if change < 0 else 'more'} than last time" if change else ", as many as last time"
    )


def _pages(result: Exported) -> str:
    retries = f"{result.retries:,} of them retries" if result.retries else "no retries"
    throttled = f"; {counted(result.throttled, 'answer')} 429" if result.throttled else ""
    return f"{result.pages:,} in {counted(result.requests, 'request')}, {retries}{throttled}"


def _formats(files: Iterable[Part]) -> list[str]:
    sums: dict[str, tuple[int, int]] = {}
    for part in files:
        count, size = sums.get(part.format, (0, 0))
        sums[part.format] = (count + 1, size + part.bytes)
    return [f"{form}: {counted(count, 'part')}, {show_size(size)}" for form, (count, size) in sums.items()]


def _checks(checks: Sequence[Check]) -> list[str]:
    """Those that passed by name, their details are in the manifest; the others whole."""
    passed = ", ".join(check.name for check in checks if check.ok)
    failed = [f"{check.name} NOT ok ({check.detail})" for check in checks if not check.ok]
    return [f"{passed} ok", *failed] if passed else failed


def _row(label: str, text: str, width: int) -> list[str]:
    indent = " " * (2 + _LABEL_WIDTH)
    return textwrap.wrap(
        harmless(text),
        max(width, 40),
        initial_indent=f"  {label:{_LABEL_WIDTH}}",
        subsequent_indent=indent,
        break_on_hyphens=False,
        break_long_words=False,
    )
