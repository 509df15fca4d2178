"""What ends a run from outside, at any turn of the loop, request, store call or piece of blocking work.

A kill is a copy of the disk at that instant: the dead run may tidy up as it likes, nobody looks at its files again.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from syncer.model import WireRequest, WireResponse
from tests.simulation.scenario import Disturbance
from tests.simulation.service import Service
from tests.virtual_time import VirtualLoop


class Killed(BaseException):
    """The process ends here, without a chance to tidy up."""


class TurningLoop(VirtualLoop):
    """Counts its turns and does something at a given one."""

    def __init__(self, uptime_seconds: int = 0) -> None:
        super().__init__(uptime_seconds=uptime_seconds)
        self.turns = 0
        self.at_turns: dict[int, Callable[[], None]] = {}

    def _run_once(self) -> None:
        self.turns += 1
        if self.at_turns and (act := self.at_turns.pop(self.turns, None)) is not None:
            act()
        super()._run_once()


class Life:
    """One run of the product, and how it ends: by itself, by a kill, or by a cancellation."""

    def __init__(self, folder: Path, service: Service, disturbance: Disturbance | None) -> None:
        self.folder = folder
        """Where this run works; after a kill its files live on in ``heir``."""
        self.heir: Path | None = None
        self.cancelled_at: float | None = None
        self._service = service
        self._disturbance = disturbance
        self._counts = {"request": 0, "store": 0, "work": 0}
        self._task: asyncio.Task[Any] | None = None

    async def run(self, work: Callable[[], Any]) -> Any:
        """Run the product. Raises Killed, CancelledError, or what the product raises."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, TurningLoop)
        self._task = loop.create_task(work())
        if self._disturbance is not None and self._disturbance.blow in ("turn", "cancel"):
            act = self._kill if self._disturbance.blow == "turn" else self._cancel
            loop.at_turns[loop.turns + self._disturbance.at] = act
        try:
            return await self._task
        finally:
            loop.at_turns.clear()
            if self.heir is not None:
                raise Killed

    async def send(self, request: WireRequest) -> WireResponse:
        """The wire, until the run is dead."""
        self.pass_by("request")
        if self.heir is not None:
            raise Killed
        return await self._service.send(request)

    async def run_inline(self, work: Callable[[], None]) -> None:
        """Blocking work, without a thread; the blow comes before or after it."""
        await asyncio.sleep(0)
        self.pass_by("work")
        work()
        self.pass_by("work")

    def pass_by(self, kind: str) -> None:
        """Count an event of this kind; at the chosen one the run dies."""
        self._counts[kind] += 1
        d = self._disturbance
        if d is not None and d.blow == kind and d.at == self._counts[kind] and self.heir is None:
            self._kill()
            raise Killed

    def _kill(self) -> None:
        if self._task is None or self._task.done():
            return
        self.heir = self.folder.with_name(f"{self.folder.name}+")
        shutil.copytree(self.folder, self.heir, copy_function=shutil.copyfile)
        self._task.cancel()

    def _cancel(self) -> None:
        if self._task is not None and self._task.cancel():
            self.cancelled_at = asyncio.get_running_loop().time()


class PassedStore:
    """A store whose every call the run passes by."""

    def __init__(self, store: Any, life: Life) -> None:
        self._store = store
        self._life = life

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)

        def call(*args: Any) -> Any:
            self._life.pass_by("store")
            return found(*args)

        return call if callable(found) else found
