from __future__ import annotations

import subprocess

import pytest

from syncer.commands.completion import SHELLS
from syncer.commands.main import main


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_completes_commands_and_options(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script, errors = capsys.readouterr()
    assert errors == ""
    for word in ("snapshots", "emulator", "page-size", "allow-shrink"):
        assert word in script


def test_bash_can_read_its_script(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bash"]) == 0
    done = subprocess.run(["bash", "-n"], input=capsys.readouterr().out, text=True, capture_output=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
