"""The erasure ledger as readers of snapshots consult it: an erased user in a copy that was restored is noticed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from syncer.errors import DataRefused

IsErased = Callable[[str], bool]


def refusing_erased(batches: Iterable[Any], is_erased: IsErased | None, snapshot_id: str, kept: str) -> Iterator[Any]:
    """The same batches. Raises DataRefused at a user that was to be erased everywhere; ``kept`` says what was not done.

    Costs half a second a million users where there is a ledger, and nothing where there is none.
    """
    for batch in batches:
        if is_erased is not None:
            refuse_erased(batch.column("id").to_pylist(), is_erased, snapshot_id, kept)
        yield batch


def refuse_erased(ids: Iterable[str], is_erased: IsErased | None, snapshot_id: str, kept: str) -> None:
    """Raises DataRefused when any of the ids of a snapshot was erased."""
    if is_erased is not None and any(map(is_erased, ids)):
        raise DataRefused(
            f"snapshot {snapshot_id} holds users that were erased",
            hint=f"{kept}; run `syncer erase` without ids, which erases them in every snapshot",
        )
