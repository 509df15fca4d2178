"""Which fields the users have that the schema does not know, out of ``extra``: for runs that were resumed.

A run that is not resumed knows them from its encoder, at a tenth of the cost.
"""

from __future__ import annotations

from typing import Any

import orjson
import pyarrow.compute as pc

from syncer.snapshot.columns import FIELDS_MAX


class FieldNames:
    """Takes rows in order; ``names`` are those met."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._seen: set[str] = set()

    @property
    def names(self) -> tuple[str, ...]:
        """Sorted; at most ``FIELDS_MAX``."""
        return tuple(sorted(self._names))

    def write(self, frame: Any) -> None:
        """Some more rows."""
        extra = frame.column("extra")
        if extra.null_count == len(extra) or len(self._names) >= FIELDS_MAX:
            return
        texts = [text for text in pc.unique(extra).to_pylist() if text is not None and text not in self._seen]
        if len(texts) == 1:  # the usual case is one text for everyone: remember it
            self._seen = {texts[0]}
        found = set().union(*orjson.loads(f"[{','.join(texts)}]"))
        for name in sorted(found - self._names)[: FIELDS_MAX - len(self._names)]:
            self._names.add(name)

    def abandon(self) -> None:
        """Nothing was begun."""
