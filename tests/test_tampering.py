"""An adversary with a hand in one snapshot: each change is found by `verify`, or docs/design.md lists it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from syncer.commands.main import main
from syncer.snapshot import layout
from syncer.snapshot.signing import KeySigner
from tests.adversary import FIRST, LATEST, PRUNED, TRUSTED, Adversary, drop_ndjson, found, golden_exports
from tests.golden.make import PLAIN, SIGNED, SIGNER

EVE = KeySigner(Ed25519PrivateKey.from_private_bytes(b"e" * 32))


@pytest.fixture
def plain(tmp_path: Path) -> Adversary:
    return Adversary(golden_exports(tmp_path), PLAIN, PRUNED)


@pytest.fixture
def signed(tmp_path: Path) -> Adversary:
    return Adversary(golden_exports(tmp_path))


def other_time(table: Any) -> Any:
    times = table.column("updated_at").to_pylist()
    times[3] = times[4]
    return table.set_column(2, table.schema.field(2), pa.array(times, table.schema.field(2).type))


def test_a_value_changed_with_its_checksum_is_found_by_the_tree_and_by_the_other_format(
    plain: Adversary, capsys: pytest.CaptureFixture[str]
) -> None:
    plain.put_rows(other_time(plain.rows()))
    plain.point()
    assert "tree_parquet: 1 blocks of rows do not lead to the root" in found(plain, capsys)
    plain.put_tree(plain.rows())
    plain.point()
    assert "tree_ndjson: 1 blocks of rows do not lead to the root" in found(plain, capsys)
    plain.rewrite(lambda m: m.update(tree=None))
    plain.at(layout.tree_path(PLAIN, PRUNED)).unlink()
    plain.point()
    assert "formats_agree: the formats hold different users" in found(plain, capsys)


def test_data_checksum_tree_and_manifest_changed_together_are_found_by_the_pointer(
    plain: Adversary, capsys: pytest.CaptureFixture[str]
) -> None:
    drop_ndjson(plain)
    plain.put_rows(other_time(plain.rows()))
    plain.put_tree(plain.rows())
    assert "pointer: " in found(plain, capsys)
    plain.point()
    assert found(plain, capsys) == ""  # an only snapshot without a signature: docs/design.md says so
    assert "signature: this snapshot is not signed" in found(plain, capsys, "--account", PLAIN, *TRUSTED)


def test_a_signature_by_another_key_is_found_with_trusted_keys_alone(
    signed: Adversary, capsys: pytest.CaptureFixture[str]
) -> None:
    signature = signed.manifest_path.with_name("manifest.json.sig")
    signature.write_bytes(EVE.sign(signed.manifest_path.read_bytes()))
    assert f"is by {EVE.fingerprint}, and the manifest says {SIGNER.fingerprint}" in found(signed, capsys)
    signed.rewrite(lambda m: m.update(users=m["users"], signed_by=EVE.fingerprint))
    signature.write_bytes(EVE.sign(signed.manifest_path.read_bytes()))
    signed.point()
    assert found(signed, capsys) == ""
    assert f"by {EVE.fingerprint}, which is not among" in found(signed, capsys, "--account", SIGNED, *TRUSTED)


def permuted(table: Any) -> Any:
    return table.take([1, 0, *range(2, table.num_rows)])


def doubled(table: Any) -> Any:
    return table.take([0, 0, *range(2, table.num_rows)])


@pytest.mark.parametrize("change", [permuted, doubled])
def test_rows_in_another_order_or_twice_are_found_whatever_the_checksums_say(
    plain: Adversary, change: Callable[[Any], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    drop_ndjson(plain)
    table = change(plain.rows())
    plain.put_rows(table)
    plain.put_tree(table)
    ids = table.column("id").to_pylist()
    plain.rewrite(lambda m: m["files"][0].update(min_id=ids[0], max_id=ids[-1]))
    plain.point()
    assert "is not in strictly ascending order of ids" in found(plain, capsys)


def test_a_user_left_out_everywhere_but_in_the_page_index_is_missed(
    plain: Adversary, capsys: pytest.CaptureFixture[str]
) -> None:
    drop_ndjson(plain)
    table = plain.rows()
    table = table.filter(pc.not_equal(table.column("id"), table.column("id")[5]))
    plain.put_rows(table)
    plain.put_tree(table)
    plain.rewrite(lambda m: m.update(users=29, deleted_users=2) or m["files"][0].update(rows=29))
    plain.point()
    assert "sums: the pages served 30 users; 29 of them are in the snapshot" in found(plain, capsys)


def test_a_format_dropped_from_the_manifest_alone_is_still_what_readers_find(
    plain: Adversary, capsys: pytest.CaptureFixture[str]
) -> None:
    part = plain.part("ndjson").relative_to(plain.root)
    plain.rewrite(lambda m: m.update(formats=["parquet"], files=[f for f in m["files"] if f["format"] == "parquet"]))
    plain.point()
    assert f"folders: {part} is foreign" in found(plain, capsys)


def test_a_part_under_a_name_that_some_readers_pass_over_is_found(
    plain: Adversary, capsys: pytest.CaptureFixture[str]
) -> None:
    part = plain.part()
    hidden = part.rename(part.with_name(f"_{part.name}"))
    plain.rewrite(lambda m: m["files"][0].update(path=str(hidden.relative_to(plain.root))))
    plain.point()
    assert f"{hidden.relative_to(plain.root)} is not the name of part 0" in found(plain, capsys)


Put = Callable[[Path], object]


@pytest.mark.parametrize(
    ("put", "says"),
    [
        (lambda folder: shutil.copy(folder / "part-00000.parquet", folder / "part-1.parquet"),
         "part-1.parquet is foreign"),
        (lambda folder: (folder / "notes.txt").write_text("x"), "notes.txt is foreign"),
        (lambda folder: (folder / "deeper").mkdir(), "deeper is foreign"),
        (lambda folder: os.mkfifo(folder / "pipe"), "pipe is foreign"),
        (lambda folder: (folder / "_SUCCESS").unlink(), "_SUCCESS is not there, or not empty"),
        (lambda folder: (folder / "_SUCCESS").write_text("x"), "_SUCCESS is not there, or not empty"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["parquet", "changes"])
def test_what_lies_beside_the_parts_is_named(
    signed: Adversary, kind: str, put: Put, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = signed.at(layout.data_folder(kind, SIGNED, LATEST))
    put(folder)
    assert f"folders: {layout.data_folder(kind, SIGNED, LATEST)}/{says}" in found(signed, capsys)


def test_a_file_or_a_folder_that_is_a_link_is_named(signed: Adversary, capsys: pytest.CaptureFixture[str]) -> None:
    part = signed.part()
    name, elsewhere = part.relative_to(signed.root), signed.root.parent / "elsewhere"
    shutil.move(part, elsewhere)
    part.symlink_to(elsewhere)
    assert f"folders: {name} is a link or a device" in found(signed, capsys)
    part.unlink()
    part.symlink_to("/dev/zero")
    assert f"folders: {name} is a link or a device" in found(signed, capsys)
    part.unlink()
    shutil.move(elsewhere, part)
    shutil.move(part.parent, elsewhere)
    part.parent.symlink_to(elsewhere)
    assert f"folders: {name.parent} is a link" in found(signed, capsys)


@pytest.mark.parametrize("name", ["manifest.json", "pages.parquet", "tree.parquet", "manifest.json.sig"])
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(
    signed: Adversary, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = signed.manifest_path.with_name(name)
    path.unlink()
    os.mkfifo(path)
    error = found(signed, capsys, "--account", SIGNED, LATEST)
    assert f"{path.relative_to(signed.root)} is " in error
    assert "folders: " in error or "is not a file" in error
    assert found(signed, capsys, "--account", SIGNED, "--all")


def test_rejects_that_no_manifest_names_are_foreign(signed: Adversary, capsys: pytest.CaptureFixture[str]) -> None:
    signed.manifest_path.with_name("rejects.ndjson").write_text("{}\n")
    assert f"folders: {layout.rejects_path(SIGNED, LATEST)} is foreign" in found(signed, capsys)


def test_the_list_of_files_for_a_warehouse_is_held_against_the_manifest(
    signed: Adversary, capsys: pytest.CaptureFixture[str]
) -> None:
    path = layout.copy_path(SIGNED, LATEST)
    at = ["--destination", str(signed.root), "--account", SIGNED]
    assert main(["load", "--print-sql", "redshift", LATEST, *at, "--files-at", "s3://bucket/x"]) == 0
    capsys.readouterr()
    assert found(signed, capsys) == ""
    whole = signed.at(path).read_bytes()
    for other in (
        whole.replace(b"part-00000", b"part-00001"), whole.replace(b'"content_length": ', b'"content_length": 1'),
        whole.replace(b'"entries"', b'"files"'), b"[]", b"{}", b'{"entries": [5]}', b"", b'{"entries": []}',
    ):  # fmt: skip
        signed.at(path).write_bytes(other)
        assert f"copy: {path} does not name the parts of the snapshot" in found(signed, capsys), other
    assert main(["prune", *at, "--keep-last", "1", "--state-dir", str(signed.root.parent / "state")]) == 0
    Path(shutil.copy(signed.at(path), signed.at(layout.copy_path(SIGNED, FIRST))))
    assert main(["prune", *at, "--keep-last", "1", "--state-dir", str(signed.root.parent / "state")]) == 0
    assert not signed.at(layout.copy_path(SIGNED, FIRST)).exists()


def test_what_a_person_put_beside_a_manifest_is_said_and_no_failure(
    signed: Adversary, capsys: pytest.CaptureFixture[str]
) -> None:
    signed.manifest_path.with_name("trusted_keys").write_text("x")
    assert main(["verify", "--destination", str(signed.root), "--account", SIGNED]) == 0
    assert "folders: hold what the manifest names, and nothing else but trusted_keys\n" in capsys.readouterr().out


def test_a_tree_file_that_leads_a_proof_astray_is_found(plain: Adversary, capsys: pytest.CaptureFixture[str]) -> None:
    path = plain.at(layout.tree_path(PLAIN, PRUNED))
    table = pq.read_table(path, partitioning=None)
    pq.write_table(table.set_column(0, table.schema.field(0), pa.array(["zzz"] * table.num_rows)), path)
    plain.refresh()
    plain.point()
    assert "tree.parquet does not name the first users of the leaves" in found(plain, capsys)
