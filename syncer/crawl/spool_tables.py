"""The spool's tables, and what their rows mean. No I/O."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields
from typing import Any

from syncer.crawl.payload_file import Place
from syncer.crawl.stretch import Stretch
from syncer.model import PageRecord, Token

VERSION = 5
"""A spool of another version is emptied: its run begins anew."""
_PLACE = ("payload_at", "payload_bytes", "payload_checksum")
COUNTERS = ("requests", "retries", "throttled", "began_at")
"""Of the run, as they stood when a page was recorded, in the page's own row: a row of theirs would be one more page of
the log for each. None of them ever goes back."""
RECORD_FIELDS = tuple(f.name for f in fields(PageRecord))
COLUMNS = ", ".join(f'"{name}"' for name in RECORD_FIELDS)
SORTED_COLUMNS = ", ".join(("page", "stretch", "sequence", "asked", "min_id", "max_id", *_PLACE))
INSERT_PAGE = (
    f"INSERT INTO pages ({COLUMNS}, token_hash, {', '.join((*_PLACE, *COUNTERS))})"
    f" VALUES ({', '.join('?' * (len(RECORD_FIELDS) + 1 + len(_PLACE) + len(COUNTERS)))})"
)
LAST_COUNTERS = f"SELECT {', '.join(COUNTERS)} FROM pages ORDER BY page DESC LIMIT 1"
SET_NUMBERS = (
    "INSERT INTO run VALUES ('numbers', ?) ON CONFLICT (key) DO UPDATE SET value = json_patch(value, excluded.value)"
)
BY_MIN_ID = "CREATE INDEX IF NOT EXISTS pages_min_id ON pages (min_id, page) WHERE min_id IS NOT NULL"
"""Wanted once the walk is over: kept up while pages come, it would be one more page of the log for each of them."""
STRETCHES = (
    "SELECT s.stretch, entry, planned_pages, first_ids, p.sequence, p.next, p.ending, p.stitch, after_id, p.last_id"
    " FROM stretches s LEFT JOIN pages p ON p.stretch = s.stretch AND p.sequence ="
    " (SELECT max(sequence) FROM pages WHERE stretch = s.stretch) ORDER BY s.stretch"
)

# Each commit writes the pages that it changed to the log, a handful of indexes' ends: small pages write less.
# 512 KiB of cache hold the indexes of some ten million users; with SQLite's own 2 MB an export of five million peaked
# 6 MiB higher, and was no faster.
SETTINGS = """
PRAGMA page_size = 1024;
PRAGMA cache_size = -512;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
PRAGMA wal_autocheckpoint = 0;
"""
# All tables are made in one transaction: one sync of the disk, not one for each.
TABLES = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS run (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS stretches (
  stretch INTEGER PRIMARY KEY, entry TEXT, planned_pages INTEGER, after_id TEXT,
  rewalked INTEGER NOT NULL DEFAULT 0, first_ids TEXT NOT NULL DEFAULT '[]');
CREATE TABLE IF NOT EXISTS pages (
  page INTEGER PRIMARY KEY, stretch INTEGER NOT NULL, sequence INTEGER NOT NULL, asked INTEGER NOT NULL,
  token TEXT, next TEXT, "end" TEXT, page_size INTEGER NOT NULL, users INTEGER NOT NULL, rejects INTEGER NOT NULL,
  first_id TEXT, last_id TEXT, min_id TEXT, max_id TEXT, digest BLOB NOT NULL,
  ending TEXT, stitch INTEGER, stitch_id TEXT, token_hash INTEGER,
  payload_at INTEGER NOT NULL, payload_bytes INTEGER NOT NULL, payload_checksum INTEGER NOT NULL,
  requests INTEGER NOT NULL, retries INTEGER NOT NULL, throttled INTEGER NOT NULL, began_at INTEGER NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS pages_place ON pages (stretch, sequence);
CREATE UNIQUE INDEX IF NOT EXISTS pages_token ON pages (stretch, token_hash);
CREATE UNIQUE INDEX IF NOT EXISTS pages_digest ON pages (stretch, digest) WHERE min_id IS NOT NULL;
CREATE TABLE IF NOT EXISTS rejects (page INTEGER, row INTEGER, reason TEXT, body BLOB, PRIMARY KEY (page, row)) WITHOUT
ROWID;
PRAGMA user_version = {VERSION};
COMMIT;
"""

NOWHERE = Place(0, 0, 0)


@dataclass(frozen=True, slots=True)
class SortedPage:
    """A page with users, as the merge wants it: pages come in order of ``min_id``."""

    page: int
    stretch: int
    sequence: int
    asked: int
    min_id: str
    max_id: str
    place: Place = NOWHERE


def sorted_page(row: tuple[Any, ...]) -> SortedPage:
    """From ``SORTED_COLUMNS``."""
    page, stretch, sequence, asked, min_id, max_id, *place = row
    return SortedPage(page, stretch, sequence, asked, min_id, max_id, Place(*place))


def stretch_of(row: tuple[Any, ...]) -> Stretch:
    """From ``STRETCHES``: as it stands, ready to go on."""
    index, entry, planned_pages, first_ids, sequence, following, ending, stitch, after, last_id = row
    stretch = Stretch(
        index, entry, planned_pages, entry, first_ids=list(json.loads(first_ids)), after=after, last_id=last_id
    )
    if sequence is not None:
        stretch.sequence, stretch.next = sequence + 1, following
    if ending is not None:
        stretch.status, stretch.stitch, stretch.ending = "ended", stitch, ending
    return stretch


def token_hash(token: Token | None) -> int | None:
    """What tells tokens apart in an index."""
    if token is None:
        return None
    return int.from_bytes(hashlib.sha256(token.encode()).digest()[:8], "big", signed=True)
