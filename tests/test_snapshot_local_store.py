"""What is a folder's own among stores; what all must do has its own suite."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from syncer.errors import StorageFailed
from syncer.snapshot import files
from syncer.snapshot.local_store import LocalStore
from syncer.snapshot.store import FileMissing, Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return LocalStore(tmp_path / "root")


def test_what_a_killed_write_left_is_neither_listed_nor_kept(tmp_path: Path, store: Store) -> None:
    store.put_new("a/f", b"1")
    leftover = tmp_path / "root" / "a" / f".f.0123{files.TEMPORARY_SUFFIX}"
    leftover.write_bytes(b"half")
    assert store.names("a") == ["f"]
    store.sweep("a")
    assert not leftover.exists()


def test_a_file_that_cannot_be_read_is_a_storage_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LocalStore(tmp_path)
    store.put_new("f", b"1")

    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refused)
        with pytest.raises(StorageFailed) as caught:
            store.read("f")
    assert caught.value.message == f"{tmp_path / 'f'} cannot be read: permission denied"


def test_what_is_neither_a_file_nor_a_folder_is_named_and_never_waited_for(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    for name in ("a/f", "a/b/f"):
        store.put_new(name, b"1")
    (tmp_path / "a/link").symlink_to(tmp_path / "a/f")
    (tmp_path / "a/loop").symlink_to(tmp_path / "a/loop")
    (tmp_path / "a/zero").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "a/pipe")
    assert (store.strangers("a"), store.strangers("absent")) == (["link", "loop", "pipe", "zero"], [])
    assert store.read("a/link") == b"1"
    for name in ("a/zero", "a/pipe", "a/b"):
        with pytest.raises(FileMissing, match="is not a file"):
            store.open(name)
    for name in ("a/loop", "a/" + "x" * 300):
        with pytest.raises(FileMissing, match="is not there"):
            store.open(name)


def test_only_names_that_begin_with_a_dot_are_unfinished_writes(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.put_new(f"a/part{files.TEMPORARY_SUFFIX}", b"1")
    assert store.names("a") == [f"part{files.TEMPORARY_SUFFIX}"]


def test_a_file_system_without_locks_has_no_turn_to_wait_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(code: int) -> Callable[[int, int], None]:
        def flock(descriptor: int, flags: int) -> None:
            raise OSError(code, os.strerror(code))

        return flock

    store = LocalStore(tmp_path)
    monkeypatch.setattr("fcntl.flock", refuse(errno.ENOLCK))
    with store.turn("a/turn"):
        pass
    monkeypatch.setattr("fcntl.flock", refuse(errno.EIO))
    with pytest.raises(StorageFailed, match=f"{tmp_path / 'a'} cannot be locked: Input/output error"):
        with store.turn("a/turn"):
            pass


def test_a_folder_that_cannot_be_written_is_found_by_the_check(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "root")
    store.check_access()
    assert store.names("a") == []
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageFailed):
        LocalStore(tmp_path / "file").check_access()
