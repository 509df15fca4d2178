"""Receipts of deletions: what became of each id, on the disk before the next request of that worker leaves.

Beside them lies the list of ids whose request was about to leave: an id there without a receipt may have been deleted
by a run that was killed, so a 404 for it is no proof that it was gone before.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

import orjson

from syncer.bulk.journal import Journal
from syncer.errors import StorageFailed, UsageError
from syncer.model import RunBlocking

Outcome = Literal["accepted", "already_absent", "presumed", "failed"]
FINAL: frozenset[str] = frozenset({"accepted", "already_absent", "presumed"})
"""Never sent again."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """One line. ``time`` is UTC; ``attempts`` counts this run's requests. Of several for an id the last counts."""

    id: str
    outcome: Outcome
    account_sid: str
    base_url: str
    time: str
    attempts: int
    resource_id: str | None = None
    location: str | None = None
    request_id: str | None = None
    error: str | None = None
    """Of ``failed``: the sentence."""
    ambiguous: bool = False
    """Of ``failed``: a request was sent whose answer never came."""


class Receipts:
    """The receipts of one account in one file, locked while it is open; of those that stand there only one service's
    count.
    """

    def __init__(self, path: Path, account_sid: str, base_url: str) -> None:
        """Raises UsageError for a file that holds anything else, LockHeld, StorageFailed.

        What a rehearsal against another service accepted is no receipt of this one.
        """
        self.path = path
        self.account_sid = account_sid
        self.base_url = base_url
        self._sent_path = path.with_name(path.name + ".sent")
        self._journal = Journal(path)
        try:
            receipts = (self._parse(line) for _, line in self._journal.lines())
            self._last = {r.id: r for r in receipts if r.base_url == base_url}
            self._sent = Journal(self._sent_path)
        except BaseException:
            self._journal.close()
            raise
        self._in_doubt = {line.decode("utf-8", "replace") for _, line in self._sent.lines()} - set(self._last)
        self._in_doubt |= {r.id for r in self._last.values() if r.outcome == "failed" and r.ambiguous}

    def outcome(self, user_id: str) -> Outcome | None:
        """What the last receipt says; None when there is none."""
        receipt = self._last.get(user_id)
        return receipt.outcome if receipt else None

    def is_final(self, user_id: str) -> bool:
        """Whether it must not be sent again."""
        return self.outcome(user_id) in FINAL

    def is_in_doubt(self, user_id: str) -> bool:
        """Whether an earlier request may have deleted it without a receipt."""
        return user_id in self._in_doubt

    def counts(self, ids: tuple[str, ...]) -> dict[Outcome, int]:
        """How many of these have which outcome."""
        found = Counter(self.outcome(user_id) for user_id in ids)
        return {outcome: found[outcome] for outcome in get_args(Outcome)}

    async def about_to_send(self, user_id: str, run_blocking: RunBlocking) -> None:
        """Note that a request leaves now."""
        await self._sent.append([user_id.encode() + b"\n"], run_blocking)

    async def keep(self, receipt: Receipt, run_blocking: RunBlocking) -> None:
        """Write a receipt; it is on the disk when this returns."""
        await self._journal.append([orjson.dumps(asdict(receipt), option=orjson.OPT_APPEND_NEWLINE)], run_blocking)
        self._last[receipt.id] = receipt

    def close(self) -> None:
        """Free the file; the list of what was sent goes when every id in it has a receipt that is no failure."""
        try:
            if all(self.is_final(line.decode("utf-8", "replace")) for _, line in self._sent.lines()):
                self._sent_path.unlink(missing_ok=True)
        except (OSError, StorageFailed):
            pass  # it does no harm
        finally:
            self._sent.close()
            self._journal.close()

    def _parse(self, line: bytes) -> Receipt:
        try:
            receipt = Receipt(**orjson.loads(line))
            if receipt.outcome not in get_args(Outcome) or not isinstance(receipt.id, str):
                raise ValueError
        except (TypeError, ValueError):
            raise UsageError(
                f"{self.path} holds a line that is not a receipt", hint="name another file with --receipts"
            ) from None
        if receipt.account_sid != self.account_sid:
            raise UsageError(f"{self.path} holds receipts of another account", hint="name another file with --receipts")
        return receipt
