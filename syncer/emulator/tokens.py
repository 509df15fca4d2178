"""Page tokens as the service is believed to make them: standard base64, padded, of a DynamoDB-like start key.
Pure: no I/O, no clock. Clients must treat them as opaque; only the emulator reads them.
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass

import orjson

from syncer.emulator.population import ID_PREFIX, time_of_id

OLDEST_KEY = ID_PREFIX + "0" * 26
NEWEST_KEY = ID_PREFIX + "7" + "z" * 25


class BadToken(ValueError):
    """The token is not one of ours, or not for this request. The message is safe to show."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page starts: behind the row with `key`, or at row `offset` (unsound lists only). `passed` says that the
    empty page served at this place is behind us."""

    key: str = ""
    offset: int | None = None
    passed: bool = False


@dataclass(frozen=True, slots=True)
class Binding:
    """What a token is bound to. None where the emulator does not bind it."""

    account_sid: str
    page_size: int | None = None
    credential: str | None = None
    issued_seconds: int | None = None
    ttl_seconds: float | None = None


def write_token(place: Place, binding: Binding) -> str:
    """The token of a place, as standard base64 with padding."""
    key: dict[str, object] = {"PK": binding.account_sid}
    if place.offset is not None:
        key["O"] = place.offset
    else:
        key |= {"SK": f"USER#{place.key}", "SK1": f"{time_of_id(place.key)}"}
    if place.passed:
        key["E"] = 1
    if binding.page_size is not None:
        key["N"] = binding.page_size
    if binding.credential is not None:
        key["C"] = binding.credential
    if binding.issued_seconds is not None:
        key["T"] = binding.issued_seconds
    return base64.b64encode(orjson.dumps(key)).decode()


def read_token(token: str, binding: Binding) -> Place:
    """The place of a token. BadToken if it cannot be read, is foreign, is stale, or is bound to something else."""
    try:
        key = orjson.loads(base64.b64decode(token.encode("ascii"), validate=True))
        place = _place(key)
    except (binascii.Error, UnicodeEncodeError, orjson.JSONDecodeError, ValueError, KeyError, TypeError):
        raise BadToken("The page token cannot be read.") from None
    if key.get("PK") != binding.account_sid:
        raise BadToken("The page token belongs to another account.")
    if binding.page_size is not None and key.get("N") != binding.page_size:
        raise BadToken("The page token was made for another page size.")
    if binding.credential is not None and key.get("C") != binding.credential:
        raise BadToken("The page token was made for other credentials.")
    if binding.ttl_seconds is not None and binding.issued_seconds is not None:
        issued = key.get("T")
        if not isinstance(issued, int) or issued + binding.ttl_seconds < binding.issued_seconds:
            raise BadToken("The page token has expired.")
    return place


def token_hash(token: str) -> str:
    """Eight hexadecimal digits that name a token in a log: tokens hold the Account SID."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def _place(key: object) -> Place:
    if not isinstance(key, dict):
        raise ValueError("not a key")
    passed = key.get("E") == 1
    if "O" in key:
        offset = key["O"]
        if type(offset) is not int or offset < 0:
            raise ValueError("not an offset")
        return Place(offset=offset, passed=passed)
    sort_key = key["SK"]
    if not isinstance(sort_key, str):
        raise ValueError("not a key")
    place = Place(key=sort_key.removeprefix("USER#"), passed=passed)
    if str(time_of_id(place.key)) != key["SK1"]:
        raise ValueError("not a pair of keys")
    return place
