"""A disk that fails, or a process that dies, at the n-th call that changes something: stands in for ``os``."""

from __future__ import annotations

import errno
import os
import signal
from typing import Any

CHANGING = frozenset({"open", "write", "fsync", "close", "mkdir", "rename", "link", "unlink", "rmdir"})


class FailingOs:
    """``os``, but for the n-th call of those that change something; from 1, 0 for none. Counts them."""

    def __init__(self, fail_at: int, code: int = errno.EIO) -> None:
        self.calls = 0
        self._fail_at = fail_at
        self._code = code

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        return self._counted(name, real) if name in CHANGING else real

    def _counted(self, name: str, real: Any) -> Any:
        def call(*args: Any, **more: Any) -> Any:
            self.calls += 1
            if self.calls == self._fail_at:
                return self._fail(name, real, args, more)
            return real(*args, **more)

        return call

    def _fail(self, name: str, real: Any, args: tuple[Any, ...], more: dict[str, Any]) -> Any:
        if name == "close":
            real(*args, **more)  # a failed close has closed all the same
        raise OSError(self._code, os.strerror(self._code))


class DyingOs(FailingOs):
    """``os`` of a process that is killed just before the n-th call."""

    def _fail(self, name: str, real: Any, args: tuple[Any, ...], more: dict[str, Any]) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)


class ShortOs(FailingOs):
    """``os`` of a disk that takes half of whatever is written to it."""

    def __init__(self) -> None:
        super().__init__(0)

    def write(self, descriptor: int, data: memoryview) -> int:
        self.calls += 1
        return os.write(descriptor, data[: max(1, len(data) // 2)])
