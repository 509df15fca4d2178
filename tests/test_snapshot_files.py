"""Durable files: whole or not there, and every failure one sentence with path and reason."""

from __future__ import annotations

import errno
import gc
import hashlib
import os
import stat
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from syncer.errors import StorageFailed
from syncer.snapshot import files
from tests.failing_os import FailingOs, ShortOs


def test_a_file_is_hashed_while_it_is_written(tmp_path: Path) -> None:
    file = files.HashingFile(tmp_path / "f")
    file.write(b"one ")
    file.write(memoryview(b"two"))
    file.flush()
    assert (file.tell(), file.closed) == (7, False)
    file.close()
    data = (tmp_path / "f").read_bytes()
    assert (data, file.bytes, file.sha256) == (b"one two", 7, hashlib.sha256(data).hexdigest())


def test_a_name_that_is_there_is_never_written_through(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("f", "link"):
        with pytest.raises(StorageFailed, match="cannot be created"):
            files.HashingFile(tmp_path / name)
    assert (tmp_path / "f").read_bytes() == b"old"
    assert not (tmp_path / "elsewhere").exists()


def test_what_was_given_up_takes_no_more_and_leaves_nothing(tmp_path: Path) -> None:
    file = files.HashingFile(tmp_path / "f")
    file.write(b"x")
    file.abandon()
    assert file.write(b"footer") == 6
    file.close()
    file.abandon()
    assert list(tmp_path.iterdir()) == []


def test_a_short_write_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = ShortOs()
    monkeypatch.setattr(files, "os", disk)
    files.write_file(tmp_path / "f", b"0123456789")
    assert disk.calls > 4
    assert (tmp_path / "f").read_bytes() == b"0123456789"


def test_a_file_whose_write_failed_is_never_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "os", FailingOs(2, errno.ENOSPC))
    file = files.HashingFile(tmp_path / "f")
    with pytest.raises(StorageFailed, match="the disk is full"):
        file.write(b"x")
    file.write(b"y")  # a library that closes its writer must not fail a second time
    assert (tmp_path / "f").read_bytes() == b""
    with pytest.raises(StorageFailed, match="the disk is full"):
        file.close()
    file.abandon()
    assert list(tmp_path.iterdir()) == []


def test_a_writer_that_could_not_begin_says_nothing_when_it_is_collected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[object] = []
    monkeypatch.setattr("sys.unraisablehook", said.append)
    monkeypatch.setattr(files, "os", FailingOs(2, errno.ENOSPC))
    with pytest.raises(StorageFailed, match="the disk is full"):
        pq.ParquetWriter(files.HashingFile(tmp_path / "f"), pa.schema([("id", pa.string())]))
    gc.collect()
    assert said == []


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "the disk quota is used up"),
        (errno.EROFS, "the file system is read-only"),
        (errno.EIO, "the disk reports an error"),
        (errno.EACCES, "permission denied"),
        (errno.ELOOP, os.strerror(errno.ELOOP)),
    ],
)
def test_the_reason_is_told_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, reason: str) -> None:
    monkeypatch.setattr(files, "os", FailingOs(1, code))
    with pytest.raises(StorageFailed) as caught:
        files.write_file(tmp_path / "f", b"x")
    assert caught.value.message == f"{tmp_path / 'f'} cannot be created: {reason}"
    assert caught.value.hint


@pytest.mark.parametrize("replace", [True, False])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT])
def test_a_put_that_fails_anywhere_leaves_the_old_or_the_new_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replace: bool, code: int
) -> None:
    path = tmp_path / "folder" / "f"
    for fail_at in range(1, 100):
        files.remove(path.parent)
        if replace:
            files.put_file(path, b"old", replace=True)
        failing = FailingOs(fail_at, code)
        with monkeypatch.context() as patch:
            patch.setattr(files, "os", failing)
            try:
                files.put_file(path, b"new", replace=replace)
            except StorageFailed:
                done = False
            else:
                done = True
        content = path.read_bytes() if path.exists() else b""
        assert content in ((b"new",) if done else (b"new", b"old" if replace else b""))
        if failing.calls < fail_at:
            return
    pytest.fail("it never came through")


def test_create_if_absent_tells_when_it_was_there(tmp_path: Path) -> None:
    path = tmp_path / "f"
    assert [files.put_file(path, b"1", replace=False), files.put_file(path, b"2", replace=False)] == [True, False]
    assert path.read_bytes() == b"1"
    assert list(tmp_path.iterdir()) == [path]


def test_create_if_absent_works_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(files.os, "link", no_links)
    path = tmp_path / "f"
    assert [files.put_file(path, b"1", replace=False), files.put_file(path, b"2", replace=False)] == [True, False]
    assert (path.read_bytes(), list(tmp_path.iterdir())) == (b"1", [path])


def test_the_umask_decides_who_may_read(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        files.put_file(tmp_path / "folder" / "f", b"x", replace=True)
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "folder", tmp_path / "folder" / "f")]
    assert modes == [0o750, 0o640]


def test_folders_are_made_with_those_above_and_claimed_once(tmp_path: Path) -> None:
    assert [files.claim_folder(tmp_path / "a" / "b"), files.claim_folder(tmp_path / "a" / "b")] == [True, False]
    files.make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_a_folder_that_another_run_makes_meanwhile_is_as_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.mkdir

    def beaten(path: Path, mode: int) -> None:
        real(path, mode)
        raise FileExistsError(errno.EEXIST, "there")

    monkeypatch.setattr(files.os, "mkdir", beaten)
    files.make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_a_file_where_a_folder_should_be_is_a_storage_failure(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")
    with pytest.raises(StorageFailed, match="Not a directory"):
        files.make_folder(tmp_path / "f" / "below")


def test_a_folder_never_replaces_one_that_holds_something(tmp_path: Path) -> None:
    for name in ("a", "b"):
        files.make_folder(tmp_path / name)
        files.write_file(tmp_path / name / "f", name.encode())
    with pytest.raises(StorageFailed, match="Directory not empty"):
        files.move(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b" / "f").read_bytes() == b"b"


def test_removing_follows_no_link_and_minds_nothing_missing(tmp_path: Path) -> None:
    files.make_folder(tmp_path / "kept")
    files.write_file(tmp_path / "kept" / "f", b"x")
    files.make_folder(tmp_path / "gone" / "below")
    (tmp_path / "gone" / "link").symlink_to(tmp_path / "kept")
    files.remove(tmp_path / "gone")
    files.remove(tmp_path / "gone")
    assert [p.name for p in tmp_path.rglob("*")] == ["kept", "f"]
