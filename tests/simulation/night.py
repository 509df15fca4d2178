"""Runs one scenario through the real client, door, crawler, spool, merge and publish, in virtual time."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from syncer.api.client import Client
from syncer.api.throttle import Door
from syncer.errors import SyncerError
from syncer.export import export_account
from syncer.model import Counters
from syncer.run import ExportPorts, ExportRequest, ExportResult
from syncer.snapshot.destination import open_store
from syncer.snapshot.page_text import find_users
from syncer.state import AccountState
from tests.simulation.blows import Killed, Life, PassedStore, TurningLoop
from tests.simulation.checker import (
    CheckFailed,
    UserLost,
    check_manners,
    check_pointer,
    check_snapshot,
    is_remembered_unstable,
    published,
    require,
    spooled,
    unfinished,
)
from tests.simulation.scenario import DAY_SECONDS, Scenario
from tests.simulation.service import CHANGES_MAX, Service

SID = "AC" + "0" * 32
TRIES_A_NIGHT = 12
"""A cron job that runs again after 4; what is not complete by then is an outcome too."""
HOUR_SECONDS = 3600.0
RESTARTS_MAX = 2
END_SECONDS_MAX = 5.0
"""A cancelled run has to be gone by then."""
LOST = "complete, and a user slid past the reader by an offset"
BETWEEN_SECONDS = DAY_SECONDS + 7200


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one scenario."""

    seed: int
    nights: tuple[str, ...]
    """For each night: ``complete``, or the exit code and first words of what was refused."""
    requests: int
    runs: int
    """Runs of the product, those ended from outside included."""
    notes: tuple[str, ...] = ()
    """What else was compared."""
    digest: str = ""
    """Over the request log and every published byte: equal for equal seeds."""


def simulate(s: Scenario, folder: Path, *, with_digest: bool = False) -> Outcome:
    """Run all nights. Raises CheckFailed when a promise was broken. The digest is only worth its price to compare."""
    world, outcome = simulated(s, folder)
    return replace(outcome, digest=world.digest()) if with_digest else outcome


def simulated(s: Scenario, folder: Path) -> tuple[World, Outcome]:
    """The same, with the world as it is afterwards."""
    folder = folder / "disk"
    folder.mkdir(parents=True)
    with in_zone(s.zone), asyncio.Runner(loop_factory=lambda: TurningLoop(s.uptime_seconds)) as runner:
        world = World(s, folder)
        return world, runner.run(world.nights())


@contextmanager
def in_zone(zone: str) -> Iterator[None]:
    """The process's time zone meanwhile; an empty one changes nothing."""
    if not zone:
        yield
        return
    before = os.environ.get("TZ")
    os.environ["TZ"] = zone
    time.tzset()
    try:
        yield
    finally:
        os.environ.pop("TZ") if before is None else os.environ.update(TZ=before)
        time.tzset()


