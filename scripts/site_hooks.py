"""What the documentation site adds to docs/: links that leave the folder become names, and every error is listed.

`python scripts/site_hooks.py` prints that list.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
ERRORS = "<!-- errors -->"
"""Where the list of errors goes."""
OUTSIDE = re.compile(r"\[([^\]]+)\]\((\.\./[^)]+)\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Called by mkdocs for every page."""
    markdown = OUTSIDE.sub(lambda link: f"{link[1]} (`{link[2].removeprefix('../')}`)", markdown)
    return markdown.replace(ERRORS, errors()) if ERRORS in markdown else markdown


def errors() -> str:
    """Every message of a RapError in the package, by room, with `..` for what depends on the case."""
    found: dict[str, set[str]] = defaultdict(set)
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "rap_plugin").rglob("*.py"))}
    makers = makers_of(trees.values())
    for path, tree in trees.items():
        room = path.relative_to(ROOT / "rap_plugin").parts[0].removesuffix(".py")
        known = texts_of(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and called(node) in makers:
                texts = ["".join(map(shown, node.args)).strip()]
                # One of two messages, or of two endings.
                choices = [part for part in ast.walk(node) if isinstance(part, ast.IfExp)]
                texts += [shown(branch).strip() for part in choices for branch in (part.body, part.orelse)]
                # A message that was put together before has a name here: its texts stand for it.
                texts += [text for part in node.args for text in known.get(getattr(part, "id", ""), ())]
                found[room].update(text for text in texts if len(text.replace(".", "").strip()) > 9)
    parts, about = [], rooms()
    for room, texts in sorted(found.items()):
        parts.append(f"### {room}\n\n{about.get(room, '')}\n")
        parts += [f"- `{text.replace('`', '')}`" for text in sorted(texts)]
        parts.append("")
    return "\n".join(parts)


def rooms() -> dict[str, str]:
    """What each room is for, in the words of docs/architecture.md."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.+?) \| (.+?) \|$", text, re.MULTILINE)
    return {name: about[0].upper() + about[1:] + "." for names, about in rows for name in re.findall(r"`(\w+)`", names)}


def makers_of(trees: Iterable[ast.Module]) -> set[str]:
    """Names that make such an error: RapError, the classes on top of it, and functions that return one."""
    makers = {"RapError"}
    nodes = [node for tree in trees for node in ast.walk(tree)]
    classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
    before = 0
    while before < len(makers):
        before = len(makers)
        makers |= {one.name for one in classes if any(getattr(base, "id", "") in makers for base in one.bases)}
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef) and node.returns is not None]
    return makers | {
        one.name for one in functions if any(getattr(p, "id", "") in makers for p in ast.walk(one.returns))
    }


def texts_of(tree: ast.Module) -> dict[str, set[str]]:
    """By name of a variable: the texts that are assigned to it."""
    found: dict[str, set[str]] = defaultdict(set)
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id].add(shown(node.value).strip())
    return found


def called(node: ast.Call) -> str:
    """The name of what is called, without what it is an attribute of."""
    return getattr(node.func, "id", "") or getattr(node.func, "attr", "")


def shown(node: ast.expr) -> str:
    """The constant parts of a message."""
    if isinstance(node, ast.Constant):
        return " ".join(str(node.value).split(" "))
    if isinstance(node, ast.JoinedStr):
        return "".join(shown(part) if isinstance(part, ast.Constant) else ".." for part in node.values)
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("Option", "Command") and node.args:
        return option(node.args[0]) if getattr(node.func, "id", "") == "Option" else shown(node.args[0])
    if isinstance(node, ast.BinOp):
        return shown(node.left) + shown(node.right)
    return ".."


def option(name: ast.expr) -> str:
    """An option as the command line spells it."""
    from rap_plugin.flags import flag_of

    return flag_of(str(name.value)) if isinstance(name, ast.Constant) else shown(name)


if __name__ == "__main__":
    print(errors())
