"""Where requests may go."""

from __future__ import annotations

import pytest

from syncer.api.base_url import checked_base_url, is_loopback
from syncer.errors import UsageError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://comms.twilio.com/v1", "https://comms.twilio.com/v1"),
        ("https://comms.twilio.com/v1/", "https://comms.twilio.com/v1"),
        ("http://127.0.0.1:8080/v1", "http://127.0.0.1:8080/v1"),
        ("http://127.8.9.1", "http://127.8.9.1"),
        ("http://[::1]:80", "http://[::1]:80"),
        ("http://LocalHost:1", "http://LocalHost:1"),
    ],
)
def test_a_safe_base_url_loses_only_its_closing_slash(text: str, expected: str) -> None:
    assert checked_base_url(text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("http://comms.twilio.com/v1", "in the clear"),
        ("http://127.0.0.1.evil.example", "in the clear"),
        ("https://user:hunter2@comms.twilio.com", "holds a login"),
        ("https://hunter2@comms.twilio.com", "holds a login"),
        ("ftp://comms.twilio.com", "not an http or https URL"),
        ("comms.twilio.com/v1", "not an http or https URL"),
        ("", "not an http or https URL"),
        ("https://", "not an http or https URL"),
        ("https://x:99999", "not a URL"),
        ("https://[::1", "not a URL"),
        ("https://user:hunter2@[x]", "not a URL"),
        ("https://x/v1?a=b", "query or a fragment"),
        ("https://x/v1#a", "query or a fragment"),
        ("https://x/v1?", "query or a fragment"),
        ("https://x/a b", "a character"),
        ("https://x/é", "a character"),
        ("https://x/\x7f", "a character"),
    ],
)
def test_an_unsafe_base_url_is_a_usage_error(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        checked_base_url(text)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__context__ is None


def test_http_to_another_machine_needs_to_be_allowed() -> None:
    assert checked_base_url("http://emulator:8080", allow_http=True) == "http://emulator:8080"


def test_loopback_is_told_by_name_or_address() -> None:
    hosts = ("localhost", "127.0.0.1", "::1", "127.1.2.3", "10.0.0.1", "localhost.evil.example", "")
    assert [is_loopback(host) for host in hosts] == [True, True, True, True, False, False, False]
