"""The proof of coverage: do these pages form an unbroken chain from the start of the list to its end? Pure.

It reads page records only, so that the crawl and ``verify`` ask the same question of the same facts, the latter
offline and
years later. A stretch that another one covers (its chain leads nowhere) is harmless: what it holds is in the snapshot
too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from syncer.model import Check, PageRecord, Token, counted

REASONS_MAX = 20
"""Reasons kept in words; a broken index of a million pages is as broken with twenty."""

_ENDS: dict[str, str] = {"null": "next is null", "absent": "next is absent", "empty": "next is an empty string"}


@dataclass(frozen=True, slots=True)
class Coverage:
    """What the pages prove."""

    verdict: Literal["complete", "incomplete"]
    reasons: tuple[str, ...]
    """Why it is incomplete; empty when it is complete."""
    checks: tuple[Check, ...]
    pages: int
    users_served: int
    """Users on all pages, repeats at stitches included."""
    rejects: int
    path: tuple[int, ...]
    """Stretches on the way from the start of the list to its end."""


@dataclass(slots=True)
class _StretchFacts:
    first_token: Token | None
    last: PageRecord
    pages: int = 0


@dataclass(slots=True)
class _Reading:
    stretches: dict[int, _StretchFacts] = field(default_factory=dict)
    unseen: dict[int, set[str]] = field(default_factory=dict)
    """Ids that must lie within a page of a later stretch: the witnesses of its stitches."""
    broken: list[str] = field(default_factory=list)
    pages: int = 0
    users: int = 0
    rejects: int = 0


def prove_coverage(records: Iterable[PageRecord]) -> Coverage:
    """Judge the pages of a run, given in list order (stretch, then sequence); may be a stream of a million."""
    reading = _Reading()
    for record in records:
        _read(reading, record)
    path, gaps = _path(reading)
    on_path = set(path)
    unwitnessed = [
        f"stretch {stretch} holds no page around the user at which it was met"
        for stretch, ids in sorted(reading.unseen.items())
        if ids and stretch in on_path
    ]
    stretches = counted(len(path), "stretch", "stretches")
    checks = (
        _check(
            "chain", reading.broken, f"{counted(reading.pages, 'page')}, each asked with the next of the one before"
        ),
        _check("stitches", gaps + unwitnessed, f"{stretches} from the start of the list to its end"),
        _end_check(reading, path),
    )
    reasons = tuple((reading.broken + gaps + unwitnessed)[:REASONS_MAX])
    is_complete = all(check.ok for check in checks) and not reasons
    return Coverage(
        "complete" if is_complete else "incomplete",
        reasons or (() if is_complete else ("the end of the list was not reached",)),
        checks,
        reading.pages,
        reading.users,
        reading.rejects,
        tuple(path),
    )


def _read(reading: _Reading, record: PageRecord) -> None:
    reading.pages += 1
    reading.users += record.users
    reading.rejects += record.rejects
    facts = reading.stretches.get(record.stretch)
    where = f"page {record.sequence} of stretch {record.stretch}"
    if facts is None:
        if record.sequence != 0:
            reading.broken.append(f"stretch {record.stretch} does not begin with its first page")
        reading.stretches[record.stretch] = _StretchFacts(record.token, record, 1)
    else:
        if record.sequence != facts.last.sequence + 1:
            reading.broken.append(f"the pages before {where} are missing")
        elif record.token is None or record.token != facts.last.next:
            reading.broken.append(f"{where} was not asked with the next of the page before")
        elif facts.last.ending is not None:
            reading.broken.append(f"{where} comes after the end of its stretch")
        facts.last = record
        facts.pages += 1
    _read_ends(reading, record, where)


def _read_ends(reading: _Reading, record: PageRecord, where: str) -> None:
    if (record.next is None) != (record.end is not None):
        reading.broken.append(f"{where} has neither a next page nor an end, or both")
    unseen = reading.unseen.get(record.stretch)
    if unseen and record.min_id is not None and record.max_id is not None:
        low, high = record.min_id, record.max_id
        reading.unseen[record.stretch] = {i for i in unseen if not low <= i <= high}
    if record.ending == "met" and record.stitch is not None and record.stitch_id is not None:
        reading.unseen.setdefault(record.stitch, set()).add(record.stitch_id)
        inside = (
            record.min_id is not None
            and record.max_id is not None
            and record.min_id <= record.stitch_id <= record.max_id
        )
        if not inside:
            reading.broken.append(f"{where} does not hold the user at which it met stretch {record.stitch}")


def _path(reading: _Reading) -> tuple[list[int], list[str]]:
    """Follow the stitches from stretch 0; every step leads to a later stretch, so it ends."""
    if 0 not in reading.stretches:
        return [], ["no page at all was recorded"]
    if reading.stretches[0].first_token is not None:
        return [0], ["the first page was asked with a page token"]
    path = [0]
    while True:
        last = reading.stretches[path[-1]].last
        gap = _gap(reading, last)
        if gap:
            return path, [gap]
        if last.ending == "end":
            return path, []
        assert last.stitch is not None  # _gap
        path.append(last.stitch)


def _gap(reading: _Reading, last: PageRecord) -> str:
    if last.ending == "end":
        return (
            ""
            if last.end is not None
            else f"stretch {last.stretch} claims the end of the list but its last page has a next"
        )
    if last.ending not in ("entry", "met") or last.stitch is None:
        return f"stretch {last.stretch} stops after {last.sequence + 1} pages without reaching another one"
    if last.stitch <= last.stretch or last.stitch not in reading.stretches:
        return f"stretch {last.stretch} leads to stretch {last.stitch}, which is not there"
    if last.ending == "entry" and last.next != reading.stretches[last.stitch].first_token:
        return f"stretch {last.stretch} does not lead to the entry of stretch {last.stitch}"
    if last.ending == "met" and last.stitch_id is None:
        return f"stretch {last.stretch} names no user at which it met stretch {last.stitch}"
    return ""


def _end_check(reading: _Reading, path: list[int]) -> Check:
    last = reading.stretches[path[-1]].last if path else None
    if last is None or last.end is None:
        return Check("end_of_list", False, "the end of the list was not reached")
    if (spelling := _ENDS.get(last.end)) is None:
        return Check("end_of_list", False, "the last page names an end that no list has")
    return Check("end_of_list", True, f"reached: {spelling}")


def _check(name: str, problems: list[str], well: str) -> Check:
    return Check(name, not problems, "; ".join(problems[:3]) if problems else well)


def find_order(records: Iterable[PageRecord]) -> Literal["ascending", "descending", "mixed", "unknown"]:
    """The order of ids in the list, as the pages of each stretch show it; "unknown" with fewer than two users to
    compare."""
    seen: set[str] = set()
    before: PageRecord | None = None
    for record in records:
        if record.min_id is None or record.max_id is None:
            continue
        if record.first_id != record.last_id:
            seen.add(_direction(record.first_id == record.min_id, record.first_id == record.max_id))
        if before is not None and before.stretch == record.stretch:
            assert before.min_id is not None  # pages without users are left out
            assert before.max_id is not None
            seen.add(_direction(before.max_id < record.min_id, before.min_id > record.max_id))
        before = record
    if len(seen) > 1:
        return "mixed"
    return (
        "ascending" if "ascending" in seen else "descending" if "descending" in seen else "mixed" if seen else "unknown"
    )


def _direction(rises: bool, falls: bool) -> str:
    return "ascending" if rises else "descending" if falls else "mixed"
