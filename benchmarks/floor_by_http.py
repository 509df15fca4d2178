"""The floor over HTTP: its pages come by aiohttp, over one kept connection. Still no guarantees.

python floor_by_http.py BASE_URL PARQUET_FILE
"""

from __future__ import annotations

import asyncio
import os
import sys

import aiohttp

from benchmarks.floor import Writer


async def main(url: str, target: str) -> int:
    """Follow the tokens; the number of users."""
    writer, params = Writer(target), {"pageSize": "1000"}
    login = aiohttp.encode_basic_auth(os.environ["TWILIO_ACCOUNT_SID"], os.environ["TWILIO_AUTH_TOKEN"])
    async with aiohttp.ClientSession(headers={"Authorization": login}, read_bufsize=1 << 19) as session:
        while params:
            async with session.get(f"{url}/PushNotifications/Users", params=params) as answer:
                answer.raise_for_status()
                following = writer.add(await answer.read())
            params = {"pageSize": "1000", "pageToken": following} if following else {}
    writer.close()
    return writer.users


if __name__ == "__main__":
    print(asyncio.run(main(sys.argv[1], sys.argv[2])))
