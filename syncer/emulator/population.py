"""The users of the emulator: any number of them, in constant memory, the same for the same seed.
Pure: no I/O, no clock. Users are made a block at a time, only when a page asks for them.
"""

import base64
import random
import re
import struct
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
ID_PREFIX = "comms_pushnotificationuser_"
ID_PATTERN = re.compile(r"comms_pushnotificationuser_[0-7][a-hjkmnpqrstv-z0-9]{25,34}")
BLOCK_USERS = 1000
STEP_MS = 250
START_MS = int(datetime(2017, 1, 1, tzinfo=UTC).timestamp()) * 1000
# Bits 40 to 47 of every time from START_MS to the year 2039 are the same, so two characters of every id are.
_TIME_HEAD = ALPHABET[(START_MS >> 40) >> 5] + ALPHABET[(START_MS >> 40) & 31]
USERS_MAX = 2_000_000_000

_TO_CROCKFORD = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", ALPHABET.encode())
_DAY_SECONDS = 86_400
_CLOCK = [f"{s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}" for s in range(_DAY_SECONDS)]
_FIELDS = re.compile(rb'\{"id":"([^"]+)","createdAt":"([^"]+)","updatedAt":"([^"]+)","deletedAt":("[^"]+"|null)')
_RELATED = {
    "none": "",
    "empty": ',"related":[]',
    "filled": ',"related":[{"id":"comms_pushnotificationapp_01j9zxe3sbfbsr0kd2f2w8n3qk","name":"devices",'
    '"uri":"https://comms.twilio.com/v1/PushNotifications/DeviceRegistrations"}]',
}
_EXTRA = (
    ',"attributes":{"counter":123456789012345678901234567890,"ratio":0.1,"labels":["\\u00e9","b"],"deep":{"x":[1,{}]}}'
)


