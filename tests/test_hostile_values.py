"""No value in any file of a destination makes a command stumble: it is refused in a sentence, or it does no harm."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from syncer.commands.main import main
from syncer.snapshot import layout
from tests.adversary import FIRST, LATEST, PRUNED, Adversary, drop_ndjson, found, golden_exports
from tests.golden.make import PLAIN, SIGNED


@pytest.fixture
def plain(tmp_path: Path) -> Adversary:
    return Adversary(golden_exports(tmp_path), PLAIN, PRUNED)


@pytest.fixture
def signed(tmp_path: Path) -> Adversary:
    return Adversary(golden_exports(tmp_path))


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


def test_no_value_in_a_page_index_makes_a_command_stumble_and_what_tells_of_users_is_found(
    signed: Adversary, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its hash in the manifest is that of the page index as it is then, and no signature speaks against it: values that
    are only there for the next crawl, and ranges of ids that only became wider, can be changed unseen, and no others.
    """
    plain = Adversary(signed.root)
    plain.rewrite(lambda m: m.update(signed_by=None))
    plain.manifest_path.with_name("manifest.json.sig").unlink()
    path = plain.at(layout.page_index_path(SIGNED, LATEST))
    table = pq.read_table(path, partitioning=None)
    unseen = set()
    for place, field in enumerate(table.schema):
        for row in (0, 3, table.num_rows - 1):
            cells = table.column(place).to_pylist()
            for value in {*hostile_cells(field.type, field.nullable)} - {cells[row]}:
                changed = [*cells[:row], value, *cells[row + 1 :]]
                pq.write_table(table.set_column(place, field, pa.array(changed, field.type)), path)
                plain.refresh()
                plain.point()
                if not found(plain, capsys):
                    unseen.add(field.name)
                assert main(["diff", "--destination", str(plain.root), "--account", SIGNED]) == 0
                capsys.readouterr()
    assert unseen <= {"asked", "page_size", "first_id", "last_id", "min_id", "max_id", "stitch", "stitch_id"}


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
