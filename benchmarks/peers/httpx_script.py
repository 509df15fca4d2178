"""A careful script: httpx, orjson, pyarrow, one row group for 32 pages.   python httpx_script.py URL FOLDER"""

import os
import sys

import httpx
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

url, folder = sys.argv[1:]
TIME = pa.timestamp("us", "UTC")
TEXTS = pa.schema([(name, pa.string()) for name in ("id", "createdAt", "updatedAt", "deletedAt")])
TYPES = pa.schema([("id", pa.string()), ("createdAt", TIME), ("updatedAt", TIME), ("deletedAt", TIME)])
auth = (os.environ["TWILIO_ACCOUNT_SID"], os.environ["TWILIO_AUTH_TOKEN"])
with (
    httpx.Client(auth=auth, timeout=60) as client,
    pq.ParquetWriter(f"{folder}/users.parquet", TYPES, compression="zstd") as writer,
):
    waiting, token = [], None
    while True:
        params = {"pageSize": 1000} | ({"pageToken": token} if token else {})
        answer = client.get(f"{url}/PushNotifications/Users", params=params)
        answer.raise_for_status()
        page = orjson.loads(answer.content)
        waiting.append(pa.Table.from_pylist(page["users"], TEXTS).cast(TYPES))
        token = page["pagination"]["next"]
        if len(waiting) == 32 or not token:
            writer.write_table(pa.concat_tables(waiting))
            waiting = []
        if not token:
            break
