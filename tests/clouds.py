"""Object stores on loopback for tests: moto's S3 server from PyPI, Azurite's blob service from npm. Real processes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path

CANARY = "canary-5b1f-cloud-secret"
AZURE_ACCOUNT = "devstoreaccount1"
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Azurite's own account and key: public, in its documentation."""
BUCKET = "exports"


@dataclass(frozen=True)
class Cloud:
    """A running store with one bucket, and the environment that leads to it."""

    uri: str
    env: dict[str, str]
    endpoint: str


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def s3_env(endpoint: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "AKIDTEST",
        "AWS_SECRET_ACCESS_KEY": CANARY,
        "AWS_REGION": "us-east-1",
    }


@contextmanager
def s3() -> Iterator[Cloud]:
    """moto, with one bucket. It keeps objects in memory and heeds If-Match and If-None-Match."""
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    with _served([sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], port):
        _request(f"{endpoint}/{BUCKET}", {})
        yield Cloud(f"s3://{BUCKET}/nightly", s3_env(endpoint), endpoint)


def find_azurite() -> str | None:
    """The program, where the checks have put it or on the path; None when it is not to be had."""
    return os.environ.get("AZURITE_BLOB") or shutil.which("azurite-blob")


@contextmanager
def azure() -> Iterator[Cloud]:
    """Azurite, with one container; it phones home unless it is told not to."""
    program, port = find_azurite(), free_port()
    assert program is not None
    endpoint = f"http://127.0.0.1:{port}/{AZURE_ACCOUNT}"
    command = [program, "--blobHost", "127.0.0.1", "--blobPort", str(port), "--inMemoryPersistence", "--silent"]
    with _served([*command, "--disableTelemetry", "--skipApiVersionCheck"], port):
        _request(f"{endpoint}/{BUCKET}?restype=container", _azure_headers())
        env = {
            "AZURE_STORAGE_ACCOUNT_NAME": AZURE_ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": AZURE_KEY,
            "AZURE_STORAGE_ENDPOINT": endpoint,
        }
        yield Cloud(f"az://{BUCKET}/nightly", env, endpoint)


def _azure_headers() -> dict[str, str]:
    """Shared Key authorization of the one request that makes the container."""
    date = formatdate(usegmt=True)
    canonical = (
        f"x-ms-date:{date}\nx-ms-version:2021-12-02\n/{AZURE_ACCOUNT}/{AZURE_ACCOUNT}/{BUCKET}\nrestype:container"
    )
    text = "PUT" + "\n" * 5 + "text/plain" + "\n" * 7 + canonical
    signature = base64.b64encode(hmac.digest(base64.b64decode(AZURE_KEY), text.encode(), hashlib.sha256)).decode()
    return {
        "x-ms-date": date,
        "x-ms-version": "2021-12-02",
        "Content-Type": "text/plain",
        "Authorization": f"SharedKey {AZURE_ACCOUNT}:{signature}",
    }


def _request(url: str, headers: dict[str, str]) -> None:
    with urllib.request.urlopen(urllib.request.Request(url, b"", headers, method="PUT"), timeout=30) as answer:
        answer.read()


@contextmanager
def _served(command: list[str], port: int) -> Iterator[None]:
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=Path(tempfile.gettempdir()))
        try:
            _await_port(process, port)
            yield
        finally:
            process.kill()
            process.wait(10)


def _await_port(process: subprocess.Popen[bytes], port: int) -> None:
    give_up_at = time.monotonic() + 30
    while True:
        assert process.poll() is None, "the store's server has ended"
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert time.monotonic() < give_up_at, "the store's server does not listen"
            time.sleep(0.05)
