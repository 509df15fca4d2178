"""A snapshot's users as a stream in order of ids, from whichever of its formats is cheapest to read.

Memory does not grow with the users. What is damaged or out of order is an error, never a shorter stream.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import orjson
import pyarrow as pa

from syncer.errors import ContractBroken, SnapshotMismatch
from syncer.model import Page
from syncer.snapshot.columns import USER_SCHEMA, make_encoder
from syncer.snapshot.manifest import FileFacts, Manifest
from syncer.snapshot.part_readers import Ids, PartFault, check_counts, read_ndjson, read_parquet
from syncer.snapshot.store import FileMissing, Store


def read_users(store: Store, manifest: Manifest, columns: Sequence[str] = tuple(USER_SCHEMA.names)) -> Iterator[Any]:
    """Record batches with these columns, ids strictly ascending over all of them; ``columns`` begin with ``id``.

    Raises SnapshotMismatch that names the part which is missing, damaged, out of order or of another length.
    """
    form = "parquet" if "parquet" in manifest.formats else "ndjson"
    largest: str | None = None
    for facts in manifest.files:
        if facts.format != form:
            continue
        part = Ids(after=largest)
        try:
            with store.open(facts.path) as file:
                for batch in read_part(file, facts, manifest, columns):
                    if batch.num_rows:
                        part.add(batch.column("id"), 0)
                        yield batch
                check_counts(part, facts)
        except PartFault as fault:
            raise _mismatch(f"{facts.path} {fault}") from None
        except FileMissing:
            raise _mismatch(f"{facts.path} is not there") from None
        largest = part.largest


def read_part(
    file: BinaryIO, facts: FileFacts, manifest: Manifest, columns: Sequence[str] = tuple(USER_SCHEMA.names)
) -> Iterator[Any]:
    """Record batches of one part, either format, its order not checked. Raises PartFault."""
    if facts.format == "parquet":
        return read_parquet(file, columns)
    return (_columns(lines, columns) for lines in read_ndjson(file, manifest.ndjson_compression))


def _columns(lines: list[bytes], columns: Sequence[str]) -> Any:
    """Lines as the columns that an export makes of them, so that both formats of a snapshot read alike."""
    body = b'{"users":[%s]}' % b",".join(lines)
    try:
        users = orjson.loads(body)["users"]
        encoded = make_encoder(with_lines=False)(Page(users, None, "null", body))
    except (orjson.JSONDecodeError, ContractBroken):
        raise PartFault("holds a line that is not a user") from None
    if encoded.rejects or len(users) != len(lines):
        raise PartFault("holds a line that is not a user")
    batch: Any = encoded.batch
    return pa.RecordBatch.from_arrays(
        [batch.column(name) for name in columns], schema=pa.schema([USER_SCHEMA.field(name) for name in columns])
    )


def _mismatch(sentence: str) -> SnapshotMismatch:
    return SnapshotMismatch(sentence, hint="`syncer verify` names all that is wrong; restore the files from a copy")
