"""Answers of an unfinished fetch: kept byte for byte, and taken up only by the run that they belong to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from syncer.bulk.fetched import PartialFetch, Run
from syncer.errors import LockHeld

RUN = Run("AC" + "0" * 32, "https://api.invalid/v1", "2026-11-24T02:00:00+00:00")
DAY = timedelta(days=1)
LONG = b'{"id":"a","n":123456789012345678901234567890,"r":1.10}'


async def at_once(work: Callable[[], None]) -> None:
    work()


def keep(path: Path, **users: bytes | None) -> None:
    kept = PartialFetch(path, RUN, age_max=DAY)

    async def all_of_them() -> None:
        for user_id, user in users.items():
            await kept.keep(user_id, user, at_once)

    asyncio.run(all_of_them())
    kept.close()


def test_answers_come_back_byte_for_byte_in_the_order_asked_for(tmp_path: Path) -> None:
    keep(tmp_path / "p", b=b'{"id":"b"}', a=LONG, c=None)
    again = PartialFetch(tmp_path / "p", RUN, age_max=DAY)
    assert list(again.users(["a", "c", "d", "b"])) == [[LONG, b'{"id":"b"}']]
    assert [("a" in again, again.is_gone("a")), ("c" in again, again.is_gone("c")), "d" in again] == [
        (True, False), (True, True), False,
    ]  # fmt: skip
    with pytest.raises(LockHeld):
        PartialFetch(tmp_path / "p", RUN, age_max=DAY)
    again.close()


def test_a_torn_last_answer_is_asked_for_again(tmp_path: Path) -> None:
    keep(tmp_path / "p", a=LONG)
    with (tmp_path / "p").open("ab") as file:
        file.write(b'{"id":"b","user":{"id')
    again = PartialFetch(tmp_path / "p", RUN, age_max=DAY)
    assert ("a" in again, "b" in again, again.note) == (True, False, "")
    again.close()


@pytest.mark.parametrize(
    ("run", "fresh", "note"),
    [
        (replace(RUN, account_sid="AC" + "1" * 32), False, "it is of another account or service"),
        (replace(RUN, base_url="https://other.invalid/v1"), False, "it is of another account or service"),
        (replace(RUN, started_at="2026-11-25T02:00:01+00:00"), False, "it is too old"),
        (RUN, True, "--fresh was given"),
    ],
)
def test_answers_that_are_not_this_runs_are_dropped_and_it_is_said_why(
    tmp_path: Path, run: Run, fresh: bool, note: str
) -> None:
    keep(tmp_path / "p", a=LONG)
    again = PartialFetch(tmp_path / "p", run, age_max=DAY, fresh=fresh)
    assert (again.note, "a" in again) == (note, False)
    again.close()


def test_a_file_that_cannot_be_read_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(b"not ours\n")
    again = PartialFetch(tmp_path / "p", RUN, age_max=DAY)
    assert again.note == "it cannot be read"
    again.close()
