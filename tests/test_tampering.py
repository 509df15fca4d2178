"""An adversary with a hand in the destination: each change is found by `verify`, or docs/design.md lists it."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from syncer.commands.main import main
from syncer.snapshot import layout
from syncer.snapshot.pointer import build_pointer
from syncer.snapshot.signing import KeySigner
from syncer.snapshot.tree_file import TreeSink
from tests.golden.make import PLAIN, SIGNED, SIGNER

GOLDEN = Path(__file__).resolve().parent / "golden"
PRUNED, FIRST, LATEST = "20261121T020000Z", "20261122T020000Z", "20261123T020000Z"
EVE = KeySigner(Ed25519PrivateKey.from_private_bytes(b"e" * 32))
Json = dict[str, Any]


@dataclass(frozen=True)
class Adversary:
    """Can write anything below ``root``; keeps every checksum right that stands in a file of theirs."""

    root: Path
    sid: str = SIGNED
    snapshot_id: str = LATEST

    def at(self, path: str) -> Path:
        return self.root / path

    @property
    def manifest_path(self) -> Path:
        return self.at(layout.manifest_path(self.sid, self.snapshot_id))

    @property
    def manifest(self) -> Json:
        document: Json = orjson.loads(self.manifest_path.read_bytes())
        return document

    def rewrite(self, change: Callable[[Json], object]) -> None:
        document = self.manifest
        change(document)
        self.manifest_path.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))

    def refresh(self) -> None:
        """Sizes and hashes of all files, as they are now."""

        def change(document: Json) -> None:
            changes = document["changes"]["files"] if document["changes"] else []
            for facts in [*document["files"], *changes, document["page_index"], document["tree"]]:
                if self.at(facts["path"]).exists():
                    data = self.at(facts["path"]).read_bytes()
                    facts["bytes"], facts["sha256"] = len(data), hashlib.sha256(data).hexdigest()

        self.rewrite(change)

    def part(self, form: str = "parquet") -> Path:
        return self.at(next(facts["path"] for facts in self.manifest["files"] if facts["format"] == form))

    def rows(self) -> Any:
        return pq.read_table(self.part(), partitioning=None)

    def put_rows(self, table: Any) -> None:
        pq.write_table(table, self.part(), compression="zstd", sorting_columns=[pq.SortingColumn(0)])
        self.refresh()

    def put_tree(self, table: Any) -> None:
        """A tree over other rows, and its root."""
        path = layout.tree_path(self.sid, self.snapshot_id)
        self.at(path).unlink()
        sink = TreeSink(self.at(path), path)
        sink.write(table)
        facts = sink.finish()
        self.rewrite(lambda m: m.update(tree={**m["tree"], "root": facts.root, "leaves": facts.leaves}))
        self.refresh()

    def point(self) -> None:
        """``latest.json`` at this manifest."""
        sha256 = hashlib.sha256(self.manifest_path.read_bytes()).hexdigest()
        self.at(layout.latest_path(self.sid)).write_bytes(build_pointer(self.sid, self.snapshot_id, sha256))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return Path(shutil.copytree(GOLDEN / "exports", tmp_path / "exports"))


@pytest.fixture
def plain(root: Path) -> Adversary:
    """One snapshot, unsigned, of one NDJSON and one Parquet part."""
    return Adversary(root, PLAIN, PRUNED)


@pytest.fixture
def signed(root: Path) -> Adversary:
    """The latest of three, one of them pruned."""
    return Adversary(root)


def found(adversary: Adversary, capsys: pytest.CaptureFixture[str], *args: str) -> str:
    """What `verify` says; empty when it says that all is well."""
    args = args or ("--account", adversary.sid)
    code = main(["verify", "--destination", str(adversary.root), *args])
    error = capsys.readouterr().err
    assert (code, bool(error)) in ((0, False), (8, True)), error
    assert error.count("\n") <= 1
    return error


TRUSTED = ("--trusted-keys", str(GOLDEN / "trusted_keys"))


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


def drop_ndjson(plain: Adversary) -> None:
    shutil.rmtree(plain.part("ndjson").parent)
    plain.rewrite(lambda m: m.update(formats=["parquet"], files=[f for f in m["files"] if f["format"] == "parquet"]))


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


def test_the_same_in_an_older_snapshot_is_found_by_the_next_one(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    older = Adversary(root, SIGNED, FIRST)
    older.rewrite(lambda m: m["crawl"].update(requests=9))
    older.manifest_path.with_name("manifest.json.sig").write_bytes(SIGNER.sign(older.manifest_path.read_bytes()))
    assert f"next: {LATEST} names another manifest than this one" in found(older, capsys, FIRST, "--account", SIGNED)
    assert f"previous: {layout.manifest_path(SIGNED, FIRST)} has changed since" in found(older, capsys)


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


def test_a_snapshot_of_another_account_or_another_night_is_found(
    signed: Adversary, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = signed.manifest_path.read_bytes()
    for sid, snapshot_id in ((PLAIN, PRUNED), (SIGNED, FIRST)):
        signed.manifest_path.write_bytes((root / layout.manifest_path(sid, snapshot_id)).read_bytes())
        assert f"{layout.manifest_path(SIGNED, LATEST)} is the manifest of another snapshot" in found(signed, capsys)
        error = found(signed, capsys, "--account", SIGNED, "--all")
        assert f"next: cannot be told: the manifest of {LATEST} is that of another snapshot" in error
    signed.manifest_path.write_bytes(whole)
    older = Adversary(root, SIGNED, FIRST)
    older.manifest_path.write_bytes(whole.replace(LATEST.encode(), FIRST.encode()))
    shutil.copytree(signed.part().parent, older.part().parent, dirs_exist_ok=True)
    assert "its times do not agree with its id" in found(older, capsys, "--account", SIGNED, FIRST)


def test_a_signed_snapshot_under_a_later_id_is_found_by_its_signature(
    signed: Adversary, capsys: pytest.CaptureFixture[str]
) -> None:
    replayed = Adversary(signed.root, SIGNED, "20261124T020000Z")
    for path in [p for p in signed.root.rglob("*") if LATEST in str(p) and p.is_file()]:
        copy = Path(str(path).replace(LATEST, "20261124T020000Z").replace("2026-11-23", "2026-11-24"))
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    text = (
        replayed.manifest_path.read_text()
        .replace(LATEST, "20261124T020000Z")
        .replace("date=2026-11-23", "date=2026-11-24")
    )
    replayed.manifest_path.write_text(text)
    replayed.point()
    error = found(signed, capsys)
    assert "is not a signature of this manifest" in error
    assert f"next: 20261124T020000Z follows {FIRST}, and passes this snapshot over" in found(
        signed, capsys, "--account", SIGNED, LATEST
    )  # fmt: skip


def test_a_pointer_that_was_moved_back_or_taken_away_is_found(
    signed: Adversary, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Adversary(root, SIGNED, FIRST).point()
    assert f"pointer: {layout.latest_path(SIGNED)} names {FIRST}, which is older" in found(signed, capsys)
    (root / layout.latest_path(SIGNED)).unlink()
    assert f"pointer: {layout.latest_path(SIGNED)} is not there" in found(signed, capsys)


def test_a_newest_snapshot_that_was_taken_away_is_missed_by_the_pointer(
    signed: Adversary, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(signed.manifest_path.parent)
    assert f"pointer: {layout.latest_path(SIGNED)} names {LATEST}" in found(signed, capsys)
    Adversary(root, SIGNED, FIRST).point()
    assert found(signed, capsys) == ""  # with the pointer it is as if it had never been: docs/design.md says so
    assert f"{layout.data_folder('parquet', SIGNED, LATEST)} belongs to no snapshot" in found(
        signed, capsys, "--account", SIGNED, "--all"
    )


def test_a_history_that_begins_later_than_it_did_is_said_and_no_failure(
    signed: Adversary, capsys: pytest.CaptureFixture[str]
) -> None:
    signed.at(layout.pruned_path(SIGNED, PRUNED)).unlink()
    assert main(["verify", "--destination", str(signed.root), "--account", SIGNED, FIRST]) == 0
    assert f"previous: {PRUNED} is not there any more, and prune did not remove it" in capsys.readouterr().out


def test_all_manifests_taken_away_is_no_clean_bill(signed: Adversary, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in signed.manifest_path.parent.parent.iterdir():
        if folder.is_dir():
            shutil.rmtree(folder)
    error = found(signed, capsys, "--account", SIGNED, "--all")
    assert f"the history of {SIGNED} is not whole: history: " in error
    assert "no snapshot is" in error


def test_changes_that_are_not_those_between_the_two_snapshots_are_found(
    signed: Adversary, capsys: pytest.CaptureFixture[str]
) -> None:
    path = signed.at(signed.manifest["changes"]["files"][0]["path"])
    table = pq.read_table(path, partitioning=None)
    words = ["vanished" if word == "updated" else "updated" for word in table.column("change").to_pylist()]
    pq.write_table(table.set_column(0, table.schema.field(0), pa.array(words)), path)
    signed.refresh()
    signed.point()
    assert f"changes_between: they are not those between {FIRST} and this snapshot" in found(signed, capsys)
    pq.write_table(table.slice(1), path)
    signed.refresh()
    assert f"{path.relative_to(signed.root)}: the part has 1 rows instead of 2" in found(signed, capsys)
    pq.write_table(table.drop_columns("old_extra"), path)
    signed.refresh()
    assert "the part does not have the columns of changes" in found(signed, capsys)
    path.write_bytes(b"PAR1 no parquet PAR1")
    signed.refresh()
    assert "the part cannot be read as Parquet: it is damaged" in found(signed, capsys)


@pytest.mark.parametrize("change", ["gone", "other", "damaged"])
def test_changes_are_not_compared_with_a_snapshot_that_is_not_what_it_was(
    signed: Adversary, root: Path, change: str, capsys: pytest.CaptureFixture[str]
) -> None:
    older = Adversary(root, SIGNED, FIRST)
    if change == "gone":
        older.manifest_path.rename(older.manifest_path.with_name("pruned.json"))
    elif change == "other":
        older.rewrite(lambda m: m["crawl"].update(requests=9))
    else:
        older.part().write_bytes(b"PAR1")
    code = main(["verify", "--destination", str(root), "--account", SIGNED])
    said = {"gone": f"{FIRST} is not there any more", "other": f"{FIRST} has changed since", "damaged": "is damaged"}
    lines = [line for line in capsys.readouterr().out.splitlines() if "changes_between" in line]
    assert (code, lines[0].startswith("  ok      changes_between: not compared: "), said[change] in lines[0]) == (
        8 if change == "other" else 0,
        True,
        True,
    )


def test_a_tree_file_that_leads_a_proof_astray_is_found(plain: Adversary, capsys: pytest.CaptureFixture[str]) -> None:
    path = plain.at(layout.tree_path(PLAIN, PRUNED))
    table = pq.read_table(path, partitioning=None)
    pq.write_table(table.set_column(0, table.schema.field(0), pa.array(["zzz"] * table.num_rows)), path)
    plain.refresh()
    plain.point()
    assert "tree.parquet does not name the first users of the leaves" in found(plain, capsys)


@pytest.mark.parametrize(
    "path",
    [
        layout.manifest_path(SIGNED, LATEST), layout.manifest_path(SIGNED, FIRST), layout.latest_path(SIGNED),
        layout.signature_path(SIGNED, LATEST), layout.tree_path(SIGNED, LATEST), layout.page_index_path(SIGNED, LATEST),
        f"{layout.data_folder('parquet', SIGNED, LATEST)}/part-00000.parquet",
    ],
)  # fmt: skip
def test_a_file_of_a_terabyte_is_refused_unread(
    signed: Adversary, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with open(signed.root / path, "r+b") as file:
        file.truncate(1 << 40)
    error = found(signed, capsys)
    assert f"{path} has more than 64 MiB: syncer did not write it" in error or "1099511627776 bytes instead of" in error
    assert found(signed, capsys, "--account", SIGNED, "--all")


HOSTILE: tuple[Any, ...] = (
    None, True, -1, 0, 1 << 63, 1.5, "", "x", "../../etc/passwd", "99991231T235959Z", "00010101T000000Z", "2026",
    "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "\x1b[31m", "é" * 300, [], {}, [[]], [{}], {"": {}},
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place of a document, from the top down."""
    if path:
        yield path
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from places(value[key], (*path, key))


