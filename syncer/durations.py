"""Durations (`1h30m`) and sizes (`512MB`) as people write them, and back. Pure: no I/O, no clock."""

from __future__ import annotations

import math
import re

_UNIT_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_DURATION = re.compile(
    r"(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9}(?:\.\d{1,3})?)s)?(?:(\d{1,9})ms)?", re.A
)
_SIZE = re.compile(r"(\d{1,12}(?:\.\d{1,3})?) ?([kMGT]?)(i?)B", re.A)
_PREFIXES = ("", "k", "M", "G", "T")


def parse_duration(text: str) -> float:
    """Seconds of ``30s``, ``5m``, ``1h30m``, ``250ms``: units in falling order, each once. ValueError otherwise."""
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        raise ValueError("expected a duration such as 30s, 5m or 1h30m")
    return sum(
        float(number) * unit for number, unit in zip(match.groups(), _UNIT_SECONDS.values(), strict=True) if number
    )


def parse_size(text: str) -> int:
    """Bytes of ``512MB`` (powers of 1000) or ``512MiB`` (powers of 1024). ValueError otherwise."""
    match = _SIZE.fullmatch(text)
    if match is None or (match[3] and not match[2]):
        raise ValueError("expected a size such as 512MB or 2GB")
    step = 1024.0 if match[3] else 1000.0
    return round(float(match[1]) * math.pow(step, _PREFIXES.index(match[2])))


def show_duration(seconds: float) -> str:
    """A duration for people, at most two units: ``1h 02m``, ``2m 05s``, ``12.3 s``, ``0.41 s``."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    days, hours_left = divmod(hours, 24)
    if days:
        return f"{days}d {hours_left:02d}h"
    return f"{hours}h {minutes_left:02d}m" if hours else f"{minutes}m {rest:02d}s"


def show_size(size_bytes: int) -> str:
    """A size for people, in powers of 1000: ``999 B``, ``2.2 MB``, ``31 GB``."""
    size, prefix = float(size_bytes), 0
    while size >= 999.5 and prefix < len(_PREFIXES) - 1:
        size, prefix = size / 1000, prefix + 1
    return f"{size:.1f} {_PREFIXES[prefix]}B" if prefix and size < 9.95 else f"{size:.0f} {_PREFIXES[prefix]}B"
