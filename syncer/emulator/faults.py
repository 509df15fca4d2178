"""Which request meets which fault: by share (seeded, by the request's number) or queued for certain requests.
Pure: no I/O, no clock. What a fault does is written where it is done: `service` (answers), `wire` (bytes).
"""

import random
from dataclasses import dataclass

PAGE_FAULTS = frozenset(
    [
        "missing-pagination",
        "next-number",
        "next-url",
        "loop",
        "repeat-page",
        "self-loop",
        "dup-row",
        "bad-row",
        "null-users",
    ]
)
BODY_FAULTS = frozenset(["html200", "empty200", "json-broken", "wrong-type", "bad-encoding"])
WIRE_FAULTS = frozenset(
    [
        "reset",
        "cut",
        "cut-chunked",
        "cut-close",
        "gzip-cut",
        "gzip-crc",
        "two-lengths",
        "length-and-chunked",
        "long-header",
        "drip",
        "drip-head",
        "stall",
        "stall-body",
        "huge",
        "bomb",
        "redirect",
    ]
)
KINDS = PAGE_FAULTS | BODY_FAULTS | WIRE_FAULTS


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault by its kind (a name above, or a status from 400 to 599) and an argument that the kind understands."""

    kind: str
    argument: str | None = None

    def __str__(self) -> str:
        return self.kind if self.argument is None else f"{self.kind}:{self.argument}"

    def number(self, default: float) -> float:
        """The argument as a number."""
        return default if self.argument is None else float(self.argument)

    @property
    def status(self) -> int | None:
        """The status to answer, if the kind is one."""
        return int(self.kind) if self.kind.isdigit() else None


@dataclass(slots=True)
class Queued:
    """A fault for `count` requests, from the one numbered `at` on (None: the next), of one operation (None: of any)."""

    fault: Fault
    count: int = 1
    at: int | None = None
    operation: str | None = None


def parse_fault(text: str) -> Fault:
    """`KIND` or `KIND:ARG`. ValueError names what is wrong."""
    kind, colon, argument = text.partition(":")
    is_status = kind.isascii() and kind.isdigit() and 400 <= int(kind) <= 599
    if kind not in KINDS and not is_status:
        raise ValueError(f"{kind!r} is no fault; known are 400 to 599, {', '.join(sorted(KINDS))}")
    return Fault(kind, argument if colon else None)


def parse_fault_share(text: str) -> tuple[Fault, float]:
    """`KIND[:ARG]=P`. ValueError names what is wrong."""
    fault, equals, share_text = text.rpartition("=")
    try:
        share = float(share_text)
    except ValueError:
        share = -1.0
    if not equals or not 0 <= share <= 1:
        raise ValueError(f"{text!r} is not KIND=P or KIND:ARG=P with P from 0 to 1")
    return parse_fault(fault), share


class Faults:
    """The faults of one emulator."""

    def __init__(self, seed: int, shares: tuple[tuple[Fault, float], ...] = ()) -> None:
        self._seed = seed
        self._shares = shares
        self._queue: list[Queued] = []

    def queue(self, faults: list[Queued]) -> None:
        """Add faults behind those that wait."""
        self._queue += faults

    def clear(self) -> None:
        """Forget the faults that wait."""
        self._queue.clear()

    def __len__(self) -> int:
        return sum(queued.count for queued in self._queue)

    def pick(self, number: int, operation: str) -> Fault | None:
        """The fault of request `number` (from 1 on): a queued one first, else by share, the first that hits."""
        return self._pick_queued(number, operation) or self._pick_by_share(number, operation)

    def _pick_queued(self, number: int, operation: str) -> Fault | None:
        for at, queued in enumerate(self._queue):
            due = queued.at is None or number >= queued.at
            if due and queued.operation in (None, operation) and _fits(queued.fault, operation):
                queued.count -= 1
                if queued.count <= 0:
                    del self._queue[at]
                return queued.fault
        return None

    def _pick_by_share(self, number: int, operation: str) -> Fault | None:
        if not self._shares:
            return None
        draw = random.Random(f"{self._seed}:fault:{number}")
        for fault, share in self._shares:
            if draw.random() < share and _fits(fault, operation):
                return fault
        return None


def _fits(fault: Fault, operation: str) -> bool:
    return operation == "list" or fault.kind not in PAGE_FAULTS
