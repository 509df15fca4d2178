"""A tap of the Singer SDK; its output goes to target-jsonl.   python singer_tap.py --config FILE"""

import os
from typing import ClassVar

from singer_sdk import RESTStream, Tap
from singer_sdk import typing as th
from singer_sdk.authenticators import BasicAuthenticator
from singer_sdk.pagination import JSONPathPaginator


class Users(RESTStream):
    """The list of users."""

    name = "users"
    path = "/PushNotifications/Users"
    primary_keys: ClassVar = ["id"]
    records_jsonpath = "$.users[*]"
    schema = th.PropertiesList(
        th.Property("id", th.StringType, required=True),
        th.Property("createdAt", th.DateTimeType),
        th.Property("updatedAt", th.DateTimeType),
        th.Property("deletedAt", th.DateTimeType),
    ).to_dict()

    @property
    def url_base(self):
        return self.config["url"]

    @property
    def authenticator(self):
        return BasicAuthenticator(username=os.environ["TWILIO_ACCOUNT_SID"], password=os.environ["TWILIO_AUTH_TOKEN"])

    def get_new_paginator(self):
        return JSONPathPaginator("$.pagination.next")

    def get_url_params(self, _context, next_page_token):
        return {"pageSize": 1000} | ({"pageToken": next_page_token} if next_page_token else {})


class TapUsers(Tap):
    """The tap."""

    name = "tap-users"
    config_jsonschema = th.PropertiesList(th.Property("url", th.StringType, required=True)).to_dict()

    def discover_streams(self):
        return [Users(self)]


if __name__ == "__main__":
    TapUsers.cli()
