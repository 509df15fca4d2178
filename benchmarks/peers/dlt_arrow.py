"""dlt with a resource that yields Arrow tables, its fastest way.   python dlt_arrow.py URL FOLDER"""

import os
import sys

import dlt
import orjson
import pyarrow as pa
import requests

url, folder = sys.argv[1:]
TIME = pa.timestamp("us", "UTC")
TEXTS = pa.schema([(name, pa.string()) for name in ("id", "createdAt", "updatedAt", "deletedAt")])
TYPES = pa.schema([("id", pa.string()), ("createdAt", TIME), ("updatedAt", TIME), ("deletedAt", TIME)])


@dlt.resource(name="users", write_disposition="replace")
def users():
    session = requests.Session()
    session.auth = (os.environ["TWILIO_ACCOUNT_SID"], os.environ["TWILIO_AUTH_TOKEN"])
    token = None
    while True:
        params = {"pageSize": 1000} | ({"pageToken": token} if token else {})
        answer = session.get(f"{url}/PushNotifications/Users", params=params, timeout=60)
        answer.raise_for_status()
        page = orjson.loads(answer.content)
        yield pa.Table.from_pylist(page["users"], TEXTS).cast(TYPES)
        token = page["pagination"]["next"]
        if not token:
            return


pipeline = dlt.pipeline(
    "users",
    pipelines_dir=f"{folder}/_state",
    dataset_name="bench",
    destination=dlt.destinations.filesystem(f"file://{folder}/out"),
)
pipeline.run(users(), loader_file_format="parquet")
