"""Is a result complete? Compares the ids below a folder, in Parquet or in lines, with the pages. Prints JSON.

python check.py PAGES_FOLDER RESULT_FOLDER
"""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.pages import page_files


def main(pages: str, result: str) -> None:
    """Ids in order, hashed, from both sides; and the bytes of each format."""
    expected = digest(listed_ids(Path(pages)))
    found: dict[str, Any] = {}
    for kind, ids in results(Path(result)):
        rows, sha256 = digest(sorted(ids))
        found[kind] = {"rows": rows, "complete": (rows, sha256) == expected}
    parquet = data_files(Path(result), ".parquet")
    found["parquet_bytes"] = sum(path.stat().st_size for path in parquet)
    print(json.dumps({"users": expected[0], **found}))


def listed_ids(folder: Path) -> Iterator[str]:
    """Every id of the list; the generator writes them in ascending order."""
    for path in page_files(folder):
        for user in orjson.loads(path.read_bytes())["users"]:
            yield user["id"]


def results(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """The ids that each format holds."""
    if parquet := data_files(folder, ".parquet"):
        yield "parquet", [i for path in parquet for i in parquet_ids(path)]
    lines = [path for end in (".jsonl", ".ndjson") for path in data_files(folder, end) if path.stat().st_size]
    if lines:
        yield "lines", [i for path in lines for i in line_ids(path)]


def data_files(folder: Path, suffix: str) -> list[Path]:
    """Files with users: neither bookkeeping nor page indexes."""
    found = [path for path in folder.rglob(f"*{suffix}*") if path.name not in ("pages.parquet", "tree.parquet")]
    return sorted(path for path in found if not any(part.startswith("_") for part in path.relative_to(folder).parts))


def parquet_ids(path: Path) -> list[str]:
    """The id column of one file."""
    ids: list[str] = pq.ParquetFile(path).read(columns=["id"]).column("id").to_pylist()
    return ids


def line_ids(path: Path) -> Iterator[str]:
    """The ids of one file of JSON lines, in whatever envelope the tool writes."""
    for line in open_lines(path):
        parsed = orjson.loads(line)
        if isinstance(parsed.get("record"), dict):  # Airbyte's message
            parsed = parsed["record"]["data"]
        if "id" in parsed:
            yield parsed["id"]


def open_lines(path: Path) -> Iterable[bytes]:
    """Lines of a file as it is, or through gzip or zstd."""
    if path.name.endswith(".gz"):
        return gzip.open(path)
    if path.name.endswith(".zst"):
        return pa.CompressedInputStream(str(path), "zstd").read().splitlines()  # type: ignore[no-any-return]
    return path.open("rb")


def digest(ids: Iterable[str]) -> tuple[int, str]:
    """How many, and one hash over all."""
    sha256, rows = hashlib.sha256(), 0
    for user_id in ids:
        sha256.update(user_id.encode())
        rows += 1
    return rows, sha256.hexdigest()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
