from __future__ import annotations

from pathlib import Path

import pytest

from syncer.accounts import Account, AccountProblem, account_from_environment, account_from_table, is_account_sid
from syncer.credentials import Credentials, Secret

SID = "AC" + "0a" * 16
KEY = "SK" + "1B" * 16


def secret_file(folder: Path, content: bytes = b"from-file\n", mode: int = 0o600) -> Path:
    path = folder / "secret"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_an_auth_token_comes_from_the_variable_that_is_named() -> None:
    table = {"sid": SID, "auth_token": {"env": "MAIN_TOKEN"}}
    assert account_from_table(table, {"MAIN_TOKEN": "t0ken"}, resolve=True) == Account(
        SID, Credentials(SID, Secret("t0ken"))
    )


def test_an_api_key_comes_with_a_secret_from_a_private_file_without_its_line_end(tmp_path: Path) -> None:
    table = {"sid": SID, "api_key": KEY, "api_secret": {"file": str(secret_file(tmp_path))}}
    assert account_from_table(table, {}, resolve=True) == Account(SID, Credentials(KEY, Secret("from-file")))


def test_without_resolving_only_the_form_is_judged() -> None:
    assert account_from_table({"sid": SID, "auth_token": {"env": "NOT_SET"}}, {}, resolve=False) is None
    table = {"sid": SID, "api_key": KEY, "api_secret": {"file": "/nowhere"}}
    assert account_from_table(table, {}, resolve=False) is None


@pytest.mark.parametrize(
    ("table", "key", "message"),
    [
        ({}, "sid", "expected AC and 32 hexadecimal digits"),
        ({"sid": "AC../../x"}, "sid", "expected AC and 32 hexadecimal digits and not 'AC../../x'"),
        ({"sid": "hunter2"}, "sid", "expected AC and 32 hexadecimal digits"),
        ({"sid": SID}, "auth_token", "expected either auth_token, or api_key with api_secret"),
        (
            {"sid": SID, "auth_token": {"env": "X"}, "api_key": KEY},
            "auth_token",
            "expected either auth_token, or api_key with api_secret",
        ),
        ({"sid": SID, "api_key": "hunter2"}, "api_key", "expected SK and 32 hexadecimal digits"),
        ({"sid": SID, "api_key": KEY}, "api_key", "expected api_secret beside it"),
        (
            {"sid": SID, "auth_token": "hunter2"},
            "auth_token",
            'a secret is not written into the file: use { env = "NAME" } or { file = "PATH" }',
        ),
        (
            {"sid": SID, "auth_token": {"env": "A", "file": "b"}},
            "auth_token",
            'expected { env = "NAME" } or { file = "PATH" }',
        ),
        ({"sid": SID, "auth_token": {"env": ""}}, "auth_token", "expected a text that is not empty after env"),
        ({"sid": SID, "auth_token": {"env": "NOT_SET"}}, "auth_token", "the environment variable NOT_SET is not set"),
        (
            {"sid": SID, "auth_token": {"env": "hunter2"}},
            "auth_token",
            "the environment variable that it names is not set",
        ),
    ],
)
def test_a_wrong_table_is_told_by_key_and_without_the_secret(table: dict[str, object], key: str, message: str) -> None:
    with pytest.raises(AccountProblem) as caught:
        account_from_table(table, {}, resolve=True)
    assert (caught.value.key, str(caught.value)) == (key, message)
    assert "hunter2" not in repr(caught.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_secrets_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = secret_file(tmp_path, mode=mode)
    table = {"sid": SID, "auth_token": {"file": str(path)}}
    with pytest.raises(AccountProblem, match="can be read by others: run chmod 600 on it"):
        account_from_table(table, {}, resolve=True)


def test_a_secrets_file_behind_a_link_or_no_file_at_all_is_refused(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(secret_file(tmp_path))
    for path, reason in [
        (link, "it is a symbolic link"),
        (tmp_path / "none", "No such file or directory"),
        (tmp_path, "it is no regular file"),
    ]:
        with pytest.raises(AccountProblem, match=reason):
            account_from_table({"sid": SID, "auth_token": {"file": str(path)}}, {}, resolve=True)


@pytest.mark.parametrize("content", [b"", b"\n", b"two\nlines\n", b"tab\there", b"x" * 5000, b"\xff\xfe"])
def test_a_secret_that_cannot_be_one_is_refused_without_showing_it(tmp_path: Path, content: bytes) -> None:
    path = secret_file(tmp_path, content)
    with pytest.raises(AccountProblem) as caught:
        account_from_table({"sid": SID, "auth_token": {"file": str(path)}}, {}, resolve=True)
    told = str(caught.value)
    assert told.endswith("is not text") or told == "the secret is empty, too long, or holds a control character"


def test_the_environment_names_one_account_and_an_api_key_goes_first() -> None:
    token = {"TWILIO_ACCOUNT_SID": SID, "TWILIO_AUTH_TOKEN": "t0ken"}
    assert account_from_environment(token) == Account(SID, Credentials(SID, Secret("t0ken")))
    both = {**token, "TWILIO_API_KEY": KEY, "TWILIO_API_SECRET": "s3cret"}
    assert account_from_environment(both) == Account(SID, Credentials(KEY, Secret("s3cret")))


@pytest.mark.parametrize(
    ("environ", "key"),
    [
        ({}, "TWILIO_ACCOUNT_SID"),
        ({"TWILIO_ACCOUNT_SID": "nonsense"}, "TWILIO_ACCOUNT_SID"),
        ({"TWILIO_ACCOUNT_SID": SID}, "TWILIO_AUTH_TOKEN"),
        ({"TWILIO_ACCOUNT_SID": SID, "TWILIO_API_KEY": KEY}, "TWILIO_API_SECRET"),
        ({"TWILIO_ACCOUNT_SID": SID, "TWILIO_API_SECRET": "s"}, "TWILIO_API_KEY"),
    ],
)
def test_what_the_environment_lacks_is_named(environ: dict[str, str], key: str) -> None:
    with pytest.raises(AccountProblem) as caught:
        account_from_environment(environ)
    assert caught.value.key == key


@pytest.mark.parametrize(
    "text", ["", "AC", SID + "0", SID[:-1] + "g", "ac" + SID[2:], None, SID + "\n", "AC/../" + "0" * 28]
)
def test_only_an_account_sid_is_one(text: object) -> None:
    assert is_account_sid(SID)
    assert not is_account_sid(text)
