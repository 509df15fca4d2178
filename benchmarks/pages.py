"""Page files of a made-up list, from a seed: what the web server serves and the floor reads.

Standard library only, and nothing of syncer: the answers must not be shaped by the code that is measured. A page is a
file named by the token that asks for it; `first.json` is the page without a token. `done` is written last.
"""

from __future__ import annotations

import base64
import json
import random
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

SEED = 20261124
FIRST = "first"
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_STARTED_AT = datetime(2023, 1, 1, tzinfo=UTC)
_TOKEN_BYTES = 96
"""As long as the documented example's; base64 for URLs without padding, so that no client has to escape anything."""


def make_pages(root: Path, users: int, page_users: int = 1000, seed: int = SEED) -> Path:
    """The folder with a list of so many users; made once for the same arguments."""
    folder = root / f"{users}x{page_users}-{seed}"
    if (folder / "done").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rng = random.Random(seed)
    step = timedelta(days=1095) / max(users, 1)
    name = FIRST
    for start in range(0, max(users, 1), page_users):
        rows = [_user(rng, _STARTED_AT + step * row) for row in range(start, min(start + page_users, users))]
        follows = start + page_users < users
        token = base64.urlsafe_b64encode(rng.randbytes(_TOKEN_BYTES)).decode() if follows else None
        (folder / f"{name}.json").write_text(_page(rows, token, name), encoding="ascii")
        name = token or ""
    (folder / "done").write_text(json.dumps({"users": users, "page_users": page_users, "seed": seed}))
    return folder


def page_files(folder: Path) -> list[Path]:
    """The pages in list order."""
    files, name = [], FIRST
    while name:
        path = folder / f"{name}.json"
        files.append(path)
        tail = path.read_bytes()[-2048:]
        found = json.loads(b"{" + tail[tail.rindex(b'"pagination"') :])
        name = found["pagination"]["next"] or ""
    return files


def _user(rng: random.Random, created: datetime) -> str:
    updated = created + timedelta(seconds=rng.randrange(60_000_000))
    deleted = f'"{_time(updated)}"' if rng.random() < 0.03 else "null"
    return (
        f'{{"id":"comms_pushnotificationuser_{_type_id(rng, created)}","createdAt":"{_time(created)}",'
        f'"updatedAt":"{_time(updated)}","deletedAt":{deleted}}}'
    )


def _type_id(rng: random.Random, created: datetime) -> str:
    """Base32 of a version 7 UUID, as in the documented examples."""
    millis = int(created.timestamp() * 1000)
    number = millis << 80 | 7 << 76 | rng.getrandbits(12) << 64 | 2 << 62 | rng.getrandbits(62)
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _page(rows: list[str], token: str | None, name: str) -> str:
    following = f'"{token}"' if token else "null"
    itself = "" if name == FIRST else name
    return f'{{"users":[{",".join(rows)}],"pagination":{{"next":{following},"self":"{itself}"}}}}'