class World:
    """The service, the disk and the machine's clock, which outlive every run."""

    def __init__(self, s: Scenario, folder: Path) -> None:
        self.s = s
        self.service = Service(s)
        self.folder = folder
        self.runs = 0
        self.known: list[str] = []
        """Ids of published snapshots, in the order of publication."""
        self.first_request = 1
        """The first request that the run in hand may go back to."""
        self.clock_error = 0.0
        self.walk = ""
        """The snapshot that the last run was to become: runs that go on with one are one walk."""
        self.starts = 0
        self.kills = 0
        """Runs ended from outside since the walk began: each may have lost a first page."""

    async def nights(self) -> Outcome:
        outcomes = []
        for night in range(self.s.nights):
            outcomes.append(await self._night(night))
            for _ in range(self.s.changes_between):
                await asyncio.sleep(BETWEEN_SECONDS / (self.s.changes_between + 1))
                self.service.change()
            await asyncio.sleep(BETWEEN_SECONDS / (self.s.changes_between + 1))
            self.service.population.remove_in_a_row(self.service.requests, self.s.leave_in_a_row)
        return Outcome(self.s.seed, tuple(outcomes), self.service.requests, self.runs)

    async def _night(self, night: int) -> str:
        self.service.changes_left = CHANGES_MAX
        words = "ended from outside every time"
        for attempt in range(TRIES_A_NIGHT):
            kept = spooled(self._state.spool) if self.s.outage_at and attempt else (0, 0)
            disturbances = self.s.disturbances
            life = Life(self.folder, self.service, disturbances[attempt] if attempt < len(disturbances) else None)
            try:
                result = await self._run(life, night)
            except (Killed, asyncio.CancelledError):
                require(bool(life.heir or life.cancelled_at), "a run was cancelled by itself")
                self._after_run(life, may_publish=True)
                if self.s.pause_seconds >= HOUR_SECONDS:  # nobody starts it again at once
                    await asyncio.sleep(self.s.pause_seconds)
                continue
            except SyncerError as error:
                self._after_run(life, may_publish=life.cancelled_at is not None)
                words = f"{error.exit_code}: {error.message[:60]}"
                if error.exit_code == 4:
                    self._require_kept(kept)
                    await asyncio.sleep(self.s.pause_seconds)
                    continue
                require(not self.s.keeps_tokens, f"a sound list was refused: {words}")
                if not unfinished(self._state.spool)[1]:
                    self.first_request = self.service.requests + 1
                break
            require(life.cancelled_at is None, "a cancelled run went on to its end")
            words = self._after_run(life, may_publish=True)
            require(self.known[-1:] == [result.snapshot_id], "the run reports another snapshot than it published")
            require(result.seconds >= 0, "a run took less than no time")
            is_doubted = self.s.never_unstable and is_remembered_unstable(self.folder / "state" / SID)
            require(not is_doubted, "a list in order was taken for unstable")
            return words or "complete"
        if self.s.must_complete:
            raise CheckFailed(f"night {night} of a sound list ended with {words}")
        return words

    async def _run(self, life: Life, night: int) -> ExportResult:
        """One run of the product, and what has to hold however it ended."""
        self.runs += 1
        self.service.begin_run()
        self._move_clock()
        try:
            result = await life.run(lambda: self._export(life, night))
            assert isinstance(result, ExportResult)
            return result
        finally:
            check_manners(self.service, self.s.walkers[night])
            left = [task.get_name() for task in asyncio.all_tasks() - {asyncio.current_task()}]
            require(not left, f"tasks are left over: {left}")
            self._check_restarts(life)
            if life.cancelled_at is not None:
                seconds = asyncio.get_running_loop().time() - life.cancelled_at
                require(seconds <= END_SECONDS_MAX, f"a cancelled run took {seconds:.1f} s to end")

    def _check_restarts(self, life: Life) -> None:
        """After a kill the first page may have been lost, and to ask for it again is no new walk."""
        folder = life.heir or self.folder
        walk = unfinished(AccountState(folder / "state" / SID).spool)[0] or (published(folder / "exports") or [""])[-1]
        if walk != self.walk:
            self.walk, self.starts, self.kills = walk, 0, 0
            self.service.has_shown_the_end = False
        self.service.has_shown_the_end |= self.service.shows_the_end
        self.starts += self.service.starts
        self.kills += life.heir is not None or life.cancelled_at is not None
        if not self.s.liar:
            again = 0 if self.s.keeps_progress and not self.s.churn else RESTARTS_MAX + self.kills
            require(self.starts <= 1 + again, f"the list was walked from its start {self.starts} times")

    def _after_run(self, life: Life, *, may_publish: bool) -> str:
        """The disk as the run left it: what is new on it is published as a whole and true, or there is nothing new.

        Where tokens are offsets a loss can stay unseen; it is counted then, and no other breach is forgiven.
        """
        words = ""
        self.folder = life.heir or self.folder
        exports = self.folder / "exports"
        check_pointer(exports)
        now = published(exports)
        new = [name for name in now if name not in self.known]
        require(may_publish or not new, "a failed run left a snapshot")
        require(len(new) <= 1 and len(now) == len(self.known) + len(new), "snapshots came or went")
        for name in new:
            require(all(name > earlier for earlier in self.known), "the id of a snapshot is not after those before it")
            try:
                check_snapshot(exports, name, self.service, self.first_request, self.service.requests)
            except UserLost:
                if self.s.token_kind != "offset" or not self.s.forgives_offsets:
                    raise
                words = LOST
            self.known.append(name)
            self.first_request = self.service.requests + 1
        return words

    def _require_kept(self, before: tuple[int, int]) -> None:
        if self.s.keeps_progress:
            require(spooled(self._state.spool) >= before, "pages were lost by a failed run")

    @property
    def _state(self) -> AccountState:
        return AccountState(self.folder / "state" / SID)

    async def _export(self, life: Life, night: int) -> ExportResult:
        s, counters = self.s, Counters()
        rng = random.Random(f"client {s.seed} {self.runs}")
        client = Client(
            life.send,
            Door(s.rate, s.walkers[night], rng=rng),
            counters=counters,
            rng=rng,
            deadline_at=asyncio.get_running_loop().time() + 7200,
            wall_clock=lambda: self._now().timestamp(),
            find_users=partial(find_users, bytes_min=0) if s.seed % 2 else None,
        )
        destination = str(life.folder / "exports")
        request = ExportRequest(
            account_sid=SID,
            base_url="https://api.invalid/v1",
            destination=destination,
            state=AccountState(life.folder / "state" / SID),
            formats=("parquet",),
            page_size=s.page_sizes[night],
            walkers=s.walkers[night],
            allow_shrink=True,
        )
        store = PassedStore(open_store(destination), life)
        ports = ExportPorts(client.list_page, store, counters, self._now, life.run_inline, append=life.run_inline)
        return await export_account(request, ports)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(0, UTC) + timedelta(
            seconds=self.s.wall(asyncio.get_running_loop().time()) + self.clock_error
        )

    def _move_clock(self) -> None:
        """Between two runs the clock is set, and again in the middle of the run."""
        jumps = self.s.clock_jumps
        if not jumps:
            return
        loop = asyncio.get_running_loop()
        assert isinstance(loop, TurningLoop)
        self.clock_error = jumps[self.runs % len(jumps)]
        for n, turn in enumerate(self.s.jump_turns, 1):
            following = jumps[(self.runs + n) % len(jumps)]
            loop.at_turns[loop.turns + turn] = partial(setattr, self, "clock_error", following)

    def digest(self) -> str:
        """Over the request log and every published byte."""
        digest = hashlib.sha256(repr(self.service.sent).encode())
        exports = self.folder / "exports"
        for path in sorted(exports.glob("**/*")):
            if path.is_file():
                digest.update(str(path.relative_to(exports)).encode() + path.read_bytes())
        return digest.hexdigest()