def put_at(document: Any, path: tuple[Any, ...], value: Any) -> None:
    for key in path[:-1]:
        document = document[key]
    document[path[-1]] = value


def test_no_value_anywhere_in_a_manifest_makes_a_command_stumble(
    signed: Adversary, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, judged = signed.manifest_path.read_bytes(), 0
    at = ("--destination", str(signed.root), "--account", SIGNED)
    for path in places(orjson.loads(whole)):
        for value in HOSTILE:
            document = orjson.loads(whole)
            put_at(document, path, value)
            signed.manifest_path.write_bytes(orjson.dumps(document))
            assert main(["snapshots", *at]) in (0, 8), (path, value)
            table = capsys.readouterr().out
            assert "\x1b" not in table
            if LATEST not in table:
                continue
            judged += 1
            assert main(["verify", *at]) == 8, (path, value)
            for command in (["diff", "--json"], ["prove", "nobody"], ["prune", "--keep-last", "1", "--dry-run"]):
                assert main([*command, *at]) in (0, 8), (command, path, value)
            assert "\x1b" not in capsys.readouterr().out
    assert judged > 300


def hostile_cells(kind: Any, nullable: bool) -> tuple[Any, ...]:
    values: tuple[Any, ...] = (-1, 0, 1 << 62, -(1 << 63)) if pa.types.is_integer(kind) else ("", "zzz", "\0", "é")
    if pa.types.is_fixed_size_binary(kind):
        values = (b"\0" * 32,)
    return (*values, None) if nullable else values


def test_no_value_anywhere_in_a_page_index_makes_verify_stumble(
    plain: Adversary, capsys: pytest.CaptureFixture[str]
) -> None:
    """The page index of three pages, its hash in the manifest as it is then; prune and export read it too."""
    signed = Adversary(plain.root)
    path = signed.at(layout.page_index_path(SIGNED, LATEST))
    table = pq.read_table(path, partitioning=None)
    said = set()
    for place, field in enumerate(table.schema):
        for row in (0, 3, table.num_rows - 1):
            for value in hostile_cells(field.type, field.nullable):
                cells = table.column(place).to_pylist()
                cells[row] = value
                pq.write_table(table.set_column(place, field, pa.array(cells, field.type)), path)
                signed.refresh()
                signed.point()
                said.add(found(signed, capsys).partition(": error: ")[2][:0] or "found")
                assert main(["diff", "--destination", str(plain.root), "--account", SIGNED]) == 0
                capsys.readouterr()
    assert said == {"found"}


LINE = b'{"id":"a","createdAt":"2026-01-01T00:00:00Z","updatedAt":"2026-01-01T00:00:00Z","deletedAt":null'


@pytest.mark.parametrize(
    "line",
    [
        LINE + b',"x":' + b"[" * 300 + b"]" * 300 + b"}",
        LINE + b',"x":' + b"[" * 1500 + b"]" * 1500 + b"}",
        LINE + b',"x":' + b'{"y":' * 260 + b"1.5" + b"}" * 260 + b"}",
        LINE + b',"x":1e999}',
        LINE + b',"x":NaN}',
        LINE + b',"x":"\\ud800"}',
        LINE + b',"x":"\xff"}',
        LINE + b',"x":' + b"9" * 5000 + b"}",
        LINE + b',"id":"b"}',
        LINE.replace(b"2026-01-01T00:00:00Z", b"0000-00-00T00:00:00Z") + b"}",
        LINE.replace(b"2026-01-01T00:00:00Z", b"294247-01-10T04:00:54.775807Z") + b"}",
        LINE.replace(b'"a"', b'"' + b"a" * 10_000 + b'"') + b"}",
        LINE.replace(b'"a"', b'"\\u0000"') + b"}",
        b"\x00" * 1000,
        b"[" * 100_000,
    ],
)
def test_no_line_makes_verify_stumble(plain: Adversary, line: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    plain.part("ndjson").write_bytes(line + b"\n")
    plain.refresh()
    plain.point()
    error = found(plain, capsys)
    assert error
    assert main(["diff", "latest", "latest", "--destination", str(plain.root), "--account", PLAIN]) == 0
    shutil.rmtree(plain.part().parent)
    plain.rewrite(lambda m: m.update(formats=["ndjson"], files=[f for f in m["files"] if f["format"] == "ndjson"]))
    plain.point()
    assert found(plain, capsys)
    assert main(["diff", "latest", "latest", "--destination", str(plain.root), "--account", PLAIN]) == 8
    assert main(["prove", "a", "--destination", str(plain.root), "--account", PLAIN]) == 8


def not_text(column: Any) -> Any:
    """The same strings, the first of which is no UTF-8."""
    raw = [b"\xff\xfe", *column.cast(pa.binary()).to_pylist()[1:]]
    array = pa.array(raw, pa.binary())
    return pa.Array.from_buffers(pa.string(), len(array), array.buffers())


@pytest.mark.parametrize("name", ["id", "extra"])
def test_text_that_is_none_makes_no_command_stumble(
    plain: Adversary, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    drop_ndjson(plain)
    table = plain.rows()
    place = table.column_names.index(name)
    table = table.set_column(place, table.schema.field(place), not_text(table.column(place).combine_chunks()))
    plain.put_rows(table)
    plain.point()
    assert "the part cannot be read as Parquet: it is damaged" in found(plain, capsys)
    at = ["--destination", str(plain.root), "--account", PLAIN]
    for command in (["diff", "latest", "latest"], ["prove", "a"], ["load", f"duckdb:///{plain.root}/x.db"]):
        assert main([*command, *at, "--state-dir", str(plain.root.parent / "state")]) == 8, command


@pytest.mark.parametrize("name", ["pages.parquet", "tree.parquet", "changes"])
def test_text_that_is_none_beside_the_parts_makes_no_command_stumble(
    signed: Adversary, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = layout.changes_folder(SIGNED, LATEST) if name == "changes" else layout.snapshot_folder(SIGNED, LATEST)
    path = signed.at(f"{folder}/{'part-00000.parquet' if name == 'changes' else name}")
    table = pq.read_table(path, partitioning=None)
    for place, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            pq.write_table(table.set_column(place, field, not_text(table.column(place).combine_chunks())), path)
            signed.refresh()
            signed.point()
            assert found(signed, capsys), field.name
            assert main(["prove", "a", "--destination", str(signed.root), "--account", SIGNED]) in (0, 8)
            capsys.readouterr()
