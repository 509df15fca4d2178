"""Numbers as they were written, and values too deep to be written again."""

from __future__ import annotations

import sys

import pytest

from syncer.errors import ContractBroken
from syncer.snapshot.exact import one_line


def test_a_value_on_one_line_keeps_its_numbers() -> None:
    assert one_line(b'{ "a": [1, 2.50],\n "b": 18446744073709551616 }') == b'{"a":[1,2.50],"b":18446744073709551616}'
    assert one_line(b'{ "a" : 1 }') == b'{"a":1}'


@pytest.mark.parametrize("number", ["1", "1.5"])
def test_a_value_nested_too_deeply_is_refused(number: str) -> None:
    depth = min(1000, sys.getrecursionlimit())
    with pytest.raises(ContractBroken, match="nested deeper"):
        one_line(("[" * depth + number + "]" * depth).encode())
