"""The floor: the same pages from local files, made columns, written as the same Parquet. No HTTP, no guarantees.

python floor.py PAGES_FOLDER PARQUET_FILE
"""

from __future__ import annotations

import os
import sys
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

GROUP_PAGES = 33
TIME = pa.timestamp("us", "UTC")
SCHEMA: Any = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("created_at", TIME, nullable=False),
        pa.field("updated_at", TIME, nullable=False),
        pa.field("deleted_at", TIME),
        pa.field("extra", pa.string()),
    ]
)


class Writer:
    """Pages become one Parquet file."""

    def __init__(self, target: str) -> None:
        self.users = 0
        self._waiting: list[Any] = []
        self._file = open(target, "wb", buffering=0)  # noqa: SIM115  # closed with the writer
        self._parquet = pq.ParquetWriter(
            self._file,
            SCHEMA,
            compression="zstd",
            compression_level={"id": 1, "created_at": 3, "updated_at": 3, "deleted_at": 3, "extra": 1},
            use_dictionary=["extra"],
            column_encoding=dict.fromkeys(("id", "created_at", "updated_at", "deleted_at"), "PLAIN"),
            write_page_checksum=True,
            write_page_index=True,
            sorting_columns=[pq.SortingColumn(0)],
        )

    def add(self, body: bytes) -> str | None:
        """One page; the token of the next one."""
        parsed = orjson.loads(body)
        self._waiting.append(columns(parsed["users"]))
        self.users += self._waiting[-1].num_rows
        following: str | None = parsed["pagination"]["next"]
        if len(self._waiting) == GROUP_PAGES or not following:
            self._parquet.write_table(pa.Table.from_batches(self._waiting), row_group_size=1 << 20)
            self._waiting = []
        return following

    def close(self) -> None:
        """End the file, on the disk."""
        self._parquet.close()
        os.fsync(self._file.fileno())
        self._file.close()


def main(folder: str, target: str) -> int:
    """Follow the tokens through the files; the number of users."""
    writer, name = Writer(target), "first"
    while name:
        with open(f"{folder}/{name}.json", "rb", buffering=0) as page:
            name = writer.add(page.read()) or ""
    writer.close()
    return writer.users


def columns(users: list[dict[str, Any]]) -> Any:
    """A page as a record batch."""
    return pa.RecordBatch.from_arrays(
        [
            pa.array([user["id"] for user in users], pa.string()),
            pa.array([user["createdAt"] for user in users], pa.string()).cast(TIME),
            pa.array([user["updatedAt"] for user in users], pa.string()).cast(TIME),
            pa.array([user["deletedAt"] for user in users], pa.string()).cast(TIME),
            pa.nulls(len(users), pa.string()),
        ],
        schema=SCHEMA,
    )


if __name__ == "__main__":
    print(main(sys.argv[1], sys.argv[2]))
