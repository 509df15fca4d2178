"""Is what is staged what the manifest says? A writer's word that it has written is not enough.

Looks at each file in staging, or at its final place, where a try that was killed has put it.
"""

from __future__ import annotations

from syncer.errors import DataRefused
from syncer.snapshot.manifest import FileFacts, Manifest
from syncer.snapshot.part_readers import Ids, PartFault, check_bytes, check_counts, count_lines, hash_file, read_parquet
from syncer.snapshot.staging import Staging
from syncer.snapshot.store import Store


def check_staged(staging: Staging, manifest: Manifest) -> None:
    """Re-open everything. Raises DataRefused for what is not as the manifest says, FileMissing for what is absent."""
    for form in manifest.formats:
        deleted, largest_id = 0, None
        for facts in manifest.files:
            if facts.format == form:
                part = _check_part(staging, facts, manifest, largest_id)
                deleted, largest_id = deleted + part.deleted, part.largest
        if form == "parquet" and deleted != manifest.deleted_users:
            raise DataRefused(f"the staged parts hold {deleted} deleted users instead of {manifest.deleted_users}")
        rows = sum(facts.rows for facts in manifest.files if facts.format == form)
        if rows != manifest.users:
            raise DataRefused(f"the staged {form} parts hold {rows} users instead of {manifest.users}")
    for facts in manifest.changes.files if manifest.changes else ():
        _check_small(staging, f"{staging.changes}/{facts.path.rpartition('/')[2]}", facts.path, facts.sha256)
    _check_small(staging, staging.pages, manifest.page_index.path, manifest.page_index.sha256)
    if manifest.tree:
        _check_small(staging, staging.tree, manifest.tree.path, manifest.tree.sha256)
    if manifest.rejects.path and manifest.rejects.sha256:
        _check_small(staging, staging.rejects, manifest.rejects.path, manifest.rejects.sha256)


def _check_part(staging: Staging, facts: FileFacts, manifest: Manifest, after: str | None) -> Ids:
    staged = f"{staging.parts(facts.format)}/{facts.path.rpartition('/')[2]}"
    part = Ids(after=after)
    try:
        with staging.store.open(_present(staging.store, staged, facts.path)) as file:
            check_bytes(file, facts)
            if facts.format == "parquet":
                for batch in read_parquet(file, ("id", "deleted_at")):
                    part.add(batch.column("id"), batch.num_rows - batch.column("deleted_at").null_count)
                check_counts(part, facts)
            else:  # its lines lay beside the Parquet rows in memory: counting them is enough, verify reads them
                _check_lines(count_lines(file, manifest.ndjson_compression), facts)
    except PartFault as fault:
        raise DataRefused(f"the staged part {facts.path} {fault}", hint="nothing was published; run again") from None
    return part


def _check_lines(lines: int, facts: FileFacts) -> None:
    if lines != facts.rows:
        raise PartFault(f"has {lines} rows instead of {facts.rows}")


def _check_small(staging: Staging, staged: str, final: str, sha256: str) -> None:
    with staging.store.open(_present(staging.store, staged, final)) as file:
        if hash_file(file)[1] != sha256:
            raise DataRefused(f"the staged file {final} has another sha256", hint="nothing was published; run again")


def _present(store: Store, staged: str, final: str) -> str:
    """A killed try may have placed it already."""
    return staged if store.exists(staged) else final
