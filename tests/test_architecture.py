"""Dependencies point one way, and hosts are imported by their own folders only, inside functions."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "rap_plugin"
ROOMS = ("samples", "grading", "engines", "evidence", "scorers", "selectors", "report", "exports", "cli")
FORBIDDEN = {
    "samples": {"engines", "evidence", "scorers", "selectors", "report", "exports", "cli", "grading"},
    "grading": {"engines", "evidence", "scorers", "selectors", "report", "exports", "cli", "samples"},
    "engines": {"scorers", "selectors", "report", "exports", "cli"},
    "evidence": {"scorers", "selectors", "report", "exports", "cli"},
    "executors": {"scorers", "selectors", "report", "exports", "cli", "grading"},
    "scorers": {"engines", "selectors", "report", "exports", "cli"},
    "selectors": {"report", "exports", "cli"},
}
"""Rooms that a room must not import from. `engines.base` holds words (Arm, Response) and is no engine."""

HOSTS = {
    "openrlhf": {"openrlhf_hooks"},
    "trl": {"trl_hooks"},
    "verl": {"verl_hooks"},
    "lmms_eval": {"lmms_tasks"},
    "vlmeval": {"vlmeval_datasets"},
    "vllm": {"engines", "openrlhf_hooks"},
    "ray": {"executors", "openrlhf_hooks"},
}
HEAVY = {"torch", "transformers", "datasets", *HOSTS}
MAY_IMPORT_TORCH = {"engines", "openrlhf_hooks"}
SUBCLASSES_OF_A_HOST = {"lmms_tasks/model.py", "trl_hooks/callbacks.py", "verl_hooks/dataset.py"}
"""Loaded by their host alone, after the host: a subclass cannot be made inside a function and still be found by name."""


def modules() -> Iterator[tuple[Path, str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).parts
        yield path, parts[0] if len(parts) > 1 else "", ast.parse(path.read_text(encoding="utf-8"))


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def top_level_imports(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from imports(node)


@pytest.mark.parametrize("room", FORBIDDEN)
def test_a_room_imports_nothing_from_the_rooms_behind_it(room: str) -> None:
    for path, found, tree in modules():
        if found != room:
            continue
        for name in imports(tree):
            parts = name.split(".")
            if parts[0] != "rap_plugin" or len(parts) < 2 or name.startswith("rap_plugin.engines.base"):
                continue
            assert parts[1] not in FORBIDDEN[room], f"{path.relative_to(PACKAGE)} imports {name}"


def test_hosts_are_imported_by_their_own_folders_only() -> None:
    for path, room, tree in modules():
        for name in imports(tree):
            host = name.split(".")[0]
            if host in HOSTS:
                assert room in HOSTS[host], f"{path.relative_to(PACKAGE)} imports {name}"


def test_nothing_heavy_is_imported_at_the_top_of_a_light_module() -> None:
    for path, room, tree in modules():
        if room in MAY_IMPORT_TORCH or path.relative_to(PACKAGE).as_posix() in SUBCLASSES_OF_A_HOST:
            continue
        for name in top_level_imports(tree):
            assert name.split(".")[0] not in HEAVY, f"{path.relative_to(PACKAGE)} imports {name} at its top"
