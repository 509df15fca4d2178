"""The knobs of the emulator: one flag for everything that is not known about the service.
A default is the most likely behaviour. Reads one file and one variable (credentials), nothing else.
"""

import argparse
import os
from dataclasses import dataclass, field, fields
from pathlib import Path

from syncer.emulator.faults import Fault, parse_fault_share
from syncer.emulator.population import USERS_MAX

CREDENTIALS_VARIABLE = "SYNCER_EMULATOR_CREDENTIALS"
BODY_FORMS = ("errors", "classic", "problem", "html", "empty", "hostile")
"""The documented list of errors, the older object, RFC 9457, a gateway's page, nothing, and one to steer a terminal."""
BAD_TOKENS = ("400", "404", "410", "422", "500", "first-page")
RETRY_AFTER_WORDS = ("seconds", "date", "zero", "none", "nonsense", "negative")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How one emulator behaves. Field names are those of the flags; shares are 0 to 1."""

    host: str = "127.0.0.1"
    port: int = 0
    users: int = 1000
    seed: int = 1
    log_file: str | None = None
    account: str = "AC" + "0" * 32
    credentials: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    forbidden: bool = False
    auth_body: str = "classic"
    error_body: str = "errors"
    gateway_body: str = "html"
    order: str = "oldest"
    token_kind: str = "key"
    token_ttl: float | None = None
    token_bound_to_page_size: bool = False
    token_bound_to_credential: bool = False
    bad_token: str = "400"
    end: str = "null"
    short_pages: float = 0.0
    empty_pages: float = 0.0
    max_page_size_ok: int = 1000
    deleted: str = "listed"
    deleted_share: float = 0.03
    second_delete: int = 202
    delete_delay: float = 0.0
    delete_body: str = "yes"
    malformed_id: int = 400
    related: str = "none"
    fractions: str = "none"
    offsets: bool = False
    extra_field: bool = False
    new_ids: str = "newest"
    clock: str = "logical"
    reorder_on_update: bool = False
    churn_create: float = 0.0
    churn_delete: float = 0.0
    churn_update: float = 0.0
    rate: float | None = None
    burst: int = 5
    concurrency: int | None = None
    retry_after: str = "seconds"
    latency: float = 0.0
    latency_per_user: float = 0.0
    jitter: float = 0.0
    compress: str = "none"
    page_cache: int = 256
    fault: tuple[tuple[Fault, float], ...] = ()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add every knob to a parser."""
    _add_server(parser.add_argument_group("server"))
    _add_list(parser.add_argument_group("list and tokens"))
    _add_users(parser.add_argument_group("users and changes"))
    _add_answers(parser.add_argument_group("limits, answers and faults"))


def options_from(namespace: argparse.Namespace) -> Options:
    """The options of parsed arguments. ValueError or OSError if the credentials cannot be read."""
    names = {one.name for one in fields(Options)} - {"credentials", "fault"}
    given = {name: getattr(namespace, name) for name in names if hasattr(namespace, name)}
    credentials = read_credentials(getattr(namespace, "credentials_file", None))
    return Options(**given, credentials=credentials, fault=tuple(getattr(namespace, "fault", None) or ()))


def read_credentials(path: str | None) -> tuple[tuple[str, str], ...]:
    """The accepted pairs, `user:secret`, one a line in the file and separated by blanks in the variable."""
    text = os.environ.get(CREDENTIALS_VARIABLE, "")
    if path is not None:
        text += "\n" + Path(path).read_text(encoding="utf-8")
    pairs = [word.partition(":") for word in text.split()]
    if not all(user and secret for user, _, secret in pairs):
        raise ValueError("emulator credentials are written user:secret, one a line")
    return tuple((user, secret) for user, _, secret in pairs)


_Group = argparse._ArgumentGroup


def _add_server(group: _Group) -> None:
    group.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    group.add_argument("--port", type=_count(0, 65535), default=0, help="port; 0 takes any free one (default)")
    group.add_argument("--users", type=_count(0, USERS_MAX), default=1000, help="users at the start (default: 1000)")
    group.add_argument("--seed", type=int, default=1, help="the same seed gives the same users and faults (default: 1)")
    group.add_argument("--log-file", metavar="FILE", help="append one JSON line for each request")
    group.add_argument("--account", default="AC" + "0" * 32, metavar="SID", help="the account that API keys belong to")
    group.add_argument(
        "--credentials-file",
        metavar="FILE",
        help=f"accepted user:secret pairs, one a line; also ${CREDENTIALS_VARIABLE} (default: any AC… or SK… pair)",
    )
    group.add_argument(
        "--page-cache", type=_count(2, 1_000_000), default=256, help="blocks of 1000 users kept (default: 256)"
    )


