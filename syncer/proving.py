"""From a finished crawl to staged files that are known to be everything: blocking work, done in the run's thread.

The proof reads page records; what users stand where comes from the merge, which writes the parts in the same pass.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from syncer.crawl.crawler import ListUnstable
from syncer.crawl.proof import Coverage, find_order, prove_coverage
from syncer.crawl.recorded_pages import rejects_lines
from syncer.crawl.repeats import Repeats, find_displaced, judge_repeats
from syncer.crawl.spool import PageRepeated, Spool
from syncer.crawl.spool_tables import SortedPage
from syncer.errors import CoverageNotProven
from syncer.model import Check, counted
from syncer.snapshot.erased_ids import IsErased, ids_in
from syncer.snapshot.fetched import FetchedUser
from syncer.snapshot.fields import FieldNames
from syncer.snapshot.files import dropped_on_failure
from syncer.snapshot.gone import Gone, GoneUsers
from syncer.snapshot.layout import Format
from syncer.snapshot.left_out import LeftOut, erased_of, named_by_pages
from syncer.snapshot.manifest import ChangesFacts, FileFacts, Manifest, Order, PageIndexFacts, RejectsFacts, TreeFacts
from syncer.snapshot.merge import Merge, MergeFacts
from syncer.snapshot.payload import unpack
from syncer.snapshot.sinks import SinkOptions, write_parts
from syncer.snapshot.staging import Staging

DISPLACED_MAX = 16
"""Users looked for one by one in the pages around them; the first that is found decides."""


@dataclass(frozen=True, slots=True)
class StagingTask:
    """What is to be written, and where."""

    staging: Staging
    formats: tuple[Format, ...]
    options: SinkOptions
    with_lines: bool
    work_dir: Path
    stoppable: Callable[[Iterable[Any]], Iterable[Any]]
    previous: Manifest | None = None
    """The snapshot before, to look for users that are gone."""
    with_changes: bool = False
    gone_ids_max: int = 0
    """How many ids of vanished users are to be named."""
    fields: tuple[str, ...] | None = None
    """Names of unknown fields, where the run knows them; None: to be found."""
    added: tuple[FetchedUser, ...] = ()
    """Users that were fetched one by one because no page held them."""
    is_erased: IsErased | None = None
    """Whether a user is in the account's erasure ledger; None when nobody ever was erased."""


@dataclass(frozen=True, slots=True)
class Proven:
    """Everything a manifest needs to know of a run that is complete."""

    coverage: Coverage
    order: Order
    merged: MergeFacts
    """What the list served."""
    left_out: LeftOut
    """What of it was kept: everything but erased users."""
    repeats: Repeats
    files: tuple[FileFacts, ...]
    tree: TreeFacts
    page_index: PageIndexFacts
    rejects: RejectsFacts
    fields: tuple[str, ...]
    added: int
    gone: Gone | None
    changes: ChangesFacts | None
    knows_erased: bool = False
    """Whether there was an erasure ledger to ask."""
    places: str = ""
    """What a look back at some pages showed, in words."""

    def checks(self) -> tuple[Check, ...]:
        """What was tested, in words, for the manifest."""
        served = self.coverage.users_served
        twice = served - self.coverage.rejects - (self.merged.users - self.added)
        moved = self.repeats.moved_users
        stable = f"{moved} users moved while the list was read" if moved else "no user moved"
        checks = (
            *self.coverage.checks,
            Check(
                "unique",
                True,
                f"{counted(served, 'user')} served, {twice:,} of them twice at stitches or moved, each kept once",
            ),
            Check("stable_places", True, f"{stable}; {self.places}" if self.places else stable),
            *((Check("vanished", True, _gone_words(self.gone)),) if self.gone else ()),
            *((Check("erased", True, _erased_words(self.left_out.rows)),) if self.knows_erased else ()),
        )
        return tuple(map(self.left_out.check, checks))


