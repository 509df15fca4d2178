"""Users, pages and whole snapshots for tests of the snapshot room."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from syncer.model import Check, EncodedPage, Page, PageRecord, Token
from syncer.snapshot.columns import make_encoder
from syncer.snapshot.files import dropped_on_failure
from syncer.snapshot.layout import Compression, Format, snapshot_time
from syncer.snapshot.local_store import LocalStore
from syncer.snapshot.manifest import CrawlFacts, Manifest, Previous, Tool
from syncer.snapshot.merge import Merge
from syncer.snapshot.sinks import SinkOptions, write_parts
from syncer.snapshot.staging import Staging
from syncer.snapshot.store import Store

ACCOUNT = "AC" + "0" * 32
STARTED = "2026-11-23T02:00:00Z"
SNAPSHOT = "20261123T020000Z"
SMALL = SinkOptions(part_rows=64, group_rows=16, frame_rows=8)
_RFC3339 = "%Y-%m-%dT%H:%M:%SZ"
_BASE32 = "0123456789abcdefghjkmnpqrstvwxyz"
User = dict[str, Any]


def base32(number: int, length: int) -> str:
    """Crockford's alphabet in lower case, the most significant character first."""
    return "".join(_BASE32[(number >> (5 * place)) & 31] for place in reversed(range(length)))


def rfc3339(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime(_RFC3339)


def make_users(count: int, seed: int = 1) -> list[User]:
    """Users with rising ids, as a list that is in order of creation holds them."""
    chance = random.Random(seed)
    milliseconds = 1_600_000_000_000
    users: list[User] = []
    for _ in range(count):
        milliseconds += chance.randrange(1, 6000)
        created = milliseconds // 1000
        updated = created + chance.randrange(400 * 86400)
        user_id = f"comms_pushnotificationuser_{base32(milliseconds, 10)}{base32(chance.getrandbits(80), 16)}"
        users.append(
            {
                "id": user_id,
                "createdAt": rfc3339(created),
                "updatedAt": rfc3339(updated),
                "deletedAt": rfc3339(updated) if chance.random() < 0.03 else None,
            }
        )
    return users


def make_page(users: Sequence[Any]) -> Page:
    """A page as the client hands it on."""
    body = orjson.dumps({"users": users, "pagination": {"next": None, "self": "S"}})
    return page_of(body)


def page_of(body: bytes) -> Page:
    """A page with exactly this body."""
    return Page(orjson.loads(body)["users"], None, "null", body)


@dataclass(frozen=True, slots=True)
class SpooledPage:
    """What the spool knows of a page, and its columns."""

    stretch: int
    sequence: int
    asked: int
    min_id: str
    max_id: str
    encoded: EncodedPage


def spool(stretches: Iterable[Sequence[Sequence[User]]], *, with_lines: bool = True) -> list[SpooledPage]:
    """Pages of stretches in the order that the merge wants; asked one after the other. Empty pages are left out."""
    encode = make_encoder(with_lines=with_lines)
    spooled: list[SpooledPage] = []
    asked = 0
    for stretch, pages in enumerate(stretches):
        for sequence, users in enumerate(pages):
            encoded = encode(make_page(users))
            if encoded.ids:
                ids = encoded.ids
                spooled.append(SpooledPage(stretch, sequence, asked, min(ids), max(ids), encoded))
            asked += 1
    return sorted(spooled, key=lambda page: page.min_id)


def chunked(users: Sequence[User], size: int) -> list[Sequence[User]]:
    return [users[at : at + size] for at in range(0, len(users), size)]


def merge(pages: Iterable[SpooledPage], work_dir: Path, pending_rows_max: int = 1_000_000) -> Merge[SpooledPage]:
    return Merge(pages, lambda page: page.encoded.batch, work_dir=work_dir, pending_rows_max=pending_rows_max)


def record_of(page: SpooledPage) -> PageRecord:
    ids = page.encoded.ids
    return PageRecord(
        stretch=page.stretch,
        sequence=page.sequence,
        asked=page.asked,
        token=Token(f"T{page.sequence}") if page.sequence else None,
        next=Token(f"T{page.sequence + 1}"),
        end=None,
        page_size=1000,
        users=page.encoded.users,
        rejects=len(page.encoded.rejects),
        first_id=ids[0],
        last_id=ids[-1],
        min_id=page.min_id,
        max_id=page.max_id,
        digest=page.encoded.digest,
    )


def stage_snapshot(
    store: Store,
    pages: Sequence[SpooledPage],
    *,
    snapshot_id: str = SNAPSHOT,
    formats: Sequence[Format] = ("parquet", "ndjson"),
    options: SinkOptions = SMALL,
    previous: Previous | None = None,
    rejects: Iterable[bytes] = (),
    finished_at: str | None = None,
    work_dir: Path | None = None,
    signed_by: str | None = None,
) -> Manifest:
    """Stage a snapshot as an export does, and say what its manifest will be: of a run of a minute."""
    started = snapshot_time(snapshot_id)
    staging = Staging(store, ACCOUNT, snapshot_id)
    staging.begin()
    merged = merge(pages, work_dir or store.staging_path(staging.folder) / "work")
    tree_sink = staging.tree_sink()
    with dropped_on_failure([tree_sink]):
        files = write_parts(merged.tables(), staging.sinks(formats, options), options, (tree_sink,))
        tree = tree_sink.finish()
    in_list_order = sorted(pages, key=lambda page: (page.stretch, page.sequence))
    index = staging.write_page_index(map(record_of, in_list_order))
    facts = merged.facts
    return Manifest(
        snapshot_id=snapshot_id,
        account_sid=ACCOUNT,
        started_at=started.strftime(_RFC3339),
        finished_at=finished_at or (started + timedelta(minutes=1)).strftime(_RFC3339),
        users=facts.users,
        deleted_users=facts.deleted_users,
        files=files,
        page_index=index,
        crawl=crawl_facts(len(pages), facts.overlap_users),
        checks=(Check("chain", True, "as it should be"),),
        previous=previous,
        tool=Tool("syncer", "0.1.0"),
        rejects=staging.write_rejects(rejects),
        formats=tuple(formats),
        ndjson_compression=options.ndjson_compression,
        parquet_profile=options.parquet_profile,
        tree=tree,
        signed_by=signed_by,
    )


def crawl_facts(pages: int, overlap_users: int = 0) -> CrawlFacts:
    return CrawlFacts(
        pages=pages,
        requests=pages,
        retries=0,
        throttled=0,
        walkers=1,
        entries_used=0,
        entries_refused=0,
        overlap_users=overlap_users,
        order="ascending",
        resumed=False,
    )


def local_store(root: Path) -> LocalStore:
    return LocalStore(root)


def tree(root: Path) -> dict[str, bytes]:
    """Every file below a folder with its content."""
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


COMPRESSIONS: tuple[Compression, ...] = ("zstd", "gzip", "none")
