"""When may a refused request be repeated: ``Retry-After`` in every form. Pure: no I/O, no clock.

RFC 9110, 10.2.3: delay-seconds or an HTTP-date. Library parsers also take ``1_0``, ``+5``, ``nan`` and dates
without a zone; this one does not.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

_SECONDS = re.compile(r"[0-9]{1,9}")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH = f"(?P<month>{'|'.join(_MONTHS)})"
_TIME = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_DAY = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_LONG_DAY = "(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day"
_DATES = (
    re.compile(rf"{_DAY}, (?P<day>[0-9]{{2}}) {_MONTH} (?P<year>[0-9]{{4}}) {_TIME} GMT"),
    re.compile(rf"{_LONG_DAY}, (?P<day>[0-9]{{2}})-{_MONTH}-(?P<year>[0-9]{{2}}) {_TIME} GMT"),
    re.compile(rf"{_DAY} {_MONTH} (?P<day>[ 0-9][0-9]) {_TIME} (?P<year>[0-9]{{4}})"),
)


def parse_retry_after(value: str | None, response_date: str | None, now_epoch: float) -> float | None:
    """Return seconds to wait from now, at least 0, or None when the header is absent or nonsense.

    A date is measured against the response's own ``Date``, because the two clocks may differ; only without
    one against ``now_epoch`` (seconds since 1970, UTC).
    """
    if value is None:
        return None
    if _SECONDS.fullmatch(value):
        return float(value)
    until = parse_http_date(value, now_epoch)
    if until is None:
        return None
    sent = None if response_date is None else parse_http_date(response_date, now_epoch)
    return max(0.0, until - (now_epoch if sent is None else sent))


def parse_http_date(text: str, now_epoch: float) -> float | None:
    """One of the three forms of RFC 9110, 5.6.7, as seconds since 1970."""
    match = next((found for form in _DATES if (found := form.fullmatch(text))), None)
    if match is None:
        return None
    year = int(match["year"])
    if len(match["year"]) == 2:
        year = _full_year(year, datetime.fromtimestamp(now_epoch, UTC).year)
    try:
        return datetime(
            year,
            _MONTHS.index(match["month"]) + 1,
            int(match["day"]),
            int(match["hour"]),
            int(match["minute"]),
            min(int(match["second"]), 59),  # a leap second is allowed by the grammar, not by datetime
            tzinfo=UTC,
        ).timestamp()
    except ValueError:
        return None


def _full_year(two_digits: int, this_year: int) -> int:
    """RFC 9110, 5.6.7: a year that seems more than 50 years ahead is the last one with these digits."""
    year = this_year - this_year % 100 + two_digits
    return year - 100 if year > this_year + 50 else year
