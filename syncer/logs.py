"""Logging to standard error, as text or JSON lines. What is hidden stays hidden in every line, tracebacks included."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime

from syncer.terminal import harmless, write_error

FORMATS = ("text", "json")
LEVELS = ("debug", "info", "warning", "error")
_LOUD_LIBRARIES = ("aiohttp", "asyncio")
"""Their debug texts hold URLs with page tokens, and headers."""


class Handler(logging.Handler):
    """Writes to what ``sys.stderr`` is at the time: the live display puts its own there, to keep below the lines."""

    def __init__(self, log_format: str) -> None:
        super().__init__()
        self._hidden: tuple[str, ...] = ()
        self.as_json = log_format == "json"

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record. Standard error may be gone: a run does not end for that."""
        with contextlib.suppress(OSError, ValueError):
            print(self.format(record), file=sys.stderr, flush=True)

    def hide(self, values: Iterable[str]) -> None:
        """Leave these out of every line from now on; longest first, so that no rest of one stays."""
        self._hidden = tuple(sorted({*self._hidden, *(value for value in values if len(value) > 3)}, key=len)[::-1])

    def format(self, record: logging.LogRecord) -> str:
        """One line, or with a traceback as text several; nothing in it steers a terminal."""
        moment = _shown(record.created)
        message = self._without(record.getMessage())
        trace = self._without(logging.Formatter().formatException(record.exc_info)) if record.exc_info else ""
        if self.as_json:
            line = {"time": moment, "level": record.levelname.lower(), "logger": record.name, "message": message}
            return json.dumps({**line, "traceback": trace} if trace else line)
        text = f"{moment} {record.levelname.lower():7} {message}".replace("\n", "\\n")
        return harmless(f"{text}\n{trace}" if trace else text)

    def _without(self, text: str) -> str:
        for value in self._hidden:
            text = text.replace(value, "(hidden)")
        return text


def tell(text: str, level: str = "info") -> None:
    """Words for a person that are no log: plain lines on standard error, or one JSON line where the log is JSON."""
    if any(isinstance(handler, Handler) and handler.as_json for handler in logging.getLogger().handlers):
        write_error(json.dumps({"time": _shown(time.time()), "level": level, "message": text.rstrip()}))
    else:
        write_error(text)


def _shown(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def set_up_logging(log_format: str, level: str) -> None:
    """Make one handler the only one. Called once for a command."""
    logging.basicConfig(handlers=[Handler(log_format)], level=level.upper(), force=True)
    for name in _LOUD_LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)


def hide_from_logs(values: Iterable[str]) -> None:
    """Leave secrets, in the forms given, out of all log lines to come."""
    hidden = tuple(values)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, Handler):
            handler.hide(hidden)
