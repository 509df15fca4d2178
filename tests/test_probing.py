"""The look back at a finished walk: which requests it makes, when it ends, and whom it finds."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from syncer.crawl.crawler import ListUnstable
from syncer.crawl.plan import plan_sequential
from syncer.crawl.spool import Entry, RunFacts, Spool
from syncer.errors import GaveUp
from syncer.model import ApiError, ListAnswer, Page, PageRecord, Token, TokenRefused
from syncer.probing import Look, Probe
from syncer.snapshot.columns import make_encoder
from syncer.snapshot.payload import pack
from tests.virtual_time import run_virtual

SIZE = 10
ENCODE = make_encoder(with_lines=False)
BEGAN = 1e12
"""Later than all: every user is older than the run."""


@dataclass
class Offsets:
    """A list whose tokens are offsets."""

    ids: list[str]
    asked: list[Token | None] = field(default_factory=list)
    answers: Callable[[int], Exception | TokenRefused | None] = lambda _: None
    """What is answered in place of the n-th request, from 1."""
    time_of: Callable[[str], str] = lambda _: "2024-01-01T00:00:00Z"
    """When a user was created and updated."""

    async def __call__(
        self, token: Token | None, page_size: int, on_next: Callable[[Token], None] | None = None
    ) -> ListAnswer:
        self.asked.append(token)
        other = self.answers(len(self.asked))
        await asyncio.sleep(0.1)
        if other is not None:
            if isinstance(other, Exception):
                raise other
            return other
        start = int(token or 0)
        return self.page(start, page_size)

    def page(self, start: int, page_size: int) -> Page:
        rows = self.ids[start : start + page_size]
        end = start + page_size >= len(self.ids)
        users: list[dict[str, object]] = [
            {"id": i, "createdAt": self.time_of(i), "updatedAt": self.time_of(i), "deletedAt": None} for i in rows
        ]
        return Page(users, None if end else Token(str(start + page_size)), "null" if end else None, b"")


def refused(_: int) -> TokenRefused:
    return TokenRefused(ApiError(400, "expired"))


def walked(folder: Path, service: Offsets, deleted: dict[int, str]) -> Spool:
    """Walk the list; before the n-th page a user is deleted."""
    spool = Spool(folder / "spool", pack)
    spool.begin(RunFacts("AC", "20260101T000000Z", "2026-01-01T00:00:00+00:00", "", False, ""), plan_sequential(""))
    token: Token | None = None
    sequence = 0
    while sequence == 0 or token is not None:
        if sequence in deleted:
            service.ids.remove(deleted[sequence])
        page = service.page(int(token or 0), SIZE)
        encoded = ENCODE(page)
        ids = encoded.ids
        ends = (ids[0], ids[-1], ids[0], ids[-1]) if ids else (None,) * 4
        record = PageRecord(
            0, sequence, sequence + 1, token, page.next, page.end, SIZE, len(ids), 0, *ends, encoded.digest,
            ending="end" if page.end else None,
        )  # fmt: skip
        spool.record([Entry(record, encoded, None)], {})
        token, sequence = page.next, sequence + 1
    return spool


def look(spool: Spool, service: Offsets, vanished: tuple[str, ...] = (), *, is_still: bool = False) -> Look:
    probe = Probe(spool, with_lines=False, vanished=vanished)
    probe.choose(4, is_still=is_still)
    run_virtual(probe.ask(service, ENCODE, 4))
    return probe.judge(BEGAN, math.inf)


def users(count: int) -> list[str]:
    return [f"u{n:05d}" for n in range(count)]


def test_a_still_list_is_asked_for_once_the_last_page_first(tmp_path: Path) -> None:
    service = Offsets(users(45))
    found = look(walked(tmp_path, service, {}), service)
    assert found == Look("5 pages asked again, every user stood in its place", has_strangers=False)
    assert service.asked == ["40", "30", "20", "10", None]


@pytest.mark.parametrize(
    ("count", "asked"),
    [
        (10, [None]),
        (20, ["10", None]),
        (90, ["70", "50", "20"]),
        (200, ["160", "100", "40"]),
        (3000, ["2430", "1680", "930"]),
    ],
)
def test_of_a_list_without_a_sign_of_a_change_three_pages_are_enough_but_for_a_tiny_one(
    count: int, asked: list[str | None], tmp_path: Path
) -> None:
    service = Offsets(users(count))
    words = look(walked(tmp_path, service, {}), service, is_still=True).words
    assert service.asked == asked
    assert words.startswith(f"{len(asked)} pages asked again")


def test_where_one_of_three_pages_is_another_the_list_was_not_still(tmp_path: Path) -> None:
    service = Offsets(users(200))
    spool = walked(tmp_path, service, {15: "u00050"})
    with pytest.raises(ListUnstable, match="older than the run that the walk never met"):
        look(spool, service, is_still=True)
    assert service.asked[:3] == ["160", "100", "40"]
    assert len(service.asked) > 20


def test_where_few_pages_are_refused_the_list_is_looked_at_as_a_whole(tmp_path: Path) -> None:
    service = Offsets(users(200), answers=lambda n: refused(n) if n == 2 else None)
    assert look(walked(tmp_path, service, {}), service, is_still=True).words.startswith("20 pages asked again")


def test_a_user_that_slid_by_is_seen(tmp_path: Path) -> None:
    service = Offsets(users(45))
    spool = walked(tmp_path, service, {2: "u00003"})
    with pytest.raises(ListUnstable, match="page 1 of stretch 0 holds a user older than the run that the walk never"):
        look(spool, service)


def test_a_list_that_changes_is_asked_for_again_the_other_way_round_until_two_looks_agree(tmp_path: Path) -> None:
    service = Offsets(users(25))
    spool = walked(tmp_path, service, {})
    service.ids.remove("u00022")
    assert not look(spool, service).has_strangers
    assert service.asked == ["20", "10", None, None, "10", "20"]


def test_users_that_came_meanwhile_are_strangers_and_no_fault(tmp_path: Path) -> None:
    service = Offsets(users(25))
    spool = walked(tmp_path, service, {})
    service.ids += ["u00100"]
    probe = Probe(spool, with_lines=False)
    probe.choose(4)
    run_virtual(probe.ask(service, ENCODE, 4))
    assert probe.judge(-math.inf, math.inf).has_strangers


def test_times_that_lie_ahead_do_not_make_a_user_that_came_meanwhile_older_than_the_run(tmp_path: Path) -> None:
    ahead = users(25)
    service = Offsets(ahead, time_of=lambda i: "2026-12-01T00:00:00Z" if i < "u00100" else "2026-01-01T00:00:09Z")
    spool = walked(tmp_path, service, {})
    service.ids += ["u00100"]
    probe = Probe(spool, with_lines=False)
    probe.choose(4)
    run_virtual(probe.ask(service, ENCODE, 4))
    now = datetime(2026, 1, 1, 0, 1, tzinfo=UTC).timestamp()
    assert probe.judge(now - 60, now).has_strangers
    with pytest.raises(ListUnstable):
        probe.judge(now - 60, math.inf)


def test_where_remembered_tokens_are_refused_the_list_is_walked_anew(tmp_path: Path) -> None:
    service = Offsets(users(25))
    spool = walked(tmp_path, service, {1: "u00003"})
    service.answers = lambda n: refused(n) if n in (1, 2, 4, 5) else None
    with pytest.raises(ListUnstable, match="older than the run that the walk never met"):
        look(spool, service)


def test_a_list_that_cannot_be_looked_at_again_is_not_published_yet(tmp_path: Path) -> None:
    service = Offsets(users(25))
    spool = walked(tmp_path, service, {})
    service.answers = lambda n: refused(n) if service.asked[-1] is not None else None
    with pytest.raises(GaveUp, match="expire before the list can be looked at a second time"):
        look(spool, service)
    assert service.asked == ["20", "10", None, *[None, "10"] * 4]


def test_what_is_given_up_ends_a_look_only_when_too_little_was_seen(tmp_path: Path) -> None:
    service = Offsets(users(300), answers=lambda n: GaveUp("spent") if n == 20 else None)
    assert look(walked(tmp_path, service, {}), service).words == (
        "19 pages asked again, every user stood in its place, 11 more could not be asked for"
    )
    service.asked.clear()
    service.answers = lambda n: GaveUp("spent") if n == 3 else None
    with pytest.raises(GaveUp):
        look(walked(tmp_path / "again", service, {}), service)


@pytest.mark.parametrize("reverse", [False, True])
def test_in_a_long_list_users_that_vanished_are_looked_for_where_they_would_stand(
    reverse: bool, tmp_path: Path
) -> None:
    service = Offsets(sorted(users(2000), reverse=reverse))
    lost = service.ids[1800]
    spool = walked(tmp_path, service, {180: service.ids[1795]})
    assert look(spool, service).words.startswith("8 pages asked again")
    with pytest.raises(ListUnstable, match="page 179 of stretch 0 holds a user older than the run"):
        look(spool, service, (lost,))
