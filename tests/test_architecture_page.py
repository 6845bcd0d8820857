"""docs/architecture.md names files, functions and rooms that exist, and every room stands in it and in its drawing."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.test_architecture import ARROWS, PACKAGE

ROOT = PACKAGE.parent
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`([a-z0-9_/]+\.py)(?::(\w+))?`", PAGE)))


def names_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {getattr(node, "name", "") for node in ast.walk(tree)}
    targets = [target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
    targets += [node.target for node in tree.body if isinstance(node, ast.AnnAssign)]
    return names | {target.id for target in targets if isinstance(target, ast.Name)}


def test_the_page_names_enough_to_be_a_map() -> None:
    assert len(NAMED) >= 40


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_what_the_page_names_is_there(file: str, name: str) -> None:
    path = next((base / file for base in (PACKAGE, ROOT) if (base / file).is_file()), None)
    assert path is not None, file
    assert not name or name in names_in(path), f"{file} defines no {name}"


@pytest.mark.parametrize("room", ARROWS)
def test_every_room_is_on_the_page_and_in_the_drawing(room: str) -> None:
    table = PAGE.split("## Four ways")[0]
    assert f"`{room}`" in table
    assert f">{room}</text>" in (ROOT / "docs" / "images" / "architecture.svg").read_text(encoding="utf-8")


def test_the_tree_in_the_readme_names_every_room_in_ten_lines() -> None:
    tree = next(
        block for block in (ROOT / "README.md").read_text("utf-8").split("```") if block.startswith("\nrap_plugin/")
    )
    assert len(tree.strip().splitlines()) == 10
    named = set(re.findall(r"[a-z_0-9]+", " ".join(re.split(r"\s{3,}", line.strip())[0] for line in tree.splitlines())))
    assert named >= set(ARROWS) - {"demo"}