def stage_and_prove(spool: Spool, task: StagingTask) -> Proven:
    """Raises CoverageNotProven, or one of its kinds that the caller can answer by walking again."""
    coverage = prove_coverage(spool.pages())
    if coverage.verdict != "complete":
        raise CoverageNotProven(
            f"coverage is not proven: {coverage.reasons[0]}", hint="nothing was published; run again with --fresh"
        )
    order = find_order(spool.pages())
    task.staging.begin()
    left_out = LeftOut(_find_erased(spool, task), frozenset(user.id for user in task.added))
    left_out.note(spool.pages())
    merge = Merge(_all_pages(spool, task), lambda page: _load(spool, task, page), work_dir=task.work_dir)
    fields, store = FieldNames() if task.fields is None else None, task.staging.store
    gone = GoneUsers(store, task.previous, task.gone_ids_max, task.is_erased) if task.previous else None
    changes = task.staging.changes_sink(task.previous, task.is_erased) if task.previous and task.with_changes else None
    sinks, tree_sink = task.staging.sinks(task.formats, task.options), task.staging.tree_sink()
    beside = [sink for sink in (tree_sink, fields, gone, changes) if sink is not None]
    with dropped_on_failure(beside):
        files = write_parts(left_out.kept(task.stoppable(merge.tables())), sinks, task.options, beside)
        tree = tree_sink.finish()
        changed = changes.finish() if changes else None
    repeats = _judge(spool, task, merge.facts, coverage)
    index = task.staging.write_page_index(left_out.pages(spool.pages()))
    rejects = task.staging.write_rejects(left_out.lines(rejects_lines(spool.rejects())))
    return Proven(
        coverage,
        order,
        merge.facts,
        left_out,
        repeats,
        files,
        tree,
        index,
        rejects,
        fields.names if fields else task.fields or (),
        len(task.added),
        gone.finish() if gone else None,
        changed,
        knows_erased=task.is_erased is not None,
    )


def _find_erased(spool: Spool, task: StagingTask) -> frozenset[str]:
    """Erased users that anything in the spool names. Reads it once more, half a second a million users."""
    if task.is_erased is None:
        return frozenset()
    held = erased_of(named_by_pages(spool.pages()), task.is_erased)
    held |= erased_of((i for line in rejects_lines(spool.rejects()) for i in ids_in(line)), task.is_erased)
    for page in task.stoppable(spool.sorted_pages()):
        held |= erased_of(_load(spool, task, page).column("id").to_pylist(), task.is_erased)
    return held


def _all_pages(spool: Spool, task: StagingTask) -> Iterator[SortedPage]:
    """The pages of the spool, and each added user as a page of its own, numbered from -1 down."""
    added = [SortedPage(-1 - n, -1, n, 0, user.id, user.id) for n, user in enumerate(task.added)]
    return heapq.merge(spool.sorted_pages(), added, key=lambda page: page.min_id) if added else spool.sorted_pages()


def _gone_words(gone: Gone) -> str:
    if gone.unreadable:
        return f"cannot be told: {gone.unreadable}"
    purged = f"; {gone.purged} more had a tombstone" if gone.purged else ""
    vanished = f"{counted(gone.vanished, 'user')}" if gone.vanished else "no user"
    return f"{vanished} of the last snapshot gone without a tombstone{purged}"


def _erased_words(rows: int) -> str:
    return f"{counted(rows, 'erased user')} served again, and left out" if rows else "no erased user was served"


def _judge(spool: Spool, task: StagingTask, merged: MergeFacts, coverage: Coverage) -> Repeats:
    last_pages = spool.last_pages()
    repeats = judge_repeats(merged.repeats, last_pages, coverage.path)
    unstable = repeats.unstable
    for user_id in find_displaced(spool.stretches(), last_pages)[:DISPLACED_MAX]:
        if any(_holds(spool, task, page, user_id) for page in spool.pages_around(user_id)):
            unstable = "a page token that followed one user last time follows another now, and both are in the list"
    if unstable:
        raise ListUnstable(f"the list's order is not stable: {unstable}", hint="run again with --sequential")
    if repeats.suspect_stretches:
        raise PageRepeated(repeats.suspect_stretches[0])
    return repeats


def _load(spool: Spool, task: StagingTask, page: SortedPage) -> Any:
    if page.page < 0:
        return task.added[page.sequence].batch
    return unpack(spool.payload(page), with_lines=task.with_lines)


def _holds(spool: Spool, task: StagingTask, page: SortedPage, user_id: str) -> bool:
    ids: list[str] = _load(spool, task, page).column("id").to_pylist()
    return user_id in ids
