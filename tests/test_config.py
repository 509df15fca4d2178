from __future__ import annotations

from pathlib import Path

import pytest

from syncer.accounts import Account
from syncer.config import ConfigError, Guards, Settings, default_state_dir, find_config, load_settings
from syncer.credentials import Credentials, Secret

SID = "AC" + "0" * 32
ENVIRONMENT = {"TWILIO_ACCOUNT_SID": SID, "TWILIO_AUTH_TOKEN": "t0ken", "XDG_STATE_HOME": "/state"}
DEFAULTS = Settings(
    destination="exports",
    state_dir=Path("/state/syncer"),
    formats=("parquet", "ndjson"),
    parquet_profile="plain",
    ndjson_compression="zstd",
    base_url="https://comms.twilio.com/v1",
    ca_file=None,
    signing_key=None,
    trusted_keys=None,
    page_size=1000,
    concurrency=8,
    process_concurrency=64,
    rate=20.0,
    compressed_answers=False,
    deadline=7200.0,
    request_timeout=60.0,
    connect_timeout=10.0,
    read_timeout=20.0,
    resume_max_age=86400.0,
    free_space_min=10**9,
    guards=Guards(max_vanished_share=0.2, max_rejects=0),
    accounts=(Account(SID, Credentials(SID, Secret("t0ken"))),),
)


