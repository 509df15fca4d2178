from __future__ import annotations

import pytest

from syncer.suggestions import closest_name

COMMANDS = ("export", "snapshots", "verify", "prove", "diff", "load", "prune", "fetch", "delete", "erase", "check")
OPTIONS = ("--auth-body", "--base-url", "--json", "--page-cache", "--page-size", "--format", "--fresh")


@pytest.mark.parametrize(
    ("given", "meant"),
    [("exprot", "export"), ("snapshot", "snapshots"), ("ver", "verify"), ("fecth", "fetch"), ("prunes", "prune")],
)
def test_a_slip_or_a_beginning_leads_to_the_name(given: str, meant: str) -> None:
    assert closest_name(given, COMMANDS) == meant


@pytest.mark.parametrize("given", ["foo", "list", "run", "ve", "backup", "", "-", "sync"])
def test_a_name_that_is_like_no_other_leads_nowhere(given: str) -> None:
    assert closest_name(given, COMMANDS) is None


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("--base-ulr", "--base-url"),
        ("--jsn", "--json"),
        ("--page_size", "--page-size"),
        ("--page", "--page-size"),
        ("--formats", "--format"),
        ("--auth-token", None),
        ("--token", None),
    ],
)
def test_dashes_do_not_make_options_alike(given: str, meant: str | None) -> None:
    assert closest_name(given, OPTIONS) == meant
