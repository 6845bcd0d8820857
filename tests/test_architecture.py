"""The house rules: which room may import which, no circles, SQL in one room, hosts at the edge, small files.

Every rule is a function from a package folder to its violations, so that each is also tried on a copy of the package
with one violation planted in it.
"""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "rap_plugin"

WORDS = {"flags", "errors", "config", "rollout"}
"""Modules at the top that any room may use: they import nothing but each other."""

ARROWS: dict[str, set[str]] = {
    "flags": set(),
    "errors": {"flags"},
    "config": {"errors", "flags"},
    "rollout": set(),
    "progress": set(),
    "demo": set(),
    "samples": WORDS,
    "grading": WORDS,
    "evidence": WORDS | {"grading", "samples"},
    "scorers": WORDS | {"evidence"},
    "selectors": WORDS | {"evidence", "samples", "scorers"},
    "engines": WORDS | {"evidence", "samples"},
    "hookspecs": WORDS,
    "builtins": {"engines", "grading", "hookspecs", "samples", "scorers", "selectors"},
    "plugins": {"builtins", "errors", "hookspecs"},
    "posterior": WORDS | {"evidence", "plugins", "scorers", "selectors"},
    "executors": WORDS | {"engines", "plugins", "samples"},
    "run_dir": WORDS | {"evidence", "samples", "selectors"},
    "report": WORDS | {"evidence", "plugins", "posterior", "run_dir", "samples", "scorers", "selectors"},
    "pipeline": WORDS
    | {"engines", "evidence", "executors", "grading", "plugins", "progress", "report", "run_dir", "samples"}
    | {"posterior", "selectors"},
    "exports": WORDS | {"pipeline", "plugins", "run_dir", "samples"},
    "evaluation": WORDS | {"grading", "progress", "samples"},
    "hosts": WORDS | {"evidence", "posterior", "run_dir", "selectors"},
    "vlm_r3": WORDS
    | {
        "engines",
        "evaluation",
        "evidence",
        "executors",
        "grading",
        "pipeline",
        "plugins",
        "progress",
        "run_dir",
        "samples",
    },
    "modality_gap": WORDS
    | {"engines", "evaluation", "exports", "grading", "plugins", "progress", "run_dir", "samples"},
    "openrlhf_hooks": WORDS
    | {
        "engines",
        "evidence",
        "executors",
        "grading",
        "hosts",
        "modality_gap",
        "pipeline",
        "plugins",
        "posterior",
        "run_dir",
        "samples",
        "selectors",
        "vlm_r3",
    },
    "trl_hooks": WORDS
    | {
        "engines",
        "grading",
        "hosts",
        "modality_gap",
        "pipeline",
        "plugins",
        "posterior",
        "run_dir",
        "samples",
        "selectors",
        "vlm_r3",
    },
    "verl_hooks": WORDS
    | {"grading", "hosts", "modality_gap", "pipeline", "plugins", "posterior", "run_dir", "samples", "vlm_r3"},
    "lmms_tasks": WORDS | {"evaluation", "plugins", "progress", "samples", "vlm_r3"},
    "vlmeval_datasets": WORDS | {"evaluation", "plugins", "samples", "vlm_r3"},
    "cli": WORDS
    | {"demo", "evaluation", "exports", "modality_gap", "pipeline", "plugins", "progress", "report", "run_dir"}
    | {"samples", "trl_hooks", "vlm_r3"},
}
"""Every room, from the ground up, and the rooms that it may import. What is not here may not be."""

INSIDE = {
    "grading.reading": {"grading.graders", "grading.workers"},
    "grading.workers": {"grading.graders"},
    "samples.formats": {"samples.containers", "samples.opening", "samples.ingest"},
    "samples.containers": {"samples.formats", "samples.opening", "samples.ingest"},
    "engines.hf": {"engines.vllm", "engines.openai"},
    "evaluation.rules": {"evaluation.benchmarks", "evaluation.scoring", "evaluation.judge"},
}
"""Inside a room: parts, and what of the same room they must not import."""

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
SUBCLASSES_OF_A_HOST = {
    "lmms_tasks/model.py",
    "lmms_tasks/r3_model.py",
    "trl_hooks/callbacks.py",
    "trl_hooks/contrastive_trainer.py",
    "trl_hooks/dapo_trainer.py",
    "trl_hooks/region_trainer.py",
    "verl_hooks/contrastive_agent.py",
    "verl_hooks/contrastive_engine.py",
    "verl_hooks/dataset.py",
    "verl_hooks/follow_agent.py",
    "verl_hooks/r3_agent.py",
}
"""Loaded by their host alone, after the host: a subclass cannot be made inside a function and still be found by name."""

