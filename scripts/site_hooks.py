"""What the documentation site adds to docs/: links that leave the folder become names, and every error is listed."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
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
    for path in sorted((ROOT / "rap_plugin").rglob("*.py")):
        room = path.relative_to(ROOT / "rap_plugin").parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in (
                "RapError",
                "EmptySelection",
                "NoFittingSize",
            ):
                text = "".join(map(shown, node.args)).strip()
                if len(text) > 12:
                    found[room].add(text)
    parts = []
    for room, texts in sorted(found.items()):
        parts.append(f"### From `{room}`\n")
        parts += [f"- `{text.replace('`', '')}`" for text in sorted(texts)]
        parts.append("")
    return "\n".join(parts)


def shown(node: ast.expr) -> str:
    """The constant parts of a message."""
    if isinstance(node, ast.Constant):
        return " ".join(str(node.value).split(" "))
    if isinstance(node, ast.JoinedStr):
        return "".join(shown(part) if isinstance(part, ast.Constant) else ".." for part in node.values)
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("Option", "Command") and node.args:
        return shown(node.args[0])
    if isinstance(node, ast.BinOp):
        return shown(node.left) + shown(node.right)
    return ".."
