"""The name that was most likely meant by one that does not exist. Pure: no I/O.

A guess that is far off helps nobody: a name is offered when it begins with what was given, or differs by a slip.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_PREFIX_CHARACTERS_MIN = 3
_LIKENESS_MIN = 0.8
"""Two letters swapped in one of five, or one of four that is missing."""


def closest_name(given: str, known: Iterable[str]) -> str | None:
    """The known name that is most like the one given, if one is; dashes at the front do not count."""
    bare = {name.lstrip("-"): name for name in sorted(known)}
    wanted = given.lstrip("-").replace("_", "-" if given.startswith("-") else "_")
    begun = [name for name in bare if len(wanted) >= _PREFIX_CHARACTERS_MIN and name.startswith(wanted)]
    meant = difflib.get_close_matches(wanted, begun or bare, 1, 0.0 if begun else _LIKENESS_MIN)
    return bare[meant[0]] if meant else None
