"""Snapshots to load: published as an export publishes, with the pages that prove them, of as many users as wanted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from syncer.model import Check, PageRecord, Token
from syncer.snapshot.columns import LINE_SCHEMA, TIME, USER_SCHEMA
from syncer.snapshot.layout import Format
from syncer.snapshot.local_store import LocalStore
from syncer.snapshot.manifest import CrawlFacts, Manifest, Tool
from syncer.snapshot.publish import publish
from syncer.snapshot.sinks import SinkOptions, write_parts
from syncer.snapshot.staging import Staging
from tests.snapshot_data import ACCOUNT, crawl_facts

FIRST, SECOND, THIRD = "20261121T020000Z", "20261122T020000Z", "20261123T020000Z"
_ROWS_AT_ONCE = 16_384
_PAGE = 1000
_BEGIN = 1_600_000_000_000_000


def publish_users(
    destination: Path,
    users: int,
    snapshot_id: str = FIRST,
    *,
    changed_each: int = 0,
    skipped_each: int = 0,
    formats: Sequence[Format] = ("parquet",),
    account_sid: str = ACCOUNT,
    options: SinkOptions | None = None,
) -> Manifest:
    """Publish a snapshot of users number 0, 1, 2 …: every ``changed_each``-th was updated, every ``skipped_each``-th
    is not in it; 0 means none. Every 7th is deleted, every 11th has an ``extra``."""
    numbers = [n for n in range(users) if not (skipped_each and n % skipped_each == 0)]
    options = options or SinkOptions()
    store = LocalStore(destination)
    staging = Staging(store, account_sid, snapshot_id)
    staging.begin()
    tables = (
        users_table(numbers[at : at + _ROWS_AT_ONCE], changed_each, with_lines="ndjson" in formats)
        for at in range(0, len(numbers), _ROWS_AT_ONCE)
    )
    files = write_parts(tables, staging.sinks(formats, options), options)
    index = staging.write_page_index(_pages(numbers))
    manifest = Manifest(
        snapshot_id=snapshot_id,
        account_sid=account_sid,
        started_at="2026-11-21T02:00:00Z",
        finished_at="2026-11-21T02:01:00Z",
        users=len(numbers),
        deleted_users=sum(n % 7 == 0 for n in numbers),
        files=files,
        page_index=index,
        crawl=_crawl(index.rows),
        checks=(Check("chain", True, "as it should be"),),
        previous=None,
        tool=Tool("syncer", "0.1.0"),
        rejects=staging.write_rejects(()),
        formats=tuple(formats),
        parquet_profile=options.parquet_profile,
        ndjson_compression=options.ndjson_compression,
    )
    publish(store, manifest)
    return manifest


def users_table(numbers: Sequence[int], changed_each: int = 0, *, with_lines: bool = False) -> Any:
    """Users by number, as the merge gives them."""
    created = [_BEGIN + n * 1_000_000 for n in numbers]
    later = [86_400_000_000 if changed_each and n % changed_each == 0 else 0 for n in numbers]
    updated = [t + more for t, more in zip(created, later, strict=True)]
    deleted = [t if n % 7 == 0 else None for n, t in zip(numbers, updated, strict=True)]
    columns = [
        pa.array(map(user_id, numbers), pa.string(), size=len(numbers)),
        pa.array(created, pa.int64()).cast(TIME),
        pa.array(updated, pa.int64()).cast(TIME),
        pa.array(deleted, pa.int64()).cast(TIME),
        pa.array(('{"plan":"ü\'"}' if n % 11 == 0 else None for n in numbers), pa.string(), size=len(numbers)),
    ]
    if not with_lines:
        return pa.table(columns, schema=USER_SCHEMA)
    line = '{"id":"%s","createdAt":"2020-09-13T12:26:40Z","updatedAt":"2020-09-13T12:26:40Z"}\n'
    lines = ((line % user_id(n)).encode() for n in numbers)
    return pa.table([*columns, pa.array(lines, pa.binary(), size=len(numbers))], schema=LINE_SCHEMA)


def user_id(number: int) -> str:
    """Ascending with the number; most of it as random as real ids are."""
    chance = hashlib.blake2b(number.to_bytes(8, "big"), digest_size=8).hexdigest()
    return f"comms_pushnotificationuser_{number:010d}{chance}"


def _pages(numbers: Sequence[int]) -> Iterator[PageRecord]:
    count = max(1, -(-len(numbers) // _PAGE))
    for page in range(count):
        ids = [user_id(n) for n in numbers[page * _PAGE : (page + 1) * _PAGE]]
        yield PageRecord(
            stretch=0,
            sequence=page,
            asked=page,
            token=Token(f"T{page}") if page else None,
            next=Token(f"T{page + 1}") if page + 1 < count else None,
            end=None if page + 1 < count else "null",
            page_size=_PAGE,
            users=len(ids),
            rejects=0,
            first_id=ids[0] if ids else None,
            last_id=ids[-1] if ids else None,
            min_id=ids[0] if ids else None,
            max_id=ids[-1] if ids else None,
            digest=hashlib.sha256("\n".join(ids).encode()).digest(),
            ending=None if page + 1 < count else "end",
        )


def _crawl(pages: int) -> CrawlFacts:
    return replace(crawl_facts(pages), order="ascending")
