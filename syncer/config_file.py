"""The config file as TOML, and where in it a key stands. Reads one file; judges nothing but whether it is TOML."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

CONFIG_BYTES_MAX = 1024 * 1024


class ConfigFile:
    """What the file holds; empty when there is none, or when it cannot be read, which ``problem`` then says."""

    def __init__(self, path: Path | None) -> None:
        self.problem = ""
        self._path = path
        self._text = self._read(path) if path else ""
        self.tables: dict[str, object] = self._parse()

    def place(self, key: str, table_number: int = 0) -> str:
        """Where a key is set, as the start of a sentence; in the n-th ``[[accounts]]`` table if asked."""
        line = _line_of(self._text, key, table_number)
        return f"{self._path}, line {line}: " if line else f"{self._path}: "

    def _read(self, path: Path) -> str:
        try:
            with open(path, "rb") as file:
                content = file.read(CONFIG_BYTES_MAX + 1)
            if len(content) > CONFIG_BYTES_MAX:
                self.problem = f"the config file {path} is longer than {CONFIG_BYTES_MAX} bytes"
                return ""
            return content.decode("utf-8-sig")
        except OSError as error:
            self.problem = f"the config file {path} cannot be read: {error.strerror}"
        except UnicodeDecodeError:
            self.problem = f"the config file {path} is not UTF-8 text"
        return ""

    def _parse(self) -> dict[str, object]:
        try:
            return tomllib.loads(self._text)
        except tomllib.TOMLDecodeError as error:
            # Of the parser's own words only the place is repeated: they can quote a line that holds a secret.
            line = re.search(r"at line (\d+), column \d+", str(error))
            self.problem = f"{self._path}{f', line {line[1]}' if line else ''}: this is not valid TOML"
            return {}


def _line_of(text: str, key: str, table_number: int) -> int:
    """The line that sets a key, 0 if it is not found: the TOML parser does not tell."""
    table = 0
    for number, line in enumerate(text.splitlines(), 1):
        table += line.replace(" ", "").startswith("[[accounts]]")
        if table >= table_number and re.match(rf"\s*\[*\s*[\"']?{re.escape(key)}[\"']?\s*[=\]]", line):
            return number
    return 0
