"""Who imports whom: the rules of docs/design.md, read from the source by its syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHARED = ("errors", "model", "credentials")
ROOMS = ("api", "crawl", "snapshot", "load", "bulk", "emulator", "commands")
SETTINGS = ("accounts", "config_file", "options", "durations", "suggestions", "api.base_url")
STAGES = ("run", "opening", "judging", "publishing", "proving", "probing", "walked_users", "reconcile")
RUN = ("crawl", "snapshot", "lock", "state", "version", "guards", *STAGES, *SHARED)
MAY_IMPORT = {
    **dict.fromkeys(SHARED, SHARED),
    **{room: (room, *SHARED) for room in ("api", "crawl", "snapshot", "load", "bulk")},
    **dict.fromkeys(("accounts", "config", "config_file", "options", "durations"), (*SETTINGS, *SHARED)),
    **dict.fromkeys(("progress", "summary", "terminal", "logs"), ("durations", "terminal", *SHARED)),
    **dict.fromkeys(("lock", "state", "watchdog", "blocking", "suggestions", "version"), SHARED),
    **dict.fromkeys(("export", *STAGES), RUN),
    "guards": SHARED,
    "client": ("api", "version", *SHARED),
    "": ("client",),
    "emulator": ("emulator",),
    "__main__": ("commands", "terminal"),
}
"""What a module or a room may import of syncer; what is not named here may be imported by ``commands`` only."""
HOMES = {
    "aiohttp": ("api.transport", "emulator"),
    "yarl": ("api.transport",),
    "aiolimiter": ("api.throttle",),
    "orjson": ("api", "crawl", "snapshot", "bulk", "emulator"),
    "pyarrow": ("snapshot", "load", "bulk.ids"),
    "obstore": ("snapshot.bucket", "snapshot.object_address", "snapshot.object_errors", "snapshot.object_file"),
    "cryptography": ("snapshot.signing",),
    "rich": ("progress", "commands"),
    "shtab": ("commands.completion",),
    "duckdb": ("load.into_duckdb",),
    "adbc_driver_manager": ("load.into_postgres",),
    "adbc_driver_postgresql": ("load.into_postgres",),
    "deltalake": ("load.into_delta",),
    "pyiceberg": ("load.into_iceberg",),
    "sqlite3": ("crawl.spool_database", "snapshot.disk_sort"),
}
FORBIDDEN_NAMES = {"core", "utils", "util", "common", "helpers", "base"}


def modules(package: Path) -> dict[str, ast.Module]:
    """Every module below a package by its dotted name, without the package's own."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def imports(nodes: Iterator[ast.AST]) -> Iterator[str]:
    """Full names imported; for ``from a import b`` also ``a.b``, which may be a module. Types only do not count."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield f"relative import of {node.module}" if node.level else str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def at_run_time(tree: ast.AST, *, in_functions: bool) -> Iterator[ast.AST]:
    """The nodes that run: all of them, or only those that run when the module is imported."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if in_functions or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield node
            yield from at_run_time(node, in_functions=in_functions)


def within(name: str, places: tuple[str, ...]) -> bool:
    return any(name == place or name.startswith(place + ".") for place in places)


def violations(package: Path) -> list[str]:
    """Every breach of the rules, in words."""
    trees = modules(package)
    found = [f"{name} has a forbidden name" for name in trees if FORBIDDEN_NAMES & set(name.split("."))]
    graph: dict[str, set[str]] = {}
    for name, tree in trees.items():
        everything = set(imports(at_run_time(tree, in_functions=True)))
        found += [f"{name}: {text}" for text in everything if text.startswith("relative")]
        inner = {text.removeprefix("syncer.") for text in everything if text.startswith("syncer.")} & set(trees)
        allowed = MAY_IMPORT.get(name.split(".")[0], ())
        if not within(name, ("commands",)):
            found += [f"{name} imports {target}" for target in sorted(inner) if not within(target, allowed)]
        elif name != "commands.emulator" and any(within(target, ("emulator",)) for target in inner):
            found.append(f"{name} imports the emulator")
        for library, homes in HOMES.items():
            if any(within(text, (library,)) for text in everything) and not within(name, homes):
                found.append(f"{name} imports {library}")
        loaded = {text.removeprefix("syncer.") for text in imports(at_run_time(tree, in_functions=False))}
        graph[name] = {target for target in loaded & set(trees) if target != name and target not in ROOMS}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as cycle:
        found.append(f"import cycle of {', '.join(sorted(set(cycle.args[1])))}")
    return found


def test_the_rooms_import_only_what_they_may() -> None:
    assert violations(ROOT / "syncer") == []


def test_planted_violations_are_found(tmp_path: Path) -> None:
    planted = {
        "api/client.py": "from syncer.crawl import walk\n",
        "crawl/walk.py": "def f():\n    import aiohttp\n",
        "errors.py": "import syncer.model\n",
        "model.py": "from syncer.errors import X\n",
        "emulator/server.py": "from syncer.model import Page\n",
        "utils/things.py": "",
        "export.py": "from syncer.config import Settings\n",
        "config.py": "import pyarrow.parquet\n",
        "commands/check.py": "import syncer.emulator.server\n",
        "commands/verify.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import aiohttp\n",
    }
    for name, text in planted.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert sorted(violations(tmp_path)) == [
        "api.client imports crawl.walk",
        "commands.check imports the emulator",
        "config imports pyarrow",
        "crawl.walk imports aiohttp",
        "emulator.server imports model",
        "export imports config",
        "import cycle of errors, model",
        "utils.things has a forbidden name",
    ]
