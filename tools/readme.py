"""Puts the program's own help into README.md (the command line's) and docs/commands.md (every command's).

Tests compare them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
COMMANDS = ROOT / "docs" / "commands.md"
HEAD = "# The commands\n\nWhat each one's `--help` says. `make readme` writes this page.\n"


def help_block(command: str) -> str:
    """The block for one command, with its help as it is now."""
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1"}
    arguments = [sys.executable, "-m", *command.split(), "--help"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True, env=environment)
    return f"```\n$ {command} --help\n{done.stdout}```"


def command_names(block: str) -> list[str]:
    """The commands that the help of the whole program lists, in its order."""
    return re.findall(r"^    ([a-z]+)(?: |$)", block.partition("commands:")[2], re.M)


if __name__ == "__main__":
    whole = help_block("syncer")
    text = README.read_text(encoding="utf-8")
    README.write_text(re.sub(r"```\n\$ syncer --help\n.*?```", lambda _: whole, text, flags=re.S), encoding="utf-8")
    sections = [f"\n## {name}\n\n{help_block(f'syncer {name}')}\n" for name in command_names(whole)]
    COMMANDS.write_text(HEAD + "".join(sections), encoding="utf-8")
