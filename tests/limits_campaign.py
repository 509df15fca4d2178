"""Fetches and deletes against a service whose limits they do not know: how much it refuses, what comes too early.

`python -m tests.limits_campaign [SECONDS]` takes each limit in turn, and prints a line for each; the tests take one.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.bulk_campaign import asked_too_early, flags_for
from tests.processes import emulator, syncer

LEARNING_SECONDS = 10.0
ON_THE_WAY_SECONDS = 0.2
"""What a 429 may need to be read, and what left before it may need to arrive, on a machine with other work."""


@dataclass(frozen=True)
class Limit:
    """A service's own limit; ``per_second`` is what it can serve under it."""

    name: str
    flags: tuple[str, ...]
    per_second: float


LIMITS = (
    Limit("6 at once, 50 ms", ("--concurrency", "6", "--latency", "50"), 120),
    Limit("2 at once, 20 to 40 ms", ("--concurrency", "2", "--latency", "20", "--jitter", "20"), 66),
    Limit("90 a second, burst of 5", ("--rate", "90", "--burst", "5", "--latency", "20"), 90),
)


@dataclass(frozen=True)
class Learnt:
    """What became of the requests of one run."""

    code: int
    requests: int
    refused: int
    requests_later: int
    """After the first ten seconds, and of these refused."""
    refused_later: int
    early: int
    """Within a ``Retry-After``."""
    per_second_later: float

    @property
    def refused_share_later(self) -> float:
        """Of the requests after the first ten seconds."""
        return self.refused_later / self.requests_later if self.requests_later else 1.0


def learn(command: str, limit: Limit, seconds: float, folder: Path) -> Learnt:
    """One run of 32 workers that lasts some ``seconds``."""
    folder.mkdir(exist_ok=True)
    count = int(limit.per_second * seconds)
    with emulator("--users", str(count), "--deleted-share", "0", *limit.flags) as service:
        flags = flags_for(command, service, folder, [user["id"] for user in service.truth()])
        more = ["--yes", "--max", str(count)] if command == "delete" else []
        code = syncer(*flags, *more, "--concurrency", "32", timeout=seconds * 4 + 60).returncode
        log = service.log()
    later = [entry for entry in log if entry["start"] - log[0]["start"] > LEARNING_SECONDS]
    span = later[-1]["end"] - later[0]["start"] if later else 0.0
    return Learnt(
        code,
        len(log),
        sum(entry["status"] == 429 for entry in log),
        len(later),
        sum(entry["status"] == 429 for entry in later),
        asked_too_early(log, retry_after_seconds=1.0, on_the_way_seconds=ON_THE_WAY_SECONDS),
        len(later) / span if span else 0.0,
    )


def problems_of(learnt: Learnt) -> list[str]:
    """In words."""
    problems = [f"exit code {learnt.code}"] if learnt.code else []
    problems += [f"{learnt.refused_share_later:.2%} were refused"] if learnt.refused_share_later > 0.01 else []
    problems += [f"{learnt.early} requests came within a Retry-After"] if learnt.early else []
    return problems + (["no request was ever refused: there was nothing to learn"] if not learnt.refused else [])


def main() -> int:
    """Every limit, for both commands."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 40.0
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        for number, (limit, command) in enumerate((one, verb) for one in LIMITS for verb in ("fetch", "delete")):
            learnt = learn(command, limit, seconds, Path(folder) / str(number))
            problems = problems_of(learnt)
            failed |= bool(problems)
            print(
                f"{limit.name}, {command}: {learnt.refused} of {learnt.requests} refused, after 10 s"
                f" {learnt.refused_later} of {learnt.requests_later} ({learnt.refused_share_later:.2%}) at"
                f" {learnt.per_second_later:.0f} a second of {limit.per_second:.0f};"
                f" {learnt.early} within a Retry-After{': ' + '; '.join(problems) if problems else ''}",
                flush=True,
            )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
