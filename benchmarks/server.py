"""nginx as an ordinary process on loopback: the server that is measured against is nobody's here.

Its configuration, logs and password file live in a folder of their own; it is stopped when the block ends.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ACCOUNT_SID = "AC" + "b" * 32
AUTH_TOKEN = "benchmark-only"
PACKAGE = "nginx-light"
_READY_SECONDS = 10.0

_CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
worker_rlimit_nofile 4096;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 100000000;
  keepalive_timeout 3600s;
  open_file_cache max=20000 inactive=600s;
  large_client_header_buffers 4 16k;
  types {{ application/json json; }}
  default_type application/json;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  map $arg_pageToken $page {{ "" first; "~^(?<token>[A-Za-z0-9_-]+)$" $token; default unknown; }}
  server {{
    listen 127.0.0.1:{port};
    root {pages};
    auth_basic "syncer benchmark";
    auth_basic_user_file {folder}/passwords;
    location = /v1/PushNotifications/Users {{ try_files /$page.json =400; }}
    location / {{ return 404; }}
  }}
}}
"""


class ServerMissing(Exception):
    """nginx is neither installed nor could it be."""


@contextmanager
def serving(pages: Path, folder: Path) -> Iterator[str]:
    """Serve a folder of pages; the base URL. One process, one core."""
    binary = nginx_binary()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    port = _free_port()
    (folder / "nginx.conf").write_text(_CONFIGURATION.format(folder=folder, pages=pages.resolve(), port=port))
    (folder / "passwords").write_text(f"{ACCOUNT_SID}:{{PLAIN}}{AUTH_TOKEN}\n")
    process = subprocess.Popen([binary, "-p", folder, "-c", folder / "nginx.conf"], stderr=subprocess.DEVNULL)
    try:
        _wait_until_open(port, process, folder)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


@contextmanager
def serving_slowly(
    pages: Path, folder: Path, latency_seconds: float, rate: float = 0.0
) -> Iterator[tuple[str, dict[str, int]]]:
    """Serve with a latency, and a limit on the rate; the base URL, and a dict that holds the counts when it ends."""
    folder.mkdir(parents=True, exist_ok=True)
    counts = folder / "counts.json"
    program = Path(__file__).with_name("slow_server.py")
    command = [sys.executable, program, pages, str(latency_seconds), str(rate), counts]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    counted: dict[str, int] = {}
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1", counted
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)
        counted.update(json.loads(counts.read_text()))


def nginx_binary() -> str:
    """Where nginx is; installed from Debian's packages when it is not there and this user may."""
    if found := shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"):
        return found
    if os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "install", "--yes", "--quiet", PACKAGE], check=False, stdout=subprocess.DEVNULL)
        if found := shutil.which("nginx"):
            return found
    raise ServerMissing(f"the benchmark needs nginx: apt-get install {PACKAGE}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_open(port: int, process: subprocess.Popen[bytes], folder: Path) -> None:
    give_up_at = time.monotonic() + _READY_SECONDS
    while time.monotonic() < give_up_at and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise ServerMissing(f"nginx does not start: {(folder / 'error.log').read_text()[-400:]}")