SQL = re.compile(
    r"\b(?:SELECT\s.+\sFROM|INSERT\s+(?:OR\s+\w+\s+)?INTO|DELETE\s+FROM|CREATE\s+TABLE|ALTER\s+TABLE|PRAGMA\s+\w|UPDATE\s+\w+\s+SET)\b",
    re.DOTALL,
)
LONGEST = 400
MODULES_AT_THE_TOP = 12

Tree = dict[str, tuple[Path, ast.Module]]


@cache
def _parsed(path: Path, stamp: int) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def modules(package: Path) -> Tree:
    """Every module by its name below the package (`samples.pool`); a folder's `__init__` bears the folder's name."""
    found: Tree = {}
    for path in sorted(package.rglob("*.py")):
        parts = list(path.relative_to(package).with_suffix("").parts)
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = (path, _parsed(path, path.stat().st_mtime_ns))
    return found


def room(name: str) -> str:
    return name.split(".")[0]


def _reached(node: ast.AST) -> Iterator[ast.AST]:
    """Every node below, without what only type checkers read."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            for other in child.orelse:
                yield other
                yield from _reached(other)
            continue
        yield child
        yield from _reached(child)


def imported(nodes: Iterator[ast.AST]) -> Iterator[tuple[str, str]]:
    """(module, name) of every import; the name is empty for `import module`."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            yield from ((node.module or "", alias.name) for alias in node.names)


def arrows(tree: Tree) -> dict[str, set[str]]:
    """Module -> modules of the package that it imports, at its top or inside functions."""
    found: dict[str, set[str]] = {}
    for name, (_, parsed) in tree.items():
        found[name] = set()
        for module, part in imported(_reached(parsed)):
            if room(module) != "rap_plugin":
                continue
            inside = module.removeprefix("rap_plugin").lstrip(".")
            deeper = f"{inside}.{part}".strip(".")
            found[name].add(deeper if deeper in tree else inside)
        found[name] -= {name, ""}
    return found


def rooms_without_a_rule(package: Path) -> list[str]:
    return sorted({room(name) for name in modules(package)} - {"", *ARROWS})


def forbidden_arrows(package: Path) -> list[str]:
    wrong = []
    for name, targets in arrows(modules(package)).items():
        for target in sorted(targets):
            here, there = room(name), room(target)
            if here != there and there not in ARROWS.get(here, set()):
                wrong.append(f"{name} imports {target}")
            for part, closed in INSIDE.items():
                if name.startswith(part) and any(target == one or target.startswith(one + ".") for one in closed):
                    wrong.append(f"{name} imports {target}")
    return wrong


def unused_permissions(package: Path) -> list[str]:
    used: dict[str, set[str]] = {}
    for name, targets in arrows(modules(package)).items():
        used.setdefault(room(name), set()).update(map(room, targets))
    return [
        f"{here} -> {there}" for here, allowed in ARROWS.items() for there in allowed - WORDS - used.get(here, set())
    ]


def circles(package: Path) -> list[list[str]]:
    """Groups of files that import each other, directly or through others (Tarjan's components of two or more)."""
    graph = arrows(modules(package))
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        order[name] = lowest[name] = len(order)
        stack.append(name)
        for target in sorted(graph.get(name, ())):
            if target not in order:
                visit(target)
                lowest[name] = min(lowest[name], lowest[target])
            elif target in stack:
                lowest[name] = min(lowest[name], order[target])
        if lowest[name] == order[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1:
                found.append(sorted(group))

    for name in sorted(graph):
        if name not in order:
            visit(name)
    return found


def upward_rooms(package: Path) -> list[str]:
    """Arrows to a room that stands at or above the importing one in the list of rooms."""
    floor = {name: at for at, name in enumerate(ARROWS)}
    return [
        f"{name} imports {target}"
        for name, targets in arrows(modules(package)).items()
        for target in sorted(targets)
        if room(name) in floor and room(target) in floor
        # The plugin manager loads the built-in plugin, which registers rooms below it.
        if room(name) != room(target) and floor[room(target)] >= floor[room(name)]
    ]


def hosts_out_of_place(package: Path) -> list[str]:
    wrong = []
    for name, (path, parsed) in modules(package).items():
        for module, _ in imported(ast.walk(parsed)):
            owners = HOSTS.get(room(module))
            if owners is not None and room(name) not in owners:
                wrong.append(f"{name} imports {module}")
        if room(name) in MAY_IMPORT_TORCH or path.relative_to(package).as_posix() in SUBCLASSES_OF_A_HOST:
            continue
        top = (node for node in parsed.body if isinstance(node, (ast.Import, ast.ImportFrom)))
        wrong += [f"{name} imports {module} at its top" for module, _ in imported(top) if room(module) in HEAVY]
    return wrong


def sql_out_of_place(package: Path) -> list[str]:
    wrong = []
    for name, (_, parsed) in modules(package).items():
        if room(name) == "evidence":
            continue
        wrong += [f"{name} imports sqlite3" for module, _ in imported(ast.walk(parsed)) if module == "sqlite3"]
        for node in ast.walk(parsed):
            text = _text_of(node)
            if text and SQL.search(text):
                wrong.append(f"{name}:{node.lineno} holds SQL")  # type: ignore[attr-defined]
    return wrong


def _text_of(node: ast.AST) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "x" for part in node.values)
    return ""


