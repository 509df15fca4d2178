"""Somebody with a hand in the destination: kept snapshots to tamper with, and what `verify` says of them."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest

from syncer.commands.main import main
from syncer.snapshot import layout
from syncer.snapshot.pointer import build_pointer
from syncer.snapshot.tree_file import TreeSink
from tests.golden.make import SIGNED

GOLDEN = Path(__file__).resolve().parent / "golden"
TRUSTED = ("--trusted-keys", str(GOLDEN / "trusted_keys"))
PRUNED, FIRST, LATEST = "20261121T020000Z", "20261122T020000Z", "20261123T020000Z"
Json = dict[str, Any]


def golden_exports(folder: Path) -> Path:
    """A copy of the kept snapshots, to be changed."""
    return Path(shutil.copytree(GOLDEN / "exports", folder / "exports"))


@dataclass(frozen=True)
class Adversary:
    """Can write anything below ``root``; keeps every checksum right that stands in a file of theirs.

    ``SIGNED`` has three snapshots, one of them pruned; ``PLAIN`` one without a signature, of a part in each format.
    """

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


def found(adversary: Adversary, capsys: pytest.CaptureFixture[str], *args: str) -> str:
    """What `verify` says; empty when it says that all is well."""
    args = args or ("--account", adversary.sid)
    code = main(["verify", "--destination", str(adversary.root), *args])
    error = capsys.readouterr().err
    assert (code, bool(error)) in ((0, False), (8, True)), error
    assert error.count("\n") <= 1
    return error


def drop_ndjson(plain: Adversary) -> None:
    """Leave the Parquet part alone: nothing to compare it with."""
    shutil.rmtree(plain.part("ndjson").parent)
    plain.rewrite(lambda m: m.update(formats=["parquet"], files=[f for f in m["files"] if f["format"] == "parquet"]))
