"""The limits of an account: requests a second with a burst, and requests at once.
Pure: no I/O; the time is handed in.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class Limits:
    """One account's state. Times are monotonic seconds."""

    rate: float | None
    burst: int
    concurrency: int | None
    active: int = 0
    _filled_at: float | None = None
    _permits: float = 0.0
    _closed_until: float = 0.0
    _told_at: float = 0.0

    def refuse_for(self, now: float) -> float | None:
        """The seconds to wait, or None if the request is let through. `active` counts the request itself."""
        if self.concurrency is not None and self.active > self.concurrency:
            return 1.0
        if self.rate is None:
            return None
        if self._filled_at is None:
            self._filled_at, self._permits = now, float(self.burst)
        self._permits = min(float(self.burst), self._permits + (now - self._filled_at) * self.rate)
        self._filled_at = now
        if self._permits < 1:
            return (1 - self._permits) / self.rate
        self._permits -= 1
        return None

    def told_to_wait(self, now: float, seconds: float) -> None:
        """The client has been told to stay away for `seconds`."""
        if now + seconds > self._closed_until:
            self._closed_until, self._told_at = now + seconds, now

    def is_early(self, now: float, grace_seconds: float = 0.05) -> bool:
        """Whether a request comes while the client should stay away. Those on the wire when it was told are excused."""
        return self._told_at + grace_seconds < now < self._closed_until
