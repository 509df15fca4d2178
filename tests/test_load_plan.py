"""When a load is needed, and when it must not be."""

from __future__ import annotations

import pytest

from syncer.errors import GuardTripped, SyncerError, UsageError
from syncer.load.plan import Held, needs_load
from syncer.load.source import Source
from syncer.load.target import MODES, Mode

OLD, NOW, NEW = "20261121T020000Z", "20261122T020000Z", "20261123T020000Z"
SOURCE = Source("AC1", NOW, "sha", 1, (), lambda: iter(()))


def held(snapshot_id: str, mode: Mode = "replace", account: str = "AC1", sha256: str = "sha") -> Held:
    return Held(mode, account, snapshot_id, sha256)


@pytest.mark.parametrize("mode", MODES)
def test_a_new_table_and_a_newer_snapshot_are_loaded_and_the_same_one_is_not(mode: Mode) -> None:
    assert needs_load([], "users", SOURCE, mode, allow_older=False)
    assert needs_load([held(OLD, mode)], "users", SOURCE, mode, allow_older=False)
    assert not needs_load([held(NOW, mode)], "users", SOURCE, mode, allow_older=False)


@pytest.mark.parametrize(
    ("entry", "mode", "error", "told"),
    [
        (held(OLD, account="AC2"), "replace", UsageError, "users holds account AC2; load another account with"),
        (held(OLD), "scd2", UsageError, "users was loaded with --mode replace; keep to it, or give another --table"),
        (held(NEW), "replace", GuardTripped, f"users holds {NEW}, which is newer than {NOW}; give --allow-older"),
        (held(NEW, "scd2"), "scd2", GuardTripped, f"users holds {NEW}, and its history cannot take in {NOW} after"),
        (held(NOW, "scd2", sha256="x"), "scd2", GuardTripped, f"users holds {NOW}, and its history cannot take in"),
    ],
)
def test_what_would_spoil_a_table_is_refused(entry: Held, mode: Mode, error: type[SyncerError], told: str) -> None:
    with pytest.raises(error) as caught:
        needs_load([entry], "users", SOURCE, mode, allow_older=False)
    assert str(caught.value).startswith(told)


def test_an_older_snapshot_is_loaded_when_that_is_wanted_or_does_no_harm() -> None:
    assert needs_load([held(NEW)], "users", SOURCE, "replace", allow_older=True)
    history = [held(OLD, "append-history"), held(NEW, "append-history")]
    assert needs_load(history, "users", SOURCE, "append-history", allow_older=False)


def test_a_snapshot_whose_manifest_has_changed_is_loaded_again() -> None:
    assert needs_load([held(NOW, sha256="other")], "users", SOURCE, "replace", allow_older=False)
