"""The users of the emulator: any number of them, in constant memory, the same for the same seed.
Pure: no I/O, no clock. Users are made a block at a time, only when a page asks for them.
"""

import random
import re
import struct
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
ID_PREFIX = "comms_pushnotificationuser_"
ID_PATTERN = re.compile(r"comms_pushnotificationuser_[0-7][a-hjkmnpqrstv-z0-9]{25,34}")
BLOCK_USERS = 1000
STEP_MS = 250
START_MS = int(datetime(2017, 1, 1, tzinfo=UTC).timestamp()) * 1000
# Bits 40 to 47 of every time from START_MS to the year 2039 are the same, so two characters of every id are.
_TIME_HEAD = ALPHABET[(START_MS >> 40) >> 5] + ALPHABET[(START_MS >> 40) & 31]
USERS_MAX = 2_000_000_000
_UPDATED_BITS = 22

_TO_ALPHABET = bytes(ord(ALPHABET[byte & 31]) for byte in range(256))
_DAY_SECONDS = 86_400
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
    """How a user is written: fractions `none|ms|us|ns`, `+00:00` or `Z`, related `none|empty|filled`, extras."""

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
        text = f"{_day(days)}{_clock()[seconds]}"
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


def _digits(value: int, count: int) -> str:
    """The lowest `5 * count` bits of a number as `count` characters."""
    return "".join(ALPHABET[value >> 5 * place & 31] for place in range(count - 1, -1, -1))


@cache
def _low_digits() -> list[str]:
    return [_digits(value, 3) for value in range(1 << 15)]


@cache
def _clock() -> list[str]:
    return [f"{s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}" for s in range(_DAY_SECONDS)]


def make_id(ms: int, noise: int) -> str:
    """The id of a user made at `ms` since 1970 with 80 bits of noise: ids sort as their times do."""
    return ID_PREFIX + _digits((ms << 80) | noise, 26)


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

    def __init__(
        self, seed: int, users: int, style: Style, deleted_share: float = 0.03, blocks_kept: int = 256
    ) -> None:
        self.users = users
        self._seed = seed
        self._style = style
        self._deleted_below = int(deleted_share * 2**15)
        self._blocks_kept = max(2, blocks_kept)
        self._blocks: OrderedDict[int, list[bytes]] = OrderedDict()

    @property
    def settled_ms(self) -> int:
        """A time that lies after all times of all users."""
        blocks = max(1, -(-self.users // BLOCK_USERS))
        return START_MS + blocks * BLOCK_USERS * STEP_MS + (1 << _UPDATED_BITS) * 1000

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
        if not ID_PATTERN.fullmatch(identity):
            return None
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
        # Written for speed, column by column: this is most of the cost of a page that was not served lately.
        source = random.Random(f"{self._seed}:{number}")
        noise = source.randbytes(16 * BLOCK_USERS)
        draws = struct.unpack(f"<{BLOCK_USERS}I", source.randbytes(4 * BLOCK_USERS))
        first_ms = START_MS + number * BLOCK_USERS * STEP_MS
        times = [ms + ((draw & 255) * STEP_MS >> 8) for ms, draw in zip(_steps(first_ms), draws, strict=True)]
        created = self._created(first_ms, times)
        # Half of the users were never updated; the others at one of 64 times, up to 48 days after the block's last.
        end_ms = first_ms + BLOCK_USERS * STEP_MS
        later = [self._style.time(end_ms + source.getrandbits(_UPDATED_BITS) * 1000) for _ in range(64)]
        updated = [later[draw >> 26] if draw & 256 else own for draw, own in zip(draws, created, strict=True)]
        rows = self._assemble(_suffixes(times, noise), created, updated)
        for place, draw in enumerate(draws):
            if (draw >> 9) & 0x7FFF < self._deleted_below:
                rows[place] = rows[place].replace(b"null", b'"%s"' % updated[place].encode(), 1)
        return rows

    def _created(self, first_ms: int, times: list[int]) -> list[str]:
        if self._style.fractions != "none":
            return [self._style.time(ms) for ms in times]
        first = first_ms // 1000
        texts = [self._style.time(first_ms + k * 1000) for k in range(BLOCK_USERS * STEP_MS // 1000 + 1)]
        return [texts[ms // 1000 - first] for ms in times]

    def _assemble(self, suffixes: bytes, created: list[str], updated: list[str]) -> list[bytes]:
        """The rows of users that are not deleted. All rows have the same length, so a column is a slice with a step."""
        blank = Fields(ID_PREFIX + _TIME_HEAD + "#" * 24, "@" * len(created[0]), "^" * len(updated[0]), None)
        row = blank.row(self._style)
        length = len(row)
        table = bytearray(row * BLOCK_USERS)
        for mark, width, column in (
            (b"#", 24, suffixes),
            (b"@", len(created[0]), "".join(created).encode()),
            (b"^", len(updated[0]), "".join(updated).encode()),
        ):
            start = row.index(mark)
            for at in range(width):
                table[start + at :: length] = column[at::width]
        return list(struct.unpack(f"{length}s" * BLOCK_USERS, table))


def _steps(first_ms: int) -> range:
    return range(first_ms, first_ms + BLOCK_USERS * STEP_MS, STEP_MS)


def _suffixes(times: list[int], noise: bytes) -> bytes:
    """The last 24 characters of each id: 40 bits of its time, then 16 characters of noise."""
    high = {part: _digits(part, 5) for part in range(times[0] >> 15, (times[-1] >> 15) + 1)}
    low = _low_digits()
    stamps = "".join([high[ms >> 15] + low[ms & 0x7FFF] for ms in times]).encode()
    characters = noise.translate(_TO_ALPHABET)
    table = bytearray(24 * len(times))
    for at in range(8):
        table[at::24] = stamps[at::8]
    for at in range(16):
        table[at + 8 :: 24] = characters[at::16]
    return bytes(table)


def id_of_row(row: bytes) -> str:
    """The id inside a row of the population."""
    return row[7 : 7 + len(ID_PREFIX) + 26].decode()


@lru_cache(maxsize=4096)
def _day(number: int) -> str:
    return datetime.fromtimestamp(number * _DAY_SECONDS, UTC).strftime("%Y-%m-%dT")
