"""Answers of an unfinished fetch, so that the next run asks only for the rest. One line an id, in order of arrival.

Lies beside the output and goes when that is complete. Memory grows with the ids, not with the users.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import orjson

from syncer.bulk.journal import Journal
from syncer.errors import StorageFailed
from syncer.model import RunBlocking

SUFFIX = ".syncer-partial"
_LINES_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class Run:
    """What the answers belong to: those of another account or service are not taken for this one's."""

    account_sid: str
    base_url: str
    started_at: str
    """RFC 3339."""


class PartialFetch:
    """The answers so far. ``note`` says in words what was found and not used."""

    def __init__(self, path: Path, run: Run, *, age_max: timedelta, fresh: bool = False) -> None:
        """Raises LockHeld, StorageFailed."""
        self.path = path
        self.note = ""
        self._places: dict[str, int | None] = {}
        self._journal = Journal(path, sync=False)
        try:
            self.note = "--fresh was given" if fresh else self._load(run, age_max)
            if self.note:
                self._places.clear()
                self._journal.clear()
            if self._journal.size == 0:
                self._journal.append_now(_header(run))
        except BaseException:
            self._journal.close()
            raise

    def __contains__(self, user_id: str) -> bool:
        return user_id in self._places

    def is_gone(self, user_id: str) -> bool:
        """Whether the answer was 404."""
        return self._places[user_id] is None

    async def keep(self, user_id: str, user: bytes | None, run_blocking: RunBlocking) -> None:
        """Write an answer: the user's JSON on one line; None is a 404."""
        line = b"%s%s}\n" % (_head(user_id), b"null" if user is None else user)
        place = await self._journal.append([line], run_blocking)
        self._places[user_id] = place if user is not None else None

    def users(self, ids: Sequence[str]) -> Iterator[list[bytes]]:
        """The users of these ids that were found, as JSON without line ends, in the order of the ids."""
        lines: list[bytes] = []
        try:
            with self.path.open("rb") as file:
                for user_id in ids:
                    if (place := self._places.get(user_id)) is None:
                        continue
                    file.seek(place)
                    lines.append(file.readline()[len(_head(user_id)) : -2])  # never parsed, so no number is rounded
                    if len(lines) == _LINES_AT_ONCE:
                        yield lines
                        lines = []
        except OSError as error:
            raise StorageFailed(f"{self.path} cannot be read: {error.strerror}", hint="run again") from None
        if lines:
            yield lines

    def remove(self) -> None:
        """The output is complete."""
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Free the file."""
        self._journal.close()

    def _load(self, run: Run, age_max: timedelta) -> str:
        """Take what is there; why not, when it cannot be used."""
        try:
            for place, line in self._journal.lines():
                found = orjson.loads(line)
                if place == 0:
                    if reason := _why_foreign(found, run, age_max):
                        return reason
                else:
                    self._places[found["id"]] = place if found["user"] is not None else None
        except (ValueError, KeyError, TypeError):
            return "it cannot be read"
        return ""


def _head(user_id: str) -> bytes:
    """What a line begins with, before the user and a closing brace."""
    return b'{"id":%s,"user":' % orjson.dumps(user_id)


def _header(run: Run) -> bytes:
    header = {"version": 1, "account_sid": run.account_sid, "base_url": run.base_url, "started_at": run.started_at}
    return orjson.dumps(header, option=orjson.OPT_APPEND_NEWLINE)


def _why_foreign(found: dict[str, str], run: Run, age_max: timedelta) -> str:
    if (found["account_sid"], found["base_url"]) != (run.account_sid, run.base_url):
        return "it is of another account or service"
    age = datetime.fromisoformat(run.started_at) - datetime.fromisoformat(found["started_at"])
    return "it is too old" if age > age_max else ""