@dataclass(frozen=True, slots=True)
class Style:
    """How a user is written: fractions `none|ms|us|ns`, `+00:00` or `Z`, `related` `none|empty|filled`, unknown fields."""

    fractions: str = "none"
    offsets: bool = False
    related: str = "none"
    extra_field: bool = False

    def tail(self) -> str:
        """What follows `deletedAt` in a user's JSON, without the closing brace."""
        return _RELATED[self.related] + (_EXTRA if self.extra_field else "")

    def time(self, ms: int) -> str:
        """An RFC 3339 time in UTC of `ms` since 1970."""
        days, seconds = divmod(ms // 1000, _DAY_SECONDS)
        fraction = {"none": "", "ms": "%03d", "us": "%03d217", "ns": "%03d217409"}[self.fractions]
        text = f"{_day(days)}{_CLOCK[seconds]}"
        return text + ("." + fraction % (ms % 1000) if fraction else "") + ("+00:00" if self.offsets else "Z")


@dataclass(frozen=True, slots=True)
class Fields:
    """The four fields of a user that the contract names, as text."""

    id: str
    created_at: str
    updated_at: str
    deleted_at: str | None

    def row(self, style: Style) -> bytes:
        """The user as JSON, in the same form as the population writes it."""
        deleted = "null" if self.deleted_at is None else f'"{self.deleted_at}"'
        head = f'{{"id":"{self.id}","createdAt":"{self.created_at}","updatedAt":"{self.updated_at}"'
        return f'{head},"deletedAt":{deleted}{style.tail()}}}'.encode()


def fields_of(row: bytes) -> Fields:
    """The fields of a row of this module. Never re-decodes the rest, so that unknown numbers keep their digits."""
    match = _FIELDS.match(row)
    assert match is not None, "a row of the population has the population's form"
    identity, created, updated, deleted = (part.decode() for part in match.groups())
    return Fields(identity, created, updated, None if deleted == "null" else deleted.strip('"'))


def make_id(ms: int, noise: int) -> str:
    """The id of a user made at `ms` since 1970 with 80 bits of noise: ids sort as their times do."""
    value = (ms << 80) | noise
    return ID_PREFIX + "".join(ALPHABET[(value >> shift) & 31] for shift in range(125, -1, -5))


def time_of_id(identity: str) -> int:
    """The milliseconds inside an id. ValueError if it is not an id."""
    if not ID_PATTERN.fullmatch(identity):
        raise ValueError("not a user id")
    ms = 0
    for character in identity[len(ID_PREFIX) : len(ID_PREFIX) + 10]:
        ms = ms << 5 | ALPHABET.index(character)
    return ms


class Population:
    """`users` users, oldest first, at positions 0 to `users - 1`; ids rise strictly with the position."""

    def __init__(self, seed: int, users: int, style: Style, deleted_share: float = 0.03, blocks_kept: int = 64) -> None:
        self.users = users
        self._seed = seed
        self._style = style
        self._deleted_below = int(deleted_share * 2**32)
        self._blocks_kept = max(2, blocks_kept)
        self._blocks: OrderedDict[int, list[bytes]] = OrderedDict()

    def row(self, position: int) -> bytes:
        """The JSON of the user at a position."""
        return self._block(position // BLOCK_USERS)[position % BLOCK_USERS]

    def id_at(self, position: int) -> str:
        """The id of the user at a position."""
        return id_of_row(self.row(position))

    def rows(self, start: int, stop: int) -> list[bytes]:
        """The JSON of the users from `start` up to `stop`, cut to those that exist."""
        start, stop = max(0, start), min(stop, self.users)
        found: list[bytes] = []
        while start < stop:
            number, first = divmod(start, BLOCK_USERS)
            part = self._block(number)[first : first + stop - start]
            found += part
            start += len(part)
        return found

    def floor(self, position: int) -> str:
        """A key that sorts behind the user before `position` and not behind the one at it. Makes no block."""
        return make_id(START_MS + position * STEP_MS, 0)

    def position_from(self, identity: str) -> int:
        """The position of the first user whose id is `identity` or sorts behind it; `users` if there is none."""
        position = (time_of_id(identity) - START_MS) // STEP_MS
        if position < 0:
            return 0
        if position >= self.users:
            return self.users
        return position if identity <= self.id_at(position) else position + 1

    def find(self, identity: str) -> int | None:
        """The position of the user with this id, or None."""
        position = self.position_from(identity)
        return position if position < self.users and self.id_at(position) == identity else None

    def _block(self, number: int) -> list[bytes]:
        block = self._blocks.get(number)
        if block is None:
            block = self._make_block(number)
            self._blocks[number] = block
            if len(self._blocks) > self._blocks_kept:
                self._blocks.popitem(last=False)
        else:
            self._blocks.move_to_end(number)
        return block

    def _make_block(self, number: int) -> list[bytes]:
        # Written for speed: this is most of the cost of a page that was not served lately.
        source = random.Random(f"{self._seed}:{number}")
        noise = source.randbytes(10 * BLOCK_USERS)
        draws = struct.unpack(f"<{2 * BLOCK_USERS}I", source.randbytes(8 * BLOCK_USERS))
        first_ms = START_MS + number * BLOCK_USERS * STEP_MS
        times = [first_ms + j * STEP_MS + ((draw & 255) * STEP_MS >> 8) for j, draw in enumerate(draws[::2])]
        low_bits = (1 << 40) - 1
        pieces: list[bytes] = []
        for j, ms in enumerate(times):
            pieces += ((ms & low_bits).to_bytes(5, "big"), noise[10 * j : 10 * j + 10])
        suffixes = base64.b32encode(b"".join(pieces)).translate(_TO_CROCKFORD).decode()
        write = self._writer()
        flat: list[str] = []
        deleted_below = self._deleted_below
        for j, ms in enumerate(times):
            draw = draws[2 * j]
            created = write(ms)
            # Half of the users were never updated; the others within 48 days.
            updated = write(ms + (draw >> 10) * 1000) if draw & 256 else created
            deleted = f'"{updated}"' if draws[2 * j + 1] < deleted_below else "null"
            flat += (suffixes[24 * j : 24 * j + 24], created, updated, deleted)
        one = f'{{"id":"{ID_PREFIX}{_TIME_HEAD}%s","createdAt":"%s","updatedAt":"%s","deletedAt":%s'
        text = (one + self._style.tail().replace("%", "%%") + "}\n") * BLOCK_USERS % tuple(flat)
        return text.encode().splitlines()

    def _writer(self) -> Callable[[int], str]:
        if self._style.fractions != "none":
            return self._style.time
        zone = "+00:00" if self._style.offsets else "Z"
        days: dict[int, str] = {}

        def write(ms: int) -> str:
            number, seconds = divmod(ms // 1000, _DAY_SECONDS)
            day = days.get(number)
            if day is None:
                day = days[number] = _day(number)
            return day + _CLOCK[seconds] + zone

        return write


def id_of_row(row: bytes) -> str:
    """The id inside a row of the population."""
    return row[7 : 7 + len(ID_PREFIX) + 26].decode()


@lru_cache(maxsize=4096)
def _day(number: int) -> str:
    return datetime.fromtimestamp(number * _DAY_SECONDS, UTC).strftime("%Y-%m-%dT")
