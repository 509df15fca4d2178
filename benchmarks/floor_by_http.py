"""The floor over HTTP: its pages come by aiohttp, over one kept connection. Still no guarantees.

TWILIO_ACCOUNT_SID=... TWILIO_AUTH_TOKEN=... python -m benchmarks.floor_by_http BASE_URL PARQUET_FILE
"""

from __future__ import annotations

import asyncio
import os
import sys

import aiohttp
import orjson
import pyarrow as pa

from benchmarks.floor import GROUP_PAGES, columns, parquet_writer


async def main(url: str, target: str) -> int:
    """Follow the tokens; the number of users."""
    users, params, waiting = 0, {"pageSize": "1000"}, []
    login = aiohttp.encode_basic_auth(os.environ["TWILIO_ACCOUNT_SID"], os.environ["TWILIO_AUTH_TOKEN"])
    with open(target, "wb", buffering=0) as file:
        writer = parquet_writer(file)
        async with aiohttp.ClientSession(headers={"Authorization": login}, read_bufsize=1 << 19) as session:
            while params:
                async with session.get(f"{url}/PushNotifications/Users", params=params) as answer:
                    answer.raise_for_status()
                    parsed = orjson.loads(await answer.read())
                waiting.append(columns(parsed["users"]))
                users += waiting[-1].num_rows
                following = parsed["pagination"]["next"]
                params = {"pageSize": "1000", "pageToken": following} if following else {}
                if len(waiting) == GROUP_PAGES or not following:
                    writer.write_table(pa.Table.from_batches(waiting), row_group_size=1 << 20)
                    waiting = []
        writer.close()
        os.fsync(file.fileno())
    return users


if __name__ == "__main__":
    print(asyncio.run(main(sys.argv[1], sys.argv[2])))
