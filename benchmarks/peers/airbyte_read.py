"""Airbyte's CDK with a manifest and no code: messages go to standard output.   python airbyte_read.py URL FOLDER"""

import json
import os
import sys

from airbyte_cdk.cli.source_declarative_manifest._run import run

url, folder = sys.argv[1:]
SCHEMA = {
    "type": "object",
    "properties": {name: {"type": ["null", "string"]} for name in ("id", "createdAt", "updatedAt", "deletedAt")},
}
manifest = {
    "version": "6.0.0",
    "type": "DeclarativeSource",
    "check": {"type": "CheckStream", "stream_names": ["users"]},
    "streams": [
        {
            "type": "DeclarativeStream",
            "name": "users",
            "primary_key": ["id"],
            "schema_loader": {"type": "InlineSchemaLoader", "schema": SCHEMA},
            "retriever": {
                "type": "SimpleRetriever",
                "requester": {
                    "type": "HttpRequester",
                    "url_base": f"{url}/",
                    "path": "PushNotifications/Users",
                    "http_method": "GET",
                    "request_parameters": {"pageSize": "1000"},
                    "authenticator": {
                        "type": "BasicHttpAuthenticator",
                        "username": os.environ["TWILIO_ACCOUNT_SID"],
                        "password": os.environ["TWILIO_AUTH_TOKEN"],
                    },
                },
                "record_selector": {
                    "type": "RecordSelector",
                    "extractor": {"type": "DpathExtractor", "field_path": ["users"]},
                },
                "paginator": {
                    "type": "DefaultPaginator",
                    "page_token_option": {
                        "type": "RequestOption",
                        "inject_into": "request_parameter",
                        "field_name": "pageToken",
                    },
                    "pagination_strategy": {
                        "type": "CursorPagination",
                        "cursor_value": "{{ response['pagination']['next'] }}",
                        "stop_condition": "{{ not response['pagination']['next'] }}",
                    },
                },
            },
        }
    ],
    "spec": {"type": "Spec", "connection_specification": {"type": "object", "properties": {}}},
}
stream = {"name": "users", "json_schema": SCHEMA, "supported_sync_modes": ["full_refresh"]}
catalog = {"streams": [{"stream": stream, "sync_mode": "full_refresh", "destination_sync_mode": "overwrite"}]}
for name, content in (("config", {"__injected_declarative_manifest": manifest}), ("catalog", catalog)):
    with open(f"{folder}/{name}.json", "w") as file:
        json.dump(content, file)
sys.argv[1:] = ["read", "--config", f"{folder}/config.json", "--catalog", f"{folder}/catalog.json"]
run()
