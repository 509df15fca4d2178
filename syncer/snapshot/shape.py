"""Strict reading of parsed JSON: each wish either gives the right type or names the key that is wrong. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

_Choice = TypeVar("_Choice", bound=str)
_SHA256 = re.compile("[0-9a-f]{64}")


class ShapeFault(Exception):
    """A key that is missing or has the wrong type; the message names it."""


class Shape:
    """An object of a JSON document and where it stands in it."""

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise ShapeFault(f"{where or 'the document'} is not an object")
        self._value: dict[str, Any] = value
        self._where = where

    def text(self, key: str) -> str:
        """A string."""
        return str(self._typed(key, str, "a string"))

    def optional_text(self, key: str) -> str | None:
        """A string or null."""
        return None if self.is_null(key) else self.text(key)

    def integer(self, key: str) -> int:
        """A whole number from 0."""
        value = self._typed(key, int, "a whole number")
        if isinstance(value, bool) or value < 0:
            raise ShapeFault(f"{self.name_of(key)} is not a whole number from 0")
        return int(value)

    def truth(self, key: str) -> bool:
        """True or false."""
        return bool(self._typed(key, bool, "true or false"))

    def sha256(self, key: str) -> str:
        """A sha256 in lower-case hex."""
        if not _SHA256.fullmatch(text := self.text(key)):
            raise ShapeFault(f"{self.name_of(key)} is not a sha256 in hex")
        return text

    def time(self, key: str) -> str:
        """A time that knows its zone, as RFC 3339 writes it."""
        text = self.text(key)
        try:
            if (time := datetime.fromisoformat(text)).tzinfo is not None and time.astimezone(UTC):
                return text
        except (ValueError, OverflowError):
            pass
        raise ShapeFault(f"{self.name_of(key)} is not a time with its zone")

    def path(self, key: str) -> str:
        """A path relative to the destination that does not leave it."""
        text = self.text(key)
        if any(part in ("", ".", "..") for part in text.split("/")) or not text.isprintable():
            raise ShapeFault(f"{self.name_of(key)} is not a path below the destination")
        return text

    def choice(self, key: str, choices: Sequence[_Choice]) -> _Choice:
        """One of several words."""
        return self.choice_of(self.text(key), choices, key)

    def choice_of(self, text: str, choices: Sequence[_Choice], key: str) -> _Choice:
        """A word that was read from ``key`` already, as one of several."""
        for choice in choices:
            if choice == text:
                return choice
        raise ShapeFault(f"{self.name_of(key)} is not one of {', '.join(choices)}")

    def has(self, key: str) -> bool:
        """Whether the key is there: for those that came later than the first version."""
        return key in self._value

    def is_null(self, key: str) -> bool:
        """Whether the key is there with null."""
        return self._get(key) is None

    def object(self, key: str) -> Shape:
        """An object."""
        return Shape(self._get(key), self.name_of(key))

    def objects(self, key: str) -> list[Shape]:
        """A list of objects."""
        items = self._typed(key, list, "a list")
        return [Shape(item, f"{self.name_of(key)}[{index}]") for index, item in enumerate(items)]

    def texts(self, key: str) -> list[str]:
        """A list of strings."""
        items = self._typed(key, list, "a list")
        if not all(isinstance(item, str) for item in items):
            raise ShapeFault(f"{self.name_of(key)} is not a list of strings")
        return list(items)

    def names(self) -> list[str]:
        """Every key."""
        return list(self._value)

    def lists(self, key: str) -> list[list[Any]]:
        """A list of lists."""
        items = self._typed(key, list, "a list")
        if not all(isinstance(item, list) for item in items):
            raise ShapeFault(f"{self.name_of(key)} is not a list of lists")
        return list(items)

    def members(self) -> Iterator[tuple[str, Shape]]:
        """Every key with the object it names."""
        return ((key, self.object(key)) for key in self._value)

    def _typed(self, key: str, wanted: type, words: str) -> Any:
        value = self._get(key)
        if not isinstance(value, wanted):
            raise ShapeFault(f"{self.name_of(key)} is not {words}")
        return value

    def _get(self, key: str) -> Any:
        if key not in self._value:
            raise ShapeFault(f"{self.name_of(key)} is missing")
        return self._value[key]

    def name_of(self, key: str) -> str:
        """A key with the place where it stands, for a message."""
        return f"{self._where}.{key}" if self._where else key
