"""What is said of an export whose snapshot was rewritten because erased users were served again."""

from __future__ import annotations

import pytest

from syncer.commands.erasing import _notes
from syncer.run import CHANGES_NOTE

LEFT_OUT = "no changes were written beside it, as they named who was left out: `syncer diff` tells them"


@pytest.mark.parametrize(
    ("notes", "held", "expected"),
    [
        (("a",), 1, ("a", "1 erased user was served again, and left out of the snapshot")),
        ((), 3, ("3 erased users were served again, and left out of the snapshot",)),
        (
            (f"{CHANGES_NOTE}20261124T020000Z: 3 created", "b"),
            2,
            ("b", "2 erased users were served again, and left out of the snapshot", LEFT_OUT),
        ),
    ],
)
def test_a_note_on_changes_that_are_no_longer_there_is_taken_back(
    notes: tuple[str, ...], held: int, expected: tuple[str, ...]
) -> None:
    assert _notes(notes, held) == expected
