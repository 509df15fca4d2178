"""What the emulator saw: one entry for each request, and the sums. Writes to one log file, if there is one.
Holds no secret and no page token: tokens are named by a hash.
"""

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import BinaryIO

import orjson

ENTRIES_MAX = 1_000_000


@dataclass(slots=True)
class Entry:
    """One request. `start`, `end`: monotonic seconds; `end` and `status` are null while it lasts, and `status` stays
    null if no answer was sent. `token`: hash of the page token. `concurrency`: requests under way with this one."""

    n: int
    start: float
    method: str
    path: str
    operation: str
    concurrency: int
    request_id: str
    end: float | None = None
    account: str | None = None
    page_size: int | None = None
    token: str | None = None
    status: int | None = None
    fault: str | None = None
    users: int | None = None
    bytes: int = 0
    early: bool = False


class Journal:
    """The entries (the last million) and the sums of all."""

    def __init__(self, log_file: str | None = None) -> None:
        self.entries: deque[Entry] = deque(maxlen=ENTRIES_MAX)
        self.requests = 0
        self.active = 0
        self._file: BinaryIO | None = open(log_file, "ab") if log_file else None  # noqa: SIM115 closed by close()
        self._recent: deque[float] = deque()
        self._max_concurrent = 0
        self._max_in_one_second = 0
        self._sums: Counter[str] = Counter()
        self._by_status: Counter[str] = Counter()
        self._by_operation: Counter[str] = Counter()
        self._by_fault: Counter[str] = Counter()
        self._first_start: float | None = None
        self._last_end: float | None = None

    def close(self) -> None:
        """Close the log file, if there is one."""
        if self._file is not None:
            self._file.close()

    def begin(self, now: float, method: str, path: str, operation: str, request_id: str) -> Entry:
        """Count a request that has come in."""
        self.requests += 1
        self.active += 1
        self._max_concurrent = max(self._max_concurrent, self.active)
        self._recent.append(now)
        while self._recent[0] <= now - 1:
            self._recent.popleft()
        self._max_in_one_second = max(self._max_in_one_second, len(self._recent))
        self._first_start = now if self._first_start is None else self._first_start
        entry = Entry(self.requests, now, method, path, operation, self.active, request_id)
        self.entries.append(entry)
        return entry

    def finish(self, entry: Entry, now: float) -> None:
        """Count a request that is over, answered or not."""
        self.active -= 1
        entry.end = self._last_end = now
        self._by_status["none" if entry.status is None else str(entry.status)] += 1
        self._by_operation[entry.operation] += 1
        self._sums.update(users=entry.users or 0, bytes=entry.bytes, early=entry.early)
        if entry.fault is not None:
            self._by_fault[entry.fault] += 1
        if self._file is not None:
            self._file.write(orjson.dumps(asdict(entry), option=orjson.OPT_APPEND_NEWLINE))
            self._file.flush()

    def stats(self) -> dict[str, object]:
        """The sums. `early_requests`: those sent before a Retry-After had passed."""
        return {
            "requests": self.requests,
            "active": self.active,
            "by_status": dict(self._by_status),
            "by_operation": dict(self._by_operation),
            "by_fault": dict(self._by_fault),
            "max_concurrent": self._max_concurrent,
            "max_in_one_second": self._max_in_one_second,
            "early_requests": self._sums["early"],
            "users": self._sums["users"],
            "bytes": self._sums["bytes"],
            "first_start": self._first_start,
            "last_end": self._last_end,
        }

    def lines(self) -> Iterator[bytes]:
        """The entries as NDJSON, in the order in which the requests came."""
        for entry in list(self.entries):
            yield orjson.dumps(asdict(entry), option=orjson.OPT_APPEND_NEWLINE)
