"""Real processes for tests: an emulator on loopback, and syncer as a person or a cron job would call it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

SID = "AC" + "0123456789abcdef" * 2
SECRET = "canary-3f9c1d7e-secret"


@dataclass(frozen=True)
class Emulator:
    """A running emulator."""

    url: str
    process: subprocess.Popen[str]

    @property
    def control_url(self) -> str:
        return self.url.removesuffix("/v1") + "/emulator"

    def log(self) -> list[dict[str, Any]]:
        """Every request it has seen."""
        with urllib.request.urlopen(f"{self.control_url}/log", timeout=30) as answer:
            return [json.loads(line) for line in answer.read().splitlines()]

    def stats(self) -> dict[str, Any]:
        """The sums of what it has seen."""
        with urllib.request.urlopen(f"{self.control_url}/stats", timeout=30) as answer:
            return dict(json.loads(answer.read()))

    def truth(self) -> list[dict[str, Any]]:
        """Every user as it would be served now, in id order."""
        with urllib.request.urlopen(f"{self.control_url}/truth", timeout=60) as answer:
            return [json.loads(line) for line in answer.read().splitlines()]

    def change(self, **changes: object) -> dict[str, Any]:
        """Create, update or delete users."""
        return self._post("changes", changes)

    def fail(self, *faults: dict[str, object]) -> None:
        """Queue faults for the next requests, or from the one numbered ``at`` on."""
        self._post("faults", {"faults": faults})

    def _post(self, where: str, body: object) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{self.control_url}/{where}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return dict(json.loads(answer.read()))

    def lists(self) -> list[dict[str, Any]]:
        """List requests it has seen."""
        return [entry for entry in self.log() if entry["method"] == "GET" and entry["path"].endswith("/Users")]


def environment(**more: str) -> dict[str, str]:
    """A clean environment with credentials."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TWILIO_", "SYNCER_"))}
    return {**kept, "TWILIO_ACCOUNT_SID": SID, "TWILIO_AUTH_TOKEN": SECRET, "NO_COLOR": "1", **more}


@contextmanager
def emulator(*flags: str) -> Iterator[Emulator]:
    """An emulator process, ended afterwards."""
    command = [sys.executable, "-m", "syncer", "emulator", "--port", "0", *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment())
    try:
        assert process.stdout is not None
        yield Emulator(process.stdout.readline().strip(), process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


def syncer(*args: str, timeout: float = 120, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "syncer", *args], capture_output=True, text=True, timeout=timeout, env=environment(**env)
    )


def start_syncer(*args: str, **env: str) -> subprocess.Popen[str]:
    """Start a command, to be interrupted."""
    return subprocess.Popen(
        [sys.executable, "-m", "syncer", *args],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(**env),
    )  # fmt: skip


def export_flags(url: str, folder: Path, *more: str) -> list[str]:
    """The flags every export of a test needs; a high rate, so that the emulator is the limit."""
    return [
        "export", "--base-url", url, "--destination", str(folder / "exports"), "--state-dir", str(folder / "state"),
        "--rate", "10000", "--json", "--progress", "never", *more,
    ]  # fmt: skip


def export(url: str, folder: Path, *more: str, code: int = 0, **env: str) -> dict[str, Any]:
    """Export and return the printed JSON."""
    done = syncer(*export_flags(url, folder, *more), **env)
    assert done.returncode == code, f"exit {done.returncode}\n{done.stderr}"
    return dict(json.loads(done.stdout)) if done.stdout else {}


def unpacked(data: bytes) -> bytes:
    """The content of zstd frames, by another library than the one that packed them."""
    return zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read()


def data_files(folder: Path) -> dict[str, bytes]:
    """The data files of the newest snapshot, by format and name."""
    found = {}
    for manifest in sorted((folder / "exports").glob("snapshots/*/*/manifest.json"))[-1:]:
        for file in json.loads(manifest.read_bytes())["files"]:
            path = folder / "exports" / file["path"]
            found[f"{file['format']}/{path.name}"] = path.read_bytes()
    return found
