"""Every option of the configuration: its key, what a value may be, its default. Pure: no I/O.

One table, so that flags, environment, file and example cannot disagree. Parsers raise ValueError: what would be right.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from syncer.api.base_url import checked_base_url
from syncer.durations import parse_duration, parse_size
from syncer.errors import UsageError

PAGE_SIZE_MAX = 1000
"""The API's own limit."""
CONCURRENCY_MAX = 256
FORMATS = ("parquet", "ndjson")
CONTRACTS = ("evolve", "strict")
NDJSON_COMPRESSIONS = ("zstd", "gzip", "none")
PARQUET_PROFILES = ("plain", "compact", "redshift")

Parse = Callable[[object], object]


class Text(str):
    """A value from a flag or the environment: a number there is written as text, which a file may not do."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Option:
    """One key. ``default`` is written as a file would write it; None: worked out at run time."""

    key: str
    """With a dot for a key of a table: ``guards.max_rejects``."""
    parse: Parse
    default: object = None

    @property
    def name(self) -> str:
        """The key without its table: the field of the settings, the flag and the variable are made of it."""
        return self.key.rpartition(".")[2]

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return f"SYNCER_{self.name.upper()}"

    @property
    def flag(self) -> str:
        """Its flag, where a command has one."""
        return "--format" if self.name == "formats" else "--" + self.name.replace("_", "-")


def _whole(low: int, high: int | None = None) -> Parse:
    expected = f"a whole number from {low} to {high}" if high is not None else f"a whole number, {low} or more"

    def parse(value: object) -> int:
        number = int(value) if isinstance(value, Text) and re.fullmatch(r"[0-9]{1,9}", value) else value
        if not isinstance(number, int) or isinstance(number, bool) or number < low or number > (high or number):
            raise ValueError(f"expected {expected}")
        return number

    return parse


def _real(expected: str, accepts: Callable[[float], bool]) -> Parse:
    def parse(value: object) -> float:
        if isinstance(value, Text) and re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value):
            value = float(value)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise ValueError(f"expected {expected}")
        if not math.isfinite(value) or not accepts(value):
            raise ValueError(f"expected {expected}")
        return float(value)

    return parse


def _string(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise ValueError("expected a text that is not empty")
    return str(value)


def _duration(value: object) -> float:
    if not isinstance(value, str) or not (seconds := parse_duration(value)):
        raise ValueError("expected a duration such as 30s, 5m or 1h30m, above zero")
    return seconds


def _size(value: object) -> int:
    if not isinstance(value, str):
        raise ValueError("expected a size such as 512MB or 2GB")
    return parse_size(value)


def _base_url(value: object) -> str:
    try:
        return checked_base_url(_string(value))
    except UsageError as error:
        raise ValueError(str(error)) from None


def _choice(*choices: str) -> Parse:
    def parse(value: object) -> str:
        if value not in choices:
            raise ValueError(f"expected {' or '.join(choices)}")
        return str(value)

    return parse


def _truth(value: object) -> bool:
    if isinstance(value, Text) and value.lower() in ("true", "false", "1", "0"):
        return value.lower() in ("true", "1")
    if not isinstance(value, bool):
        raise ValueError("expected true or false")
    return value


def _formats(value: object) -> tuple[str, ...]:
    """A list; from the environment a text with commas. In one fixed order, whatever the order given."""
    given = [part.strip() for part in value.split(",")] if isinstance(value, Text) else value
    if not isinstance(given, list | tuple) or not given or any(entry not in FORMATS for entry in given):
        raise ValueError(f"expected one or both of {' and '.join(FORMATS)}")
    return tuple(form for form in FORMATS if form in given)


OPTIONS: tuple[Option, ...] = (
    Option("destination", _string, "exports"),
    Option("state_dir", _string),
    Option("formats", _formats, ["parquet", "ndjson"]),
    Option("parquet_profile", _choice(*PARQUET_PROFILES), "plain"),
    Option("ndjson_compression", _choice(*NDJSON_COMPRESSIONS), "zstd"),
    Option("base_url", _base_url, "https://comms.twilio.com/v1"),
    Option("ca_file", _string),
    Option("signing_key", _string),
    Option("trusted_keys", _string),
    Option("page_size", _whole(1, PAGE_SIZE_MAX), 1000),
    Option("concurrency", _whole(1, CONCURRENCY_MAX), 8),
    Option("process_concurrency", _whole(1), 64),
    Option("rate", _real("a number above 0, at most 10000", lambda rate: 0 < rate <= 10000), 20.0),
    Option("compressed_answers", _truth, False),
    Option("deadline", _duration, "2h"),
    Option("request_timeout", _duration, "60s"),
    Option("connect_timeout", _duration, "10s"),
    Option("read_timeout", _duration, "20s"),
    Option("resume_max_age", _duration, "24h"),
    Option("free_space_min", _size, "1GB"),
    Option("guards.max_vanished_share", _real("a number from 0 to 1", lambda share: 0 <= share <= 1), 0.2),
    Option("guards.max_rejects", _whole(0), 0),
    Option("guards.contract", _choice(*CONTRACTS), "evolve"),
)
