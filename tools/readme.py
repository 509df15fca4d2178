"""Puts the program's own help into the blocks of README.md that show it. A test compares them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"


def help_block(match: re.Match[str]) -> str:
    """The block for one command, with its help as it is now."""
    command = [sys.executable, "-m", *match[1].split()]
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return f"```\n$ {match[1]}\n{done.stdout}```"


if __name__ == "__main__":
    text = README.read_text(encoding="utf-8")
    README.write_text(re.sub(r"```\n\$ (syncer[ a-z]* --help)\n.*?```", help_block, text, flags=re.S), encoding="utf-8")
