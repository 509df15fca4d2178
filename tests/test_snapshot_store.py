"""What every store must do; today there is one: a folder on a disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncer.errors import StorageFailed, UsageError
from syncer.snapshot import files
from syncer.snapshot.store import FileMissing, LocalStore, Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return LocalStore(tmp_path / "root")


def test_what_is_put_is_read(store: Store) -> None:
    store.put_replace("a/b", b"1")
    store.put_replace("a/b", b"22")
    assert (store.put_new("a/b", b"3"), store.put_new("a/c", b"3")) == (False, True)
    assert (store.read("a/b"), store.size("a/b"), store.names("a"), store.exists("a/b")) == (b"22", 2, ["b", "c"], True)
    with store.open("a/b") as file:
        assert (file.read(1), file.seek(0), file.read()) == (b"2", 0, b"22")


def test_what_is_not_there_is_said_so(store: Store) -> None:
    assert (store.names("a"), store.size("a"), store.exists("a")) == ([], None, False)
    for path in ("a", "a/b"):
        with pytest.raises(FileMissing, match="is not there"):
            store.read(path)
    store.remove("a")
    store.sweep("a")


def test_a_folder_is_not_a_file_and_a_file_no_folder(store: Store) -> None:
    store.put_new("a/b", b"1")
    with pytest.raises(FileMissing):
        store.open("a")
    with pytest.raises(FileMissing):
        store.open("a/b/c")
    assert (store.size("a"), store.names("a/b")) == (None, [])


def test_a_staged_folder_is_placed_set_aside_and_removed(store: Store) -> None:
    assert (store.claim_staging(".staging/x"), store.claim_staging(".staging/x")) == (True, False)
    files.write_file(store.staging_path(".staging/x") / "part", b"1")
    store.place_folder(".staging/x", "data/p=1/x")
    assert (store.read("data/p=1/x/part"), store.exists(".staging/x")) == (b"1", False)
    store.set_aside("data/p=1/x", ".staging/aside")
    assert (store.exists("data/p=1/x"), store.names(".staging/aside")) == (False, ["part"])
    store.remove(".staging")
    assert not store.exists(".staging")


def test_a_staged_file_replaces_what_is_there(store: Store) -> None:
    store.put_new("a/f", b"old")
    store.put_new(".staging/f", b"new")
    store.place_file(".staging/f", "a/f")
    assert (store.read("a/f"), store.names(".staging")) == (b"new", [])


def test_what_a_killed_write_left_is_neither_listed_nor_kept(tmp_path: Path, store: Store) -> None:
    store.put_new("a/f", b"1")
    leftover = tmp_path / "root" / "a" / f".f.0123{files.TEMPORARY_SUFFIX}"
    leftover.write_bytes(b"half")
    assert store.names("a") == ["f"]
    store.sweep("a")
    assert not leftover.exists()


@pytest.mark.parametrize("path", ["", "/etc", "../x", "a/../../x", "a//b", "a/.", "a\0b"])
def test_no_path_leaves_the_destination(store: Store, path: str) -> None:
    with pytest.raises(ValueError, match="leaves the destination"):
        store.exists(path)


def test_a_file_that_cannot_be_read_is_a_storage_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LocalStore(tmp_path)
    store.put_new("f", b"1")

    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(StorageFailed) as caught:
        store.read("f")
    assert caught.value.message == f"{tmp_path / 'f'} cannot be read: permission denied"


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
