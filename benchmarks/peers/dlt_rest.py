"""dlt's own REST source into a folder of Parquet.   python dlt_rest.py URL FOLDER"""

import os
import sys

import dlt
from dlt.sources.rest_api import rest_api_source

url, folder = sys.argv[1:]
source = rest_api_source(
    {
        "client": {
            "base_url": f"{url}/",
            "auth": {
                "type": "http_basic",
                "username": os.environ["TWILIO_ACCOUNT_SID"],
                "password": os.environ["TWILIO_AUTH_TOKEN"],
            },
            "paginator": {"type": "cursor", "cursor_path": "pagination.next", "cursor_param": "pageToken"},
        },
        "resources": [
            {
                "name": "users",
                "write_disposition": "replace",
                "endpoint": {"path": "PushNotifications/Users", "params": {"pageSize": 1000}, "data_selector": "users"},
            }
        ],
    }
)
pipeline = dlt.pipeline(
    "users",
    pipelines_dir=f"{folder}/_state",
    dataset_name="bench",
    destination=dlt.destinations.filesystem(f"file://{folder}/out"),
)
pipeline.run(source, loader_file_format="parquet")
