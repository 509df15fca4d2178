"""How fast and how many at once: numbers in, numbers out. Pure: no I/O, no clock, no randomness.

A service refuses (429) for one of two reasons that it does not name: too many requests at once, or too many a second.
``slowed`` tells them apart by what was accepted before; ``grown`` creeps back, and ever more rarely where that failed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

_BURST_REQUESTS = 5.0
"""What a rate limiter is assumed to let through above its rate after a pause: an estimate leaves it out."""
_FIRM_REQUESTS = 20
"""An estimate from fewer accepted requests than this is tried out again soon."""
_DEAR_SECONDS, _DEAR_REQUESTS = 4.0, 10
"""A refusal that closes the door for so long is dear: a rougher estimate has to do then."""
_FIRM_MARGIN = 0.98
_RATE_MIN = 0.1
_STEP_SECONDS, _STEP_REQUESTS = 1.0, 10
_SOON_SECONDS, _SOON_REQUESTS = 2.0, 12
_LATER_SECONDS, _LATER_FACTOR, _LATER_SECONDS_MAX, _LATER_REQUESTS = 15.0, 3.0, 300.0, 200
_SPREAD = 1.05
_SPREAD_EXTRA = 1.0
"""Just above what the bound on concurrency lets through: enough to keep its slots busy when latency varies."""
_SMOOTHING = 0.1
_MARKS_MAX = 8
_CLOSED_SHARE = 20.0
"""Probing may keep the door closed for one part in so many."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One answered request as the door saw it leave."""

    at: float
    """When it left, seconds on the loop's clock."""
    in_flight: int
    """Requests on the wire then, this one included."""
    accepted: int
    """Requests that left before it and were not refused, in the whole run."""


@dataclass(frozen=True, slots=True)
class Pace:
    """The present limits, and what is known about the service's own."""

    rate: float
    """Requests a second."""
    concurrency: int
    rate_max: float
    concurrency_max: int
    proven: int = 0
    """So many at once have been accepted: a refusal below that is about the rate."""
    marks: tuple[Sample, ...] = (Sample(0.0, 0, 0),)
    """The last opening of the door, and each step upward since."""
    refused: Sample | None = None
    """The request whose refusal closed the door last."""
    failed_probes: int = 0
    rough: bool = False
    """The rate is an estimate from few requests: it is tried out again soon, whatever failed before."""
    steps: int = 0
    """Steps upward since the last refusal."""
    closed_seconds: float = 0.0
    latency_seconds: float = 0.0
    """Of good answers since the first refusal, smoothed; 0 while unknown."""

    @property
    def smooth_rate(self) -> float:
        """Requests a second at the door: a learnt bound on concurrency also spreads its requests evenly.

        Else they leave in bunches, one for each round trip, and a limit on the rate looks like one on concurrency.
        """
        if self.concurrency >= self.concurrency_max or not self.latency_seconds:
            return self.rate
        return min(self.rate, (_SPREAD * self.concurrency + _SPREAD_EXTRA) / self.latency_seconds)


def started(rate: float, concurrency: int) -> Pace:
    """The pace of a run that knows nothing of the service yet: its own settings are the only limits."""
    return Pace(rate, concurrency, rate, concurrency)


def slowed(pace: Pace, refused: Sample) -> Pace:
    """The pace after the 429 that closed the door. The refusals of requests that left earlier are the same event."""
    too_many = refused.in_flight > max(1, pace.proven)
    concurrency = min(pace.concurrency, refused.in_flight - 1) if too_many else pace.concurrency
    rate, firm = (pace.rate, pace.steps == 1) if too_many else _estimated_rate(pace, refused)
    return replace(
        pace,
        rate=rate,
        concurrency=concurrency,
        # A refusal among as many as were once proven weakens the proof: the service's limit may have changed.
        proven=max(1, refused.in_flight - 1),
        refused=refused,
        failed_probes=pace.failed_probes + 1 if firm else pace.failed_probes,
        rough=pace.rough if too_many else not firm,
        steps=0,
    )


