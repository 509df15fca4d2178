"""The floor: the same pages from local files, made columns, written as the same Parquet. No HTTP, no guarantees.

python floor.py PAGES_FOLDER PARQUET_FILE
"""

from __future__ import annotations

import os
import sys
from typing import Any, BinaryIO

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


def main(folder: str, target: str) -> int:
    """Follow the tokens through the files; the number of users."""
    users, name, waiting = 0, "first", []
    with open(target, "wb", buffering=0) as file:
        writer = parquet_writer(file)
        while name:
            with open(f"{folder}/{name}.json", "rb", buffering=0) as page:
                parsed = orjson.loads(page.read())
            waiting.append(columns(parsed["users"]))
            users += waiting[-1].num_rows
            name = parsed["pagination"]["next"]
            if len(waiting) == GROUP_PAGES or not name:
                writer.write_table(pa.Table.from_batches(waiting), row_group_size=1 << 20)
                waiting = []
        writer.close()
        os.fsync(file.fileno())
    return users


def parquet_writer(file: BinaryIO) -> Any:
    """As the export writes it."""
    return pq.ParquetWriter(
        file,
        SCHEMA,
        compression="zstd",
        compression_level={"id": 1, "created_at": 3, "updated_at": 3, "deleted_at": 3, "extra": 1},
        use_dictionary=["extra"],
        column_encoding=dict.fromkeys(("id", "created_at", "updated_at", "deleted_at"), "PLAIN"),
        write_page_checksum=True,
        write_page_index=True,
        sorting_columns=[pq.SortingColumn(0)],
    )


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
