"""One part, read again from its first byte to its last: absent, faulty, or what the manifest says."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from syncer.model import Check
from syncer.snapshot.manifest import FileFacts
from syncer.snapshot.part_readers import Ids, PartFault, check_bytes, check_counts
from syncer.snapshot.store import FileMissing, Store
from syncer.snapshot.verify_files import absence


def check_part(store: Store, facts: FileFacts, ids: Ids, read: Callable[[BinaryIO], None], noun: str) -> Check:
    """The part's check, named by its path; ``noun`` is what its rows are called.

    ``read`` takes all rows and adds them to ``ids``; it may raise PartFault, and what it took until then counts.
    """
    try:
        with store.open(facts.path) as file:
            check_bytes(file, facts)
            read(file)
            check_counts(ids, facts)
    except PartFault as fault:
        return Check(facts.path, False, f"the part {fault}")
    except FileMissing:
        return Check(facts.path, False, f"the part {absence(store, facts.path)}")
    return Check(facts.path, True, f"{facts.rows} {noun}, {facts.bytes} bytes, sha256 as in the manifest")
