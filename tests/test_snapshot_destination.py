"""Which store a destination names; object stores have their own tests of addresses."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncer.errors import UsageError
from syncer.snapshot.destination import open_store
from syncer.snapshot.local_store import LocalStore


def test_a_path_and_a_file_uri_name_the_same_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    roots = []
    for text in (
        "ex ports",
        str(tmp_path / "ex ports"),
        f"file://{tmp_path}/ex%20ports",
        f"file://localhost{tmp_path}/ex%20ports",
    ):
        opened = open_store(text)
        assert isinstance(opened, LocalStore)
        roots.append(opened.root)
    assert roots == [tmp_path / "ex ports"] * 4
    assert repr(open_store("/x")) == "LocalStore('/x')"


@pytest.mark.parametrize(
    ("destination", "message"),
    [
        ("", "the destination is empty"),
        ("ftp://host/x", "a destination cannot begin with 'ftp'://"),
        ("file://host/x", "a file:// URI must name an absolute path on this machine"),
        ("file://x?y", "a file:// URI must name an absolute path on this machine"),
    ],
)
def test_a_destination_out_of_reach_is_wrong_usage(destination: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_store(destination)
    assert caught.value.message == message


def test_a_file_is_no_destination(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for text in (str(tmp_path / "file"), f"file://{tmp_path}/file"):
        with pytest.raises(UsageError) as caught:
            open_store(text)
        assert str(caught.value) == f"the destination {tmp_path / 'file'} is not a folder; give a folder"
