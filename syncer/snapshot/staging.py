"""Where a snapshot is put together, out of every reader's sight, and the choice of its id."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from syncer.errors import DataRefused, LockHeld, SnapshotMismatch, StorageFailed
from syncer.model import PageRecord
from syncer.snapshot import layout
from syncer.snapshot.changes import ChangesSink
from syncer.snapshot.erased_ids import IsErased
from syncer.snapshot.files import HashingFile
from syncer.snapshot.layout import FORMATS, Format
from syncer.snapshot.manifest import Manifest, PageIndexFacts, RejectsFacts
from syncer.snapshot.pages import write_page_index
from syncer.snapshot.reading import read_users
from syncer.snapshot.sinks import Sink, SinkOptions
from syncer.snapshot.store import Store
from syncer.snapshot.tree_file import TreeSink


def reserve_snapshot_id(store: Store, account_sid: str, started_at: datetime, *, after: str | None = None) -> str:
    """The id of a run that starts now, moved on by a second while that one is taken; claimed by its staging folder.

    It comes ``after`` that of the last snapshot, even when the clock has been set back: the newest is found by name.
    """
    chosen = layout.snapshot_id(started_at)
    if after is not None:
        chosen = max(chosen, layout.next_snapshot_id(after))
    while _is_taken(store, account_sid, chosen) or not store.claim_staging(layout.staging_folder(account_sid, chosen)):
        chosen = layout.next_snapshot_id(chosen)
    return chosen


def _is_taken(store: Store, account_sid: str, snapshot_id: str) -> bool:
    folders = [layout.partition_folder(form, account_sid, snapshot_id) for form in FORMATS]
    folders += [layout.manifest_path(account_sid, snapshot_id), layout.changes_folder(account_sid, snapshot_id)]
    folders.append(layout.pruned_path(account_sid, snapshot_id))  # its place in the chain is its for good
    return any(map(store.exists, folders))


class Staging:
    """One snapshot's staging folder. ``begin`` first; whatever a killed try left in it is gone then."""

    def __init__(self, store: Store, account_sid: str, snapshot_id: str) -> None:
        self.store = store
        self.account_sid = account_sid
        self.snapshot_id = snapshot_id
        self.folder = layout.staging_folder(account_sid, snapshot_id)

    def begin(self) -> None:
        """An empty folder. Raises LockHeld when another run has taken the id meanwhile."""
        if not self.store.empty_staging(self.folder):
            raise LockHeld(
                f"another run has taken the snapshot id {self.snapshot_id} of account {self.account_sid}",
                hint="run again with --fresh",
            )

    def sinks(self, formats: Sequence[Format], options: SinkOptions) -> list[Sink]:
        """A sink for each format, in the contract's order of formats."""
        return [self._sink(form, options) for form in FORMATS if form in formats]

    def write_page_index(self, records: Iterable[PageRecord]) -> PageIndexFacts:
        """``pages.parquet``, from pages in list order."""
        path = self.store.staging_path(self.pages)
        return write_page_index(records, path, layout.page_index_path(self.account_sid, self.snapshot_id))

    def tree_sink(self) -> TreeSink:
        """For the hash tree, to be fed with the rows of the parts."""
        return TreeSink(self.store.staging_path(self.tree), layout.tree_path(self.account_sid, self.snapshot_id))

    def changes_sink(self, previous: Manifest, is_erased: IsErased | None = None) -> ChangesSink:
        """For the changes since a snapshot, to be fed with the rows of the parts."""
        self.store.claim_staging(self.changes)
        return ChangesSink(
            _comparable(read_users(self.store, previous)),
            previous.snapshot_id,
            self.store.staging_path(self.changes),
            layout.changes_folder(self.account_sid, self.snapshot_id),
            is_erased=is_erased,
        )

    def write_rejects(self, lines: Iterable[bytes]) -> RejectsFacts:
        """The rejects file, a line each with its line end; no file when there are none."""
        file: HashingFile | None = None
        count = 0
        try:
            for line in lines:
                file = file or HashingFile(self.store.staging_path(self.rejects))
                file.write(line)
                count += 1
            if file is None:
                return RejectsFacts()
            file.close()
        except BaseException:
            if file is not None:
                file.abandon()
            raise
        return RejectsFacts(count, layout.rejects_path(self.account_sid, self.snapshot_id), file.bytes, file.sha256)

    def parts(self, form: Format) -> str:
        """Where the parts of a format are staged."""
        return f"{self.folder}/{form}"

    @property
    def pages(self) -> str:
        """Where the page index is staged."""
        return f"{self.folder}/pages.parquet"

    @property
    def tree(self) -> str:
        """Where the hash tree is staged."""
        return f"{self.folder}/tree.parquet"

    @property
    def changes(self) -> str:
        """Where the changes are staged."""
        return f"{self.folder}/changes"

    @property
    def rejects(self) -> str:
        """Where the rejects are staged."""
        return f"{self.folder}/rejects.ndjson"

    def _sink(self, form: Format, options: SinkOptions) -> Sink:
        self.store.claim_staging(self.parts(form))
        final = layout.partition_folder(form, self.account_sid, self.snapshot_id)
        return Sink(form, self.store.staging_path(self.parts(form)), final, options)


def _comparable(users: Iterator[Any]) -> Iterator[Any]:
    """The previous snapshot's users; what is wrong with them is said as what it means for tonight."""
    try:
        yield from users
    except (SnapshotMismatch, StorageFailed) as error:
        raise DataRefused(
            f"the changes since the previous snapshot cannot be told: {error.message}",
            hint="nothing was published; progress is kept, run again without --changes",
        ) from None