def write(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(path: Path | None, overrides: dict[str, object] | None = None, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_settings(overrides or {}, {**ENVIRONMENT, **environ}, path)
    assert caught.value.exit_code == 2
    return [problem.replace(str(path), "FILE") for problem in caught.value.problems]


def test_without_a_file_the_environment_is_enough_and_the_rest_are_defaults() -> None:
    assert load_settings({}, ENVIRONMENT, None) == DEFAULTS


def test_a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default(tmp_path: Path) -> None:
    path = write(tmp_path, "page_size = 1\nconcurrency = 2\nrate = 3\n")
    environ = {**ENVIRONMENT, "SYNCER_PAGE_SIZE": "11", "SYNCER_CONCURRENCY": "12"}
    settings = load_settings({"page_size": "111", "concurrency": None}, environ, path)
    assert (settings.page_size, settings.concurrency, settings.rate, settings.deadline) == (111, 12, 3.0, 7200.0)


def test_every_kind_of_value_can_come_from_the_environment() -> None:
    environ = {
        **ENVIRONMENT,
        "SYNCER_FORMATS": "ndjson, parquet",
        "SYNCER_RATE": "0.5",
        "SYNCER_COMPRESSED_ANSWERS": "true",
        "SYNCER_DEADLINE": "1h30m",
        "SYNCER_FREE_SPACE_MIN": "512MB",
        "SYNCER_MAX_REJECTS": "7",
        "SYNCER_MAX_VANISHED_SHARE": "1",
        "SYNCER_NDJSON_COMPRESSION": "gzip",
        "SYNCER_DESTINATION": "~/out",
        "SYNCER_CA_FILE": "ca.pem",
        "SYNCER_STATE_DIR": "st",
    }
    settings = load_settings({}, environ, None)
    assert settings.formats == ("parquet", "ndjson")
    assert (settings.rate, settings.compressed_answers, settings.deadline) == (0.5, True, 5400.0)
    assert (settings.free_space_min, settings.guards) == (512_000_000, Guards(1.0, 7))
    assert (settings.ndjson_compression, settings.ca_file) == ("gzip", Path("ca.pem"))
    assert (settings.destination, settings.state_dir) == (str(Path("~/out").expanduser()), Path("st"))


def test_accounts_of_the_file_stand_for_the_one_of_the_environment(tmp_path: Path) -> None:
    other = "AC" + "1" * 32
    text = f'[[accounts]]\nsid = "{other}"\nauth_token = {{ env = "OTHER" }}\n'
    settings = load_settings({}, {**ENVIRONMENT, "OTHER": "x1y2"}, write(tmp_path, text))
    assert settings.accounts == (Account(other, Credentials(other, Secret("x1y2"))),)


def test_commands_that_ask_nothing_need_no_account(tmp_path: Path) -> None:
    assert load_settings({}, {}, None, with_accounts=False).accounts == ()
    text = f'[[accounts]]\nsid = "{SID}"\nauth_token = {{ env = "NOT_SET" }}\n'
    assert load_settings({}, {}, write(tmp_path, text), with_accounts=False).accounts == ()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("page_size = 0", "page_size = 0: expected a whole number from 1 to 1000"),
        ("page_size = 1001", "page_size = 1001: expected a whole number from 1 to 1000"),
        ('page_size = "100"', "page_size = '100': expected a whole number from 1 to 1000"),
        ("page_size = true", "page_size = True: expected a whole number from 1 to 1000"),
        ("concurrency = 257", "concurrency = 257: expected a whole number from 1 to 256"),
        ("process_concurrency = 0", "process_concurrency = 0: expected a whole number, 1 or more"),
        ("rate = 0", "rate = 0: expected a number above 0, at most 10000"),
        ("rate = nan", "rate = nan: expected a number above 0, at most 10000"),
        ("rate = false", "rate = False: expected a number above 0, at most 10000"),
        ("deadline = 30", "deadline = 30: expected a duration such as 30s, 5m or 1h30m, above zero"),
        ('deadline = "0s"', "deadline = '0s': expected a duration such as 30s, 5m or 1h30m, above zero"),
        ('deadline = "soon"', "deadline = 'soon': expected a duration such as 30s, 5m or 1h30m"),
        ("free_space_min = 5", "free_space_min = 5: expected a size such as 512MB or 2GB"),
        ('formats = ["csv"]', "formats = ['csv']: expected one or both of parquet and ndjson"),
        ("formats = []", "formats = []: expected one or both of parquet and ndjson"),
        ('parquet_profile = "delta"', "parquet_profile = 'delta': expected plain or compact or redshift"),
        ('ndjson_compression = "xz"', "ndjson_compression = 'xz': expected zstd or gzip or none"),
        ("compressed_answers = 1", "compressed_answers = 1: expected true or false"),
        ('destination = ""', "destination = '': expected a text that is not empty"),
        (
            'base_url = "http://api.example.com/v1"',
            "base_url = 'http://api.example.com/v1': the base URL would send the credentials to api.example.com "
            "in the clear; use https",
        ),
        (
            'base_url = "https://me:hunter2@example.com"',
            "base_url = (not shown: it may hold a login): the base URL holds a login; give the credentials by the "
            "environment or the config file",
        ),
        ("page_sise = 1", "page_sise: there is no such key; did you mean page_size?"),
        ('auth_token = "hunter2"', "auth_token: there is no such key; "),
        ("guards = 1", "guards: expected a table, written [guards]"),
    ],
)
def test_a_wrong_line_is_told_with_its_place_its_value_and_what_would_be_right(
    tmp_path: Path, line: str, told: str
) -> None:
    (problem,) = problems(write(tmp_path, f"# a comment\n\n{line}\n"))
    assert problem.startswith(f"FILE, line 3: {told}")
    assert "hunter2" not in problem


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    text = f"""\
rate = -1
[guards]
max_reject = 1
max_vanished_share = 2
[[accounts]]
sid = "{SID}"
auth_token = "hunter2"
[[accounts]]
sid = "{SID}"
auth_tokn = {{ env = "X" }}
"""
    found = problems(write(tmp_path, text), {"page_size": "many"}, SYNCER_CONCURRENCY="0")
    assert found == [
        "FILE, line 3: guards.max_reject: there is no such key; did you mean max_rejects?",
        "--page-size = 'many': expected a whole number from 1 to 1000",
        "SYNCER_CONCURRENCY = '0': expected a whole number from 1 to 256",
        "FILE, line 1: rate = -1: expected a number above 0, at most 10000",
        "FILE, line 4: guards.max_vanished_share = 2: expected a number from 0 to 1",
        "FILE, line 7: accounts[1].auth_token: a secret is not written into the file: "
        'use { env = "NAME" } or { file = "PATH" }',
        "FILE, line 10: accounts[2].auth_tokn: there is no such key; did you mean auth_token?",
        "FILE: accounts[2].auth_token: expected either auth_token, or api_key with api_secret",
        f"FILE: accounts: the sid '{SID}' is there twice, expected each once",
    ]


