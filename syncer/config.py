"""Settings out of flags, environment, file and defaults, in that order of strength. No I/O of its own.

All problems are told together: where, which key, which value, and what would be right. Never the value of a secret.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from syncer.accounts import Account, AccountProblem, account_from_environment, account_from_table, account_keys
from syncer.config_file import ConfigFile
from syncer.errors import UsageError
from syncer.options import OPTIONS, Option, Text
from syncer.suggestions import closest_name

_VALUE_CHARACTERS_MAX = 60
_TABLES = ("guards",)


@dataclass(frozen=True, slots=True)
class Guards:
    """Limits that a run must keep to be published."""

    max_vanished_share: float
    max_rejects: int
    contract: Literal["evolve", "strict"] = "evolve"
    """Whether the users' fields may change from one snapshot to the next."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a command may need to know; durations in seconds, sizes in bytes."""

    destination: str
    state_dir: Path
    formats: tuple[Literal["parquet", "ndjson"], ...]
    parquet_profile: Literal["plain", "compact", "redshift"]
    ndjson_compression: Literal["zstd", "gzip", "none"]
    base_url: str
    ca_file: Path | None
    signing_key: Path | None
    """An OpenSSH private key: manifests are signed by it."""
    trusted_keys: Path | None
    """An allowed_signers file: snapshots must be signed by one of its keys."""
    page_size: int
    concurrency: int
    """Walkers of each account."""
    process_concurrency: int
    """Requests at once of all accounts together."""
    rate: float
    """Requests a second of each account."""
    compressed_answers: bool
    deadline: float
    request_timeout: float
    connect_timeout: float
    read_timeout: float
    resume_max_age: float
    free_space_min: int
    guards: Guards
    accounts: tuple[Account, ...]


class ConfigError(UsageError):
    """What is wrong with the configuration, all of it."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        head = "" if len(self.problems) == 1 else f"{len(self.problems)} problems in the configuration:\n  "
        super().__init__(head + "\n  ".join(self.problems))


def find_config(given: str | None, environ: Mapping[str, str]) -> Path | None:
    """The file to read: the one given, else ``$SYNCER_CONFIG``, else ``./config.toml`` if it is there."""
    if named := given or environ.get("SYNCER_CONFIG"):
        return Path(named)
    return Path("config.toml") if Path("config.toml").exists() else None


def load_settings(
    overrides: Mapping[str, object],
    environ: Mapping[str, str],
    config_path: Path | None,
    *,
    with_accounts: bool = True,
    with_state: bool = True,
) -> Settings:
    """Settings of a command. ``overrides`` are flags by option name; None there means "not given".

    Without ``with_accounts`` no secret is looked up and ``accounts`` is empty; without ``with_state`` nobody minds that
    there is no place for ``state_dir``. Raises ConfigError.
    """
    reading = _Reading(environ, config_path)
    reading.refuse_unknown()
    values = {option.name: reading.value(option, overrides) for option in OPTIONS}
    values["state_dir"] = reading.state_dir(values["state_dir"], needed=with_state)
    accounts = reading.accounts(resolve=with_accounts)
    if reading.problems:
        raise ConfigError(reading.problems)
    guards = Guards(**{name: values.pop(name) for name in Guards.__slots__})  # type: ignore[arg-type]
    for name in ("ca_file", "signing_key", "trusted_keys"):
        values[name] = Path(os.path.expanduser(str(values[name]))) if values[name] else None
    values["destination"] = os.path.expanduser(str(values["destination"]))
    return Settings(**values, guards=guards, accounts=accounts)  # type: ignore[arg-type]


def default_state_dir(environ: Mapping[str, str]) -> Path:
    """systemd's ``$STATE_DIRECTORY``, else the XDG state folder, else ``~/.local/state/syncer``."""
    if systemd := environ.get("STATE_DIRECTORY"):
        return Path(systemd.split(":")[0])
    base = environ.get("XDG_STATE_HOME", "")
    # The XDG specification: a path that is not absolute is to be ignored.
    return Path(base if base.startswith("/") else os.path.expanduser("~/.local/state")) / "syncer"