def _add_list(group: _Group) -> None:
    group.add_argument("--order", choices=("oldest", "newest"), default="oldest", help="which users come first")
    group.add_argument("--token-kind", choices=("key", "offset"), default="key", help="offset makes an unsound list")
    group.add_argument("--token-ttl", type=_number, metavar="SECONDS", help="older tokens answer 400 (default: never)")
    group.add_argument("--token-bound-to-page-size", action="store_true", help="another page size answers 400")
    group.add_argument("--token-bound-to-credential", action="store_true", help="another credential answers 400")
    group.add_argument(
        "--bad-token", choices=BAD_TOKENS, default="400", help="the answer to a stale or unreadable token"
    )
    group.add_argument(
        "--end", choices=("null", "absent", "empty", "empty-page"), default="null", help="how the list ends"
    )
    group.add_argument("--short-pages", type=_share, default=0.0, metavar="P", help="share of pages cut short")
    group.add_argument("--empty-pages", type=_share, default=0.0, metavar="P", help="share of empty pages with a next")
    group.add_argument(
        "--max-page-size-ok", type=_count(1, 1000), default=1000, metavar="N", help="larger page sizes answer 500"
    )


def _add_users(group: _Group) -> None:
    group.add_argument(
        "--deleted", choices=("listed", "hidden", "gone"), default="listed", help="hidden: only in fetch"
    )
    group.add_argument(
        "--deleted-share", type=_share, default=0.03, metavar="P", help="deleted before the start, if listed"
    )
    group.add_argument("--second-delete", type=int, choices=(202, 404), default=202, help="answer to deleting again")
    group.add_argument(
        "--delete-delay", type=_number, default=0.0, metavar="SECONDS", help="when a delete takes effect"
    )
    group.add_argument("--delete-body", choices=("yes", "no"), default="yes", help="no: only the Location header")
    group.add_argument("--malformed-id", type=int, choices=(400, 404), default=400, help="answer to what is no id")
    group.add_argument("--related", choices=("none", "empty", "filled"), default="none", help="the related field")
    group.add_argument("--fractions", choices=("none", "ms", "us", "ns"), default="none", help="fractions of a second")
    group.add_argument("--offsets", action="store_true", help="write +00:00 in place of Z")
    group.add_argument("--extra-field", action="store_true", help="an unknown, nested field with a large number")
    group.add_argument("--new-ids", choices=("newest", "random"), default="newest", help="where new users sort")
    group.add_argument(
        "--clock",
        choices=("logical", "wall"),
        default="logical",
        help="what dates changes; wall: not fixed by the seed",
    )
    group.add_argument("--reorder-on-update", action="store_true", help="an updated user moves to the newest end")
    for change in ("create", "delete", "update"):
        group.add_argument(
            f"--churn-{change}", type=_number, default=0.0, metavar="N", help=f"{change}s per list request"
        )


def _add_answers(group: _Group) -> None:
    group.add_argument("--rate", type=_positive, metavar="R", help="requests a second per account (default: no limit)")
    group.add_argument(
        "--burst", type=_count(1, 1_000_000), default=5, help="requests at once under --rate (default: 5)"
    )
    group.add_argument("--concurrency", type=_count(1, 1_000_000), metavar="C", help="requests at once per account")
    group.add_argument("--retry-after", type=_retry_after, default="seconds", help="/".join((*RETRY_AFTER_WORDS, "N")))
    group.add_argument("--latency", type=_number, default=0.0, metavar="MS", help="time to answer")
    group.add_argument(
        "--latency-per-user", type=_number, default=0.0, metavar="MS", help="further time for each user of a page"
    )
    group.add_argument("--jitter", type=_number, default=0.0, metavar="MS", help="up to this much more")
    group.add_argument("--compress", choices=("none", "gzip"), default="none", help="if the client accepts it")
    group.add_argument("--forbidden", action="store_true", help="answer 403 to everything")
    group.add_argument("--auth-body", choices=BODY_FORMS, default="classic", help="of 401 and 403")
    group.add_argument("--gateway-body", choices=BODY_FORMS, default="html", help="of 502 and 504")
    group.add_argument("--error-body", choices=BODY_FORMS, default="errors", help="of every other error")
    group.add_argument(
        "--fault",
        type=_fault,
        action="append",
        metavar="KIND[:ARG]=P",
        help="a fault and the share of requests that meet it; repeatable; see docs/emulator.md",
    )


def _fault(text: str) -> tuple[Fault, float]:
    try:
        return parse_fault_share(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 0")
    return value


def _positive(text: str) -> float:
    value = _number(text)
    if value == 0:
        raise argparse.ArgumentTypeError("must be more than 0")
    return value


def _share(text: str) -> float:
    value = _number(text)
    if value > 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share from 0 to 1")
    return value


def _retry_after(text: str) -> str:
    if text not in RETRY_AFTER_WORDS:
        _number(text)
    return text


class _count:
    """A whole number from `low` to `high`, as an argparse type."""

    def __init__(self, low: int, high: int) -> None:
        self._low, self._high = low, high

    def __call__(self, text: str) -> int:
        try:
            value = int(text.replace("_", ""))
        except ValueError:
            value = self._low - 1
        if not self._low <= value <= self._high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {self._low} to {self._high}")
        return value
