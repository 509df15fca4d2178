"""The emulator as a process."""

import argparse
import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from syncer.commands import emulator as command
from syncer.emulator.options import CREDENTIALS_VARIABLE, Options
from syncer.emulator.run import run
from tests.emulator_client import basic

ROOT = Path(__file__).parent.parent


@contextlib.asynccontextmanager
async def process(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "syncer.emulator", *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(20):
            yield started
    finally:
        with contextlib.suppress(ProcessLookupError):
            started.kill()
        await started.wait()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
async def test_the_first_line_is_the_url_and_a_signal_ends_it(number: signal.Signals, code: int) -> None:
    async with process("--users", "100000000") as started:
        assert started.stdout is not None
        url = (await started.stdout.readline()).decode().strip()
        assert url.startswith("http://127.0.0.1:")
        assert url.endswith("/v1")
        async with (
            aiohttp.ClientSession(headers={"Authorization": basic()}) as session,
            session.get(f"{url}/PushNotifications/Users") as response,
        ):
            assert len((await response.json())["users"]) == 50
        started.send_signal(number)
        assert await started.wait() == code
        assert await started.stdout.read() == b""


def test_what_keeps_it_from_starting_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run(Options(port=port)) == 2
    told = f"syncer: error: the emulator cannot listen on 127.0.0.1 port {port}: address already in use\n"
    assert capsys.readouterr().err == told
    assert run(Options(host="no.such.host.invalid")) == 2
    assert capsys.readouterr().err.startswith(
        "syncer: error: the emulator cannot listen on no.such.host.invalid port 0: "
    )
    assert run(Options(log_file=str(tmp_path / "none" / "log"))) == 2
    told = f"syncer: error: the emulator cannot write {tmp_path / 'none' / 'log'}: no such file or directory\n"
    assert capsys.readouterr().err == told


def test_the_command_refuses_unreadable_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(CREDENTIALS_VARIABLE, raising=False)
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    args = parser.parse_args(["emulator", "--credentials-file", str(tmp_path / "none")])
    assert args.run(args) == 2
    assert "credentials cannot be read" in capsys.readouterr().err


def test_the_command_serves_what_its_arguments_say(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        args = parser.parse_args(["emulator", "--port", str(taken.getsockname()[1])])
        assert args.run(args) == 2
    assert "cannot listen" in capsys.readouterr().err


async def test_wrong_credentials_are_told_as_usage(tmp_path: Path) -> None:
    path = tmp_path / "credentials"
    path.write_text("AC1\n")
    async with process("--credentials-file", str(path)) as started:
        assert await started.wait() == 2
