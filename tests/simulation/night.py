"""Runs one scenario through the real client, door, crawler, spool, merge and publish, in virtual time."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from syncer.api.client import Client
from syncer.api.throttle import Door
from syncer.errors import SyncerError
from syncer.export import ExportPorts, ExportRequest, ExportResult, export_account
from syncer.model import Counters, WireRequest, WireResponse
from syncer.snapshot.store import open_store
from syncer.state import AccountState
from tests.simulation.checker import CheckFailed, check_snapshot, published
from tests.simulation.scenario import Scenario
from tests.simulation.service import CHANGES_MAX, Service
from tests.virtual_time import run_virtual

SID = "AC" + "0" * 32
TRIES_A_NIGHT = 12
"""A cron job that runs again after 4; what is not complete by then is an outcome too."""
NIGHT_SECONDS = 86_400.0


class Killed(BaseException):
    """The process ends here, without a chance to tidy up."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one scenario."""

    seed: int
    nights: tuple[str, ...]
    """For each night: ``complete``, or the exit code and first words of what was refused."""
    requests: int
    digest: str
    """Over the request log and every published byte: equal for equal seeds."""


def simulate(s: Scenario, folder: Path) -> Outcome:
    """Run all nights. Raises CheckFailed when a promise was broken."""
    return run_virtual(_nights(s, folder))


async def _nights(s: Scenario, folder: Path) -> Outcome:
    service = Service(s)
    kills = random.Random(f"kills {s.seed}")
    outcomes = []
    for night in range(s.nights):
        outcomes.append(await _night(s, service, folder, night, kills))
        for _ in range(s.changes_between):
            service.change()
        await asyncio.sleep(NIGHT_SECONDS)
    if service.early_requests:
        raise CheckFailed(f"{service.early_requests} requests inside a Retry-After window")
    return Outcome(s.seed, tuple(outcomes), service.requests, _digest(service, folder))


async def _night(s: Scenario, service: Service, folder: Path, night: int, kills: random.Random) -> str:
    first_request = service.requests + 1
    service.changes_left = CHANGES_MAX
    left = s.kills
    words = ""
    for _ in range(TRIES_A_NIGHT):
        before = published(folder / "exports")
        send, left = _killing(service, kills, left)
        try:
            result = await _export(s, service, folder, night, send)
        except Killed:
            _require_nothing_new(folder, before, "a killed run")
            continue
        except SyncerError as error:
            _require_nothing_new(folder, before, "a failed run")
            words = f"{error.exit_code}: {error.message[:60]}"
            if error.exit_code == 4:
                await asyncio.sleep(600)
                continue
            break
        check_snapshot(folder / "exports", result.snapshot_id, service, first_request, service.requests)
        return "complete"
    if s.is_sound and s.token_ttl_seconds is None:
        raise CheckFailed(f"night {night} of a sound list ended with {words or 'kills alone'}")
    return words


def _require_nothing_new(folder: Path, before: list[str], what: str) -> None:
    if published(folder / "exports") != before:
        raise CheckFailed(f"{what} left a snapshot")


def _killing(service: Service, kills: random.Random, left: int) -> tuple[Callable[[WireRequest], object], int]:
    if not left:
        return service.send, 0
    at = service.requests + kills.randrange(1, 40)

    async def send(request: WireRequest) -> WireResponse:
        if service.requests >= at:
            raise Killed
        return await service.send(request)

    return send, left - 1


async def _export(s: Scenario, service: Service, folder: Path, night: int, send: object) -> ExportResult:
    counters = Counters()
    rng = random.Random(f"client {s.seed} {service.requests}")
    walkers = s.walkers[night]
    door = Door(100.0, walkers, rng=rng)
    deadline_at = asyncio.get_running_loop().time() + 7200
    client = Client(
        send, door, counters=counters, rng=rng, deadline_at=deadline_at, wall_clock=lambda: _now().timestamp()
    )  # type: ignore[arg-type]
    request = ExportRequest(
        account_sid=SID,
        base_url="https://api.invalid/v1",
        destination=str(folder / "exports"),
        state=AccountState(folder / "state" / SID),
        formats=("parquet",),
        page_size=s.page_sizes[night],
        walkers=walkers,
        allow_shrink=True,
    )
    ports = ExportPorts(client.list_page, open_store(str(folder / "exports")), counters, _now, _inline)
    return await export_account(request, ports)


def _now() -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=asyncio.get_running_loop().time())


async def _inline(work: Callable[[], None]) -> None:
    await asyncio.sleep(0)
    work()


def _digest(service: Service, folder: Path) -> str:
    digest = hashlib.sha256(repr(service.log).encode())
    for path in sorted(folder.glob("exports/**/*")):
        if path.is_file():
            digest.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return digest.hexdigest()
