"""`syncer.Client`: what people write their own jobs with."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import syncer
from syncer.errors import ContractBroken, CredentialsRefused, UsageError
from tests.emulator_client import ACCOUNT
from tests.processes import SECRET, environment
from tests.processes import emulator as emulator_process
from tests.wire_server import sends, wire_server, with_length

NOBODY = "comms_pushnotificationuser_" + "0" * 26


async def test_users_are_listed_fetched_and_deleted() -> None:
    with emulator_process("--users", "250", "--second-delete", "404", "--deleted", "gone") as service:
        truth = service.truth()
        async with syncer.Client(account_sid=ACCOUNT, auth_token="t", base_url=service.url, rate=1000) as client:
            assert [user async for user in client.users(page_size=100)] == truth
            assert await client.fetch(truth[0]["id"]) == truth[0]
            assert await client.fetch(NOBODY) is None
            deleted = await client.delete(truth[0]["id"])
            assert (deleted.outcome, deleted.resource_id, deleted.attempts) == ("accepted", truth[0]["id"], 1)
            assert (await client.delete(truth[0]["id"])).outcome == "already_absent"
            assert client.counters.requests == 7


async def test_whole_numbers_of_listed_users_are_exact() -> None:
    with emulator_process("--users", "3", "--extra-field") as service:
        async with syncer.Client(account_sid=ACCOUNT, auth_token="t", base_url=service.url, rate=1000) as client:
            users = [user async for user in client.users()]
    counters = [attributes["counter"] for user in users if isinstance(attributes := user["attributes"], dict)]
    assert counters == [123456789012345678901234567890] * 3


async def test_a_service_that_struggles_is_asked_for_less() -> None:
    with emulator_process("--users", "60", "--max-page-size-ok", "30") as service:
        async with syncer.Client(api_key="SK" + "1" * 32, api_secret="s", base_url=service.url, rate=1000) as client:
            assert len([user async for user in client.users(page_size=50)]) == 60


async def test_failures_are_exceptions_with_a_sentence() -> None:
    with emulator_process("--users", "5", "--forbidden") as service:
        async with syncer.Client(account_sid=ACCOUNT, auth_token=SECRET, base_url=service.url) as client:
            with pytest.raises(CredentialsRefused) as caught:
                await client.fetch(NOBODY)
    assert SECRET not in str(caught.value)
    with emulator_process("--users", "5") as service:
        async with syncer.Client(account_sid=ACCOUNT, auth_token=SECRET, base_url=service.url) as client:
            with pytest.raises(ContractBroken):
                await client.fetch("no-id")


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"account_sid": ACCOUNT},
        {"api_key": "SK" + "1" * 32},
        {"account_sid": ACCOUNT, "auth_token": "t", "api_key": "SK1", "api_secret": "s"},
    ],
)
def test_incomplete_credentials_are_refused(given: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="credentials"):
        syncer.Client(**given)  # type: ignore[arg-type]


async def test_a_client_that_is_not_open_says_so_and_shows_no_secret() -> None:
    client = syncer.Client(account_sid=ACCOUNT, auth_token=SECRET)
    with pytest.raises(UsageError, match="not open"):
        await client.fetch(NOBODY)
    assert SECRET not in repr(client)


def test_importing_syncer_loads_no_http_library() -> None:
    code = "import sys, syncer; assert 'aiohttp' not in sys.modules; syncer.Client; assert 'aiohttp' in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing_of_ours"):
        syncer.nothing_of_ours  # noqa: B018


async def test_fetched_json_is_what_was_served_byte_for_byte_and_long_numbers_are_exact() -> None:
    body = b'{ "id": "%s",\n "n": [1.10, 123456789012345678901234567890] }' % NOBODY.encode()
    async with wire_server(sends(with_length(body), keep=True)) as service:
        async with syncer.Client(account_sid=ACCOUNT, auth_token="t", base_url=service.url) as client:
            assert await client.fetch_json(NOBODY) == body
            user = await client.fetch(NOBODY)
            assert user is not None
            assert user["n"] == [1.1, 123456789012345678901234567890]
            with pytest.raises(ContractBroken, match="another user"):
                await client.fetch_json(NOBODY[:-1] + "1")


def test_the_example_of_the_page_for_python_works_as_it_stands() -> None:
    page = (Path(__file__).parent.parent / "docs" / "python.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.S)
    example = re.search(r"comms_pushnotificationuser_\w+", code)
    assert example is not None
    with emulator_process("--users", "30", "--deleted-share", "0") as service:
        ids = [user["id"] for user in service.truth()]
        code = code.replace(example[0], ids[3]).replace("rate=20,", f"base_url={service.url!r}, rate=1000,")
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment(), timeout=60
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[:30] == ids
    assert done.stdout.splitlines()[30].startswith("accepted ")
