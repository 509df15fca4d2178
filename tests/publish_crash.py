"""Publishes a snapshot over an old one in processes that are killed before the n-th change of the disk, for every n.

After each kill the publication goes on; after every third one, all is staged anew, as an export that resumes does.
Run as a script with a folder to work in; prints what readers saw. The parent never uses Arrow, so that it may fork.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from functools import partial
from pathlib import Path

from syncer.snapshot import files
from syncer.snapshot.local_store import LocalStore
from syncer.snapshot.manifest_json import build, parse
from syncer.snapshot.publish import publish
from tests.children import in_child
from tests.failing_os import DyingOs
from tests.snapshot_data import ACCOUNT, SNAPSHOT, chunked, make_users, spool, stage_snapshot, tree

OLD = "20261122T020000Z"
KILLED = 9


def stage(root: Path, draft: Path) -> None:
    """Stage the new snapshot; its manifest goes into a file of its own."""
    users = make_users(100, seed=2)
    manifest = stage_snapshot(LocalStore(root), spool([chunked(users, 30)]), rejects=[b"{}\n"])
    draft.write_bytes(build(manifest))


def publish_draft(root: Path, draft: Path) -> None:
    """Publish what is staged."""
    publish(LocalStore(root), parse(draft.read_bytes()))


def begin(root: Path, draft: Path) -> None:
    """An old snapshot in its place, and a new one staged."""
    old = stage_snapshot(LocalStore(root), spool([chunked(make_users(80), 30)]), snapshot_id=OLD)
    publish(LocalStore(root), old)
    stage(root, draft)


def wrongs(root: Path, whole: dict[str, bytes]) -> list[str]:
    """What a reader of ``latest.json``, of the manifests or of the partitions could be misled by."""
    found = {path: data for path, data in tree(root).items() if not path.startswith(".staging/")}
    wrong = [
        f"{path} differs" for path, data in found.items() if path in whole and not _is_same(path, data, whole[path])
    ]
    wrong += [f"{path} is foreign" for path in found if path not in whole and not path.endswith(files.TEMPORARY_SUFFIX)]
    folders = {path.rpartition("/")[0] for path in found if path.startswith(("parquet/", "ndjson/"))}
    wrong += [f"{p} is missing" for p in whole if p.rpartition("/")[0] in folders and p not in found]
    account = f"snapshots/account_sid={ACCOUNT}"
    pointer = json.loads(found[f"{account}/latest.json"])
    manifests = [path for path in found if path.endswith("/manifest.json")]
    if (
        pointer["manifest"] not in manifests
        or hashlib.sha256(found[pointer["manifest"]]).hexdigest() != pointer["sha256"]
    ):
        wrong.append("the pointer leads nowhere")
    for path in manifests:
        manifest = json.loads(found[path])
        named = [*manifest["files"], manifest["page_index"]]
        wrong += [f"{facts['path']} is missing" for facts in named if facts["path"] not in found]
    return wrong


def _is_same(path: str, data: bytes, whole: bytes) -> bool:
    return data == whole or path.endswith("/latest.json")  # old or new: judged by where it leads


def main(work: Path) -> None:
    """Kill before every change, look, finish, look again."""
    template, draft = work / "template", work / "draft.json"
    assert in_child(lambda: begin(template, draft)) == 0
    complete = work / "complete"
    shutil.copytree(template, complete)
    assert in_child(lambda: publish_draft(complete, draft)) == 0
    whole = tree(complete)
    steps, problems, published = 0, [], 0
    while True:
        steps += 1
        root = work / f"run-{steps}"
        shutil.copytree(template, root)
        ended = in_child(partial(_dying, root, draft, steps))
        problems += [f"killed before change {steps}: {wrong}" for wrong in wrongs(root, whole)]
        published += f"snapshots/account_sid={ACCOUNT}/{SNAPSHOT}/manifest.json" in tree(root)
        if steps % 3 == 0 and not (root / f"snapshots/account_sid={ACCOUNT}/{SNAPSHOT}/manifest.json").exists():
            assert in_child(partial(stage, root, draft)) == 0
        again = in_child(partial(publish_draft, root, draft))
        if again or tree(root) != whole:
            problems.append(
                f"after a kill before change {steps} the second try ended with {again} and left other files"
            )
        shutil.rmtree(root)
        if ended == 0:
            break
        assert ended == KILLED, ended
    print(json.dumps({"steps": steps - 1, "published": published, "problems": problems}))


def _dying(root: Path, draft: Path, step: int) -> None:
    files.os = DyingOs(step)  # type: ignore[assignment]
    publish_draft(root, draft)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