def reopened(pace: Pace, first: Sample, closed_seconds: float) -> Pace:
    """The pace when the first request leaves after a closure: what is measured from now on starts here."""
    return replace(pace, marks=(first,), closed_seconds=closed_seconds)


def _estimated_rate(pace: Pace, refused: Sample) -> tuple[float, bool]:
    """A rate just within the service's, and whether enough requests stand behind it.

    All readings are too low if anything, so the highest is the best: what was accepted since one of the marks, less a
    burst that had been saved up before it; and what was accepted since the refusal before this one, for at both the
    service had nothing left to give.
    """
    readings = [_reading(mark, refused, _BURST_REQUESTS) for mark in pace.marks]
    if pace.refused is not None:
        readings.append(_reading(pace.refused, refused, 0.0))
    estimate = max(rate for rate, _ in readings)
    count = max(count for _, count in readings)
    firm = count >= (_FIRM_REQUESTS if pace.closed_seconds < _DEAR_SECONDS else _DEAR_REQUESTS)
    if estimate <= 0 or not count:  # no accepted request tells anything
        estimate = max(estimate, pace.rate / 2)
    rate = min(estimate, pace.rate) * (_FIRM_MARGIN if firm else 1.0)
    return max(rate, min(_RATE_MIN, pace.rate_max)), firm


def _reading(start: Sample, end: Sample, saved: float) -> tuple[float, int]:
    """Requests a second between two samples, half a request being unseen on average, and their number."""
    count, seconds = end.accepted - start.accepted, end.at - start.at
    return ((count + 0.5 - saved) / seconds if seconds > 0 else 0.0), count


def timed(pace: Pace, latency_seconds: float) -> Pace:
    """The pace after any good answer that took so long. Before the first refusal nothing is learnt, for speed."""
    if pace.refused is None:
        return pace
    known = pace.latency_seconds
    latency = known + _SMOOTHING * (latency_seconds - known) if known else latency_seconds
    return replace(pace, latency_seconds=latency)


def grown(pace: Pace, good: Sample) -> Pace:
    """The pace after a good answer to a request that left since the door last opened.

    A limit grows only if it was felt: an unused one has proven nothing.
    """
    if good.in_flight > pace.proven:
        pace = replace(pace, proven=good.in_flight)
    if pace.rate >= pace.rate_max and pace.concurrency >= pace.concurrency_max:
        return pace
    mark = pace.marks[-1]
    count, seconds = good.accepted - mark.accepted, good.at - mark.at
    needs_slots = good.in_flight >= pace.concurrency < pace.concurrency_max
    known = pace.failed_probes > 0 and (needs_slots or not pace.rough)
    seconds_needed, requests_needed = _patience(pace, known=known)
    if seconds < seconds_needed or count < requests_needed:
        return pace
    marks = (*pace.marks[-_MARKS_MAX:], good)
    if needs_slots:
        step = max(1, pace.concurrency // 16) << min(pace.steps, 6)
        concurrency = min(pace.concurrency_max, pace.concurrency + step)
        return replace(pace, concurrency=concurrency, marks=marks, steps=pace.steps + 1)
    if pace.rate < pace.rate_max and count >= 0.9 * pace.rate * seconds:
        factor = min(2.0, 1.0 + (0.04 if known else 0.12) * 2.0 ** min(pace.steps, 6))
        return replace(pace, rate=min(pace.rate_max, pace.rate * factor), marks=marks, steps=pace.steps + 1)
    return pace


def _patience(pace: Pace, *, known: bool) -> tuple[float, int]:
    """How many seconds and requests must pass without a refusal before the next step upward; ``known``: the limit in
    question is the service's own, as far as anybody can see."""
    if pace.steps:
        return _STEP_SECONDS, _STEP_REQUESTS
    if not known:
        return _SOON_SECONDS, _SOON_REQUESTS
    later = _LATER_SECONDS * _LATER_FACTOR ** min(pace.failed_probes - 1, 9)
    return max(min(later, _LATER_SECONDS_MAX), _CLOSED_SHARE * pace.closed_seconds), _LATER_REQUESTS