class _Reading:
    """One reading of one file, and the problems met so far."""

    def __init__(self, environ: Mapping[str, str], path: Path | None) -> None:
        self._environ = environ
        self._path = path
        self._source = ConfigFile(path)
        self._file = self._source.tables
        self._place = self._source.place
        self.problems = [self._source.problem] if self._source.problem else []

    def value(self, option: Option, overrides: Mapping[str, object]) -> object:
        """The strongest value given, checked; None when there is none, or when it is wrong and was reported."""
        source, given = self._given(option, overrides)
        if given is None:
            return None
        try:
            return option.parse(given)
        except ValueError as error:
            values = given if isinstance(given, list) and source.startswith("--") else [given]  # a flag can be repeated
            self.problems.append(f"{source} = {', '.join(map(_shown, values))}: {error}")
            return None

    def state_dir(self, given: object, *, needed: bool) -> Path:
        """Where state is kept; a user without a home folder, as containers have them, must say where."""
        path = Path(os.path.expanduser(str(given))) if given else default_state_dir(self._environ)
        if needed and path.parts[0] == "~":
            self.problems.append(
                "state_dir: this user has no home folder to keep it in; give --state-dir, or set SYNCER_STATE_DIR"
            )
        return path

    def refuse_unknown(self) -> None:
        """Report keys that no option has: a misspelt key must not be a silent default."""
        known = {option.key for option in OPTIONS} | {"accounts", *_TABLES}
        for key, value in self._file.items():
            if key not in known:
                self._report_unknown(key, key, [name for name in known if "." not in name])
            elif key in _TABLES:
                self._refuse_unknown_in(key, value)

    def accounts(self, *, resolve: bool) -> tuple[Account, ...]:
        """The accounts of the file, else the one of the environment."""
        tables = self._file.get("accounts")
        if tables is None:
            return self._environment_account() if resolve else ()
        if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
            self.problems.append(f"{self._place('accounts')}accounts: expected one or more [[accounts]] tables")
            return ()
        found = [self._account(number, table, resolve) for number, table in enumerate(tables, 1)]
        sids = [table.get("sid") for table in tables if isinstance(table.get("sid"), str)]
        for sid in sorted({sid for sid in sids if sids.count(sid) > 1}):
            self.problems.append(f"{self._path}: accounts: the sid {_shown(sid)} is there twice, expected each once")
        return tuple(account for account in found if account)

    def _account(self, number: int, table: Mapping[str, object], resolve: bool) -> Account | None:
        for key in table:
            if key not in account_keys():
                self._report_unknown(key, f"accounts[{number}].{key}", account_keys())
        try:
            return account_from_table(table, self._environ, resolve=resolve)
        except AccountProblem as problem:
            place = self._place(problem.key, number)
            self.problems.append(f"{place}accounts[{number}].{problem.key}: {problem}")
            return None

    def _environment_account(self) -> tuple[Account, ...]:
        try:
            return (account_from_environment(self._environ),)
        except AccountProblem as problem:
            self.problems.append(f"{problem.key}: {problem}")
            return ()

    def _given(self, option: Option, overrides: Mapping[str, object]) -> tuple[str, object]:
        if (flag := overrides.get(option.name)) is not None:
            return option.flag, Text(flag) if isinstance(flag, str) else flag
        if variable := self._environ.get(option.variable):
            return option.variable, Text(variable)
        table, _, name = option.key.rpartition(".")
        holder = self._file.get(table) if table else self._file
        if isinstance(holder, dict) and name in holder:
            return f"{self._place(name)}{option.key}", holder[name]
        return option.key, option.default

    def _refuse_unknown_in(self, table: str, value: object) -> None:
        if not isinstance(value, dict):
            self.problems.append(f"{self._place(table)}{table}: expected a table, written [{table}]")
            return
        known = [option.name for option in OPTIONS if option.key.startswith(table + ".")]
        for key in value:
            if key not in known:
                self._report_unknown(key, f"{table}.{key}", known)

    def _report_unknown(self, key: str, shown: str, known: Iterable[str]) -> None:
        meant = closest_name(key, known)
        hint = f"did you mean {meant}?" if meant else f"expected one of {', '.join(sorted(known))}"
        self.problems.append(f"{self._place(key)}{_shown(shown)[1:-1]}: there is no such key; {hint}")


def _shown(value: object) -> str:
    if isinstance(value, str) and "://" in value and "@" in value:
        return "(not shown: it may hold a login)"
    shown = ascii(str(value) if isinstance(value, str) else value)
    return shown if len(shown) <= _VALUE_CHARACTERS_MAX else shown[: _VALUE_CHARACTERS_MAX - 3] + "..."
