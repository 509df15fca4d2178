"""Does a snapshot match its manifest? Every file is read again, as a stream; nothing is changed.

Whether its pages prove coverage is the crawl's question; this room says whether the page index is the one that was
published, whether the users are those of its pages, and whether anything else lies where readers look.
"""

from __future__ import annotations

from datetime import datetime

from syncer.model import Check
from syncer.snapshot import layout
from syncer.snapshot.chain import check_previous
from syncer.snapshot.layout import Format
from syncer.snapshot.manifest import Manifest
from syncer.snapshot.page_cover import PageCover
from syncer.snapshot.store import Store
from syncer.snapshot.verify_changes import check_changes
from syncer.snapshot.verify_files import check_copy, check_folders, check_rejects, check_tree_file, verdict
from syncer.snapshot.verify_pages import check_cover, check_sums, page_spans, read_index
from syncer.snapshot.verify_rows import (
    Reading,
    check_formats_agree,
    check_reconciliation,
    check_tree,
    check_users,
    read_format,
)


def verify_snapshot(store: Store, account_sid: str, manifest: Manifest) -> list[Check]:
    """Every check by name: a part's check has its path as name. Memory grows with the pages only, 150 bytes each.

    Raises StorageFailed when the store cannot be read at all; whatever is missing or wrong is a failed check.
    """
    checks = [_check_manifest(account_sid, manifest), check_folders(store, manifest)]
    index, index_check = read_index(store, manifest)
    cover = PageCover(page_spans(index), manifest.crawl.moved_users) if index else None
    readings: dict[Format, Reading] = {}
    for form in manifest.formats:
        readings[form] = read_format(store, manifest, form, cover if not readings else None)
        checks += readings[form].checks
        checks.append(check_users(manifest, form, readings[form]))
        checks.append(check_tree(manifest, form, readings[form]))
    if len(readings) > 1:
        checks.append(check_formats_agree(list(readings.values())))
    first = next(iter(readings.values()), None)
    checks += [index_check, *check_tree_file(store, manifest, first.leaves if first else None)]
    if index and cover and first:
        checks.append(check_sums(manifest, index))
        checks.append(check_cover(cover, is_whole=first.is_whole))
    checks += check_reconciliation(manifest, list(readings.values()))
    checks += check_changes(store, manifest)
    checks += [*check_rejects(store, manifest), *check_copy(store, manifest)]
    return [*checks, check_previous(store, manifest)]


def _check_manifest(account_sid: str, manifest: Manifest) -> Check:
    problems = []
    if manifest.account_sid != account_sid:
        problems.append("it is of another account")
    if manifest.verdict != "complete":
        problems.append(f"its verdict is {manifest.verdict}")
    if failed := [check.name for check in manifest.checks if not check.ok]:
        problems.append(f"it was published with failed checks: {', '.join(failed)}")
    if not manifest.formats or {facts.format for facts in manifest.files} != set(manifest.formats):
        problems.append("its files are not of its formats")
    if len(set(manifest.formats)) != len(manifest.formats):
        problems.append("it names a format twice")
    problems += _misplaced(account_sid, manifest)
    began, ended = map(datetime.fromisoformat, (manifest.started_at, manifest.finished_at))
    if not began.replace(microsecond=0) <= min(ended, layout.snapshot_time(manifest.snapshot_id)):
        problems.append("its times do not agree with its id")
    return verdict("manifest", problems, "reads well and is complete")


def _misplaced(account_sid: str, manifest: Manifest) -> list[str]:
    """Parts that are not in the snapshot's folder, or not called as parts are: readers pass over some names."""
    numbers: dict[Format, int] = {}
    problems = []
    for facts in manifest.files:
        number = numbers[facts.format] = numbers.get(facts.format, -1) + 1
        folder, _, name = facts.path.rpartition("/")
        if folder != layout.partition_folder(facts.format, account_sid, manifest.snapshot_id):
            problems.append(f"{facts.path} is not in the snapshot's folder")
        elif name != layout.part_name(facts.format, number, manifest.ndjson_compression):
            problems.append(f"{facts.path} is not the name of part {number}")
    return problems