def test_several_problems_make_one_error_of_several_lines() -> None:
    assert str(ConfigError(["a: wrong"])) == "a: wrong"
    assert str(ConfigError(["a: wrong", "b: wrong"])) == "2 problems in the configuration:\n  a: wrong\n  b: wrong"


@pytest.mark.parametrize("text", ["accounts = 1", "accounts = []", "accounts = [1]"])
def test_accounts_are_tables(tmp_path: Path, text: str) -> None:
    assert problems(write(tmp_path, text)) == ["FILE, line 1: accounts: expected one or more [[accounts]] tables"]


def test_a_file_that_is_not_toml_is_told_by_line_and_not_by_its_text(tmp_path: Path) -> None:
    path = write(tmp_path, 'rate = 1\nauth_token = "hunter2\n')
    assert problems(path) == ["FILE, line 2: this is not valid TOML"]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "none.toml"
    assert problems(missing) == ["the config file FILE cannot be read: No such file or directory"]
    strange = tmp_path / "strange.toml"
    strange.write_bytes(b"\xff\xfe")
    assert problems(strange) == ["the config file FILE is not UTF-8 text"]
    huge = tmp_path / "huge.toml"
    huge.write_bytes(b"#" * (1024 * 1024 + 1))
    assert problems(huge) == ["the config file FILE is longer than 1048576 bytes"]


def test_hostile_values_are_escaped_and_cut(tmp_path: Path) -> None:
    (problem,) = problems(None, {"deadline": "\x1b[2J\u202e" + "x" * 500})
    assert problem.startswith("--deadline = '\\x1b[2J\\u202exxx")
    assert problem.isascii()
    assert len(problem) < 150


def test_no_account_anywhere_says_what_to_set() -> None:
    with pytest.raises(
        ConfigError, match="TWILIO_ACCOUNT_SID: no account is configured: set it with TWILIO_AUTH_TOKEN"
    ):
        load_settings({}, {}, None)


def test_the_config_file_is_the_one_given_else_the_variable_else_the_one_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_config(None, {}) is None
    write(tmp_path, "")
    assert find_config(None, {}) == Path("config.toml")
    assert find_config(None, {"SYNCER_CONFIG": "a.toml"}) == Path("a.toml")
    assert find_config("b.toml", {"SYNCER_CONFIG": "a.toml"}) == Path("b.toml")


def test_the_state_folder_is_systemds_else_xdgs_else_the_users() -> None:
    assert default_state_dir({"STATE_DIRECTORY": "/var/lib/syncer:/x"}) == Path("/var/lib/syncer")
    assert default_state_dir({"XDG_STATE_HOME": "/state"}) == Path("/state/syncer")
    home = Path("~/.local/state/syncer").expanduser()
    assert default_state_dir({}) == default_state_dir({"XDG_STATE_HOME": "relative"}) == home


def test_no_secret_shows_in_the_settings() -> None:
    assert "t0ken" not in repr(load_settings({}, ENVIRONMENT, None))


def test_a_user_without_a_home_folder_must_say_where_state_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")

    def nobody(_: int) -> None:
        raise KeyError

    monkeypatch.setattr("pwd.getpwuid", nobody)
    told = "state_dir: this user has no home folder to keep it in; give --state-dir, or set SYNCER_STATE_DIR"
    assert problems(None, XDG_STATE_HOME="") == problems(None, {"state_dir": "~/state"}) == [told]
    for settings in (
        load_settings({"state_dir": "/state"}, ENVIRONMENT, None),
        load_settings({}, {**ENVIRONMENT, "SYNCER_STATE_DIR": "/state"}, None),
    ):
        assert settings.state_dir == Path("/state")
    homeless = {**ENVIRONMENT, "XDG_STATE_HOME": ""}
    assert load_settings({}, homeless, None, with_state=False).destination == "exports"