def long_files(package: Path) -> list[str]:
    written = [path for path in package.rglob("*") if path.suffix in (".py", ".j2", ".css", ".js")]
    lengths = {path.relative_to(package).as_posix(): path.read_text(encoding="utf-8").count("\n") for path in written}
    return [f"{name} has {lines} lines" for name, lines in sorted(lengths.items()) if lines > LONGEST]


def crowded_top(package: Path) -> list[str]:
    found = sorted(path.name for path in package.glob("*.py"))
    return found if len(found) > MODULES_AT_THE_TOP else []


ON_PURPOSE = {"RapDataset", "RapModel"}
"""Names that two hosts show their users, each for its own."""


def words_used_twice(package: Path) -> list[str]:
    """Classes of one name in two files."""
    homes: dict[str, set[str]] = {}
    for name, (_, parsed) in modules(package).items():
        for node in ast.walk(parsed):
            if isinstance(node, ast.ClassDef):
                homes.setdefault(node.name.lstrip("_"), set()).add(name)
    return sorted(
        f"{word}: {sorted(where)}" for word, where in homes.items() if len(where) > 1 and word not in ON_PURPOSE
    )


RULES: dict[str, Callable[[Path], list[str] | list[list[str]]]] = {
    "every room has a rule": rooms_without_a_rule,
    "a room imports what its rule allows": forbidden_arrows,
    "no arrow runs upward": upward_rooms,
    "no two files import each other": circles,
    "hosts are imported by their own folders, inside functions": hosts_out_of_place,
    "SQL stands under evidence/ alone": sql_out_of_place,
    "no file is longer than 400 lines": long_files,
    "few modules lie directly in the package": crowded_top,
    "a word names one class": words_used_twice,
    "no permission is left over": unused_permissions,
}

PLANTED = {
    "every room has a rule": ("attic/things.py", "import json\n"),
    "a room imports what its rule allows": ("trl_hooks/planted.py", "def f():\n    from rap_plugin.cli import main\n"),
    "no arrow runs upward": ("evidence/planted.py", "from rap_plugin.selectors.base import Decision\n"),
    "no two files import each other": (
        "samples/sample.py",
        "\n\ndef planted():\n    from rap_plugin.samples.images import open_image\n",
    ),
    "hosts are imported by their own folders, inside functions": ("scorers/planted.py", "import torch\n"),
    "SQL stands under evidence/ alone": ("report/planted.py", 'QUERY = f"SELECT {1} FROM rollouts"\n'),
    "no file is longer than 400 lines": ("scorers/planted.py", "A = 1\n" * 401),
    "few modules lie directly in the package": ("planted.py", ""),
    "a word names one class": ("scorers/planted.py", "class EvidenceStore: ...\n"),
}


@pytest.mark.parametrize("rule", RULES)
def test_the_package_keeps_the_rule(rule: str) -> None:
    assert RULES[rule](PACKAGE) == []


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's code in a folder of its own."""
    copy = tmp_path_factory.mktemp("house") / "rap_plugin"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "model", "*.parquet", "tasks"))
    return copy


@pytest.mark.parametrize("rule", PLANTED)
def test_a_planted_violation_is_found(rule: str, copies: Path) -> None:
    name, text = PLANTED[rule]
    path = copies / name
    before = path.read_text(encoding="utf-8") if path.exists() else None
    path.parent.mkdir(exist_ok=True)
    planted = [path] if rule != "few modules lie directly in the package" else [copies / f"p{i}.py" for i in range(13)]
    try:
        for one in planted:
            one.write_text((before or "") + text, encoding="utf-8")
        assert RULES[rule](copies) != []
    finally:
        for one in planted:
            one.unlink()
        if before is not None:
            path.write_text(before, encoding="utf-8")


def test_what_is_read_for_types_only_is_no_arrow(copies: Path) -> None:
    path = copies / "samples" / "planted.py"
    path.write_text(
        "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from rap_plugin.cli import main\n", encoding="utf-8"
    )
    try:
        assert forbidden_arrows(copies) == forbidden_arrows(PACKAGE)
    finally:
        path.unlink()
