"""The documentation site: built without a warning, every page in it, every error findable; the tutorial runs as printed."""

from __future__ import annotations

import ast
import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from rap_plugin import errors
from rap_plugin.cli import cli

ROOT = Path(__file__).resolve().parents[1]
HOOKS = runpy.run_path(str(ROOT / "scripts" / "site_hooks.py"))


def pages(entries: object) -> list[str]:
    if isinstance(entries, str):
        return [entries]
    values = entries.values() if isinstance(entries, dict) else entries
    return [name for entry in values for name in pages(entry)]  # type: ignore[attr-defined]


def test_every_page_is_in_the_navigation() -> None:
    found = pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])
    assert sorted(found) == sorted(path.name for path in (ROOT / "docs").glob("*.md"))


@cache
def listed_errors() -> str:
    return str(HOOKS["errors"]())


def test_errors_are_listed_with_their_constant_words() -> None:
    listed = listed_errors()
    assert "no model given; add --model with a hub id or a folder" in listed
    assert "there is no ..; `rap decide ..` writes it".replace("`", "") in listed
    assert listed.count("\n- ") > 400


@pytest.mark.parametrize(
    "words",
    [
        "the selection is empty: .. of .. samples are ..",  # a class on top of RapError
        "the attention by token of rollout .. cannot be read",  # handed to a function that makes the error
        "its pool is neither where it was (..) nor beside the run",  # made by a function without arguments of its own
        "choose another --out, or add --extend",  # told with the names of options
    ],
)
def test_errors_that_are_made_in_other_ways_are_listed_too(words: str) -> None:
    assert words in listed_errors()


def test_every_text_of_every_error_is_found() -> None:
    """What a user reads and searches for: each piece of text in the call of an error, wherever it stands in it."""
    listed, missing, seen = " ".join(listed_errors().split()), [], 0
    for path in sorted((ROOT / "rap_plugin").rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") in ERRORS:
                seen += 1
                for text in texts_in(call):
                    words = " ".join(text.replace("`", "").split())
                    if len(words) > 9 and words not in listed:
                        missing.append(f"{path.relative_to(ROOT)}:{call.lineno}: {words}")
    assert missing == []
    assert seen > 400


ERRORS = {name for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, errors.RapError)}


def texts_in(call: ast.AST) -> Iterator[str]:
    """The pieces of text in a call, without those that choose something: keys, and what is compared."""
    for part in ast.iter_child_nodes(call):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value
        elif not isinstance(part, ast.Compare | ast.Subscript | ast.Call | ast.FormattedValue):
            yield from texts_in(part)


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("material", reason="mkdocs-material is not installed (scripts/setup_hosts.sh)")
    pytest.importorskip("mkdocstrings", reason="mkdocstrings is not installed (scripts/setup_hosts.sh)")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    assert "open_run" in (tmp_path / "site" / "api" / "index.html").read_text(encoding="utf-8")
    assert "no model given" in (tmp_path / "site" / "troubleshooting" / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial.md"])
def test_the_printed_installation_has_what_the_printed_commands_need(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    extras = re.search(r"^pip install '\.\[([a-z,]+)\]'", text, re.MULTILINE)
    assert extras is not None
    assert ("datasets" in extras[1].split(",")) == ("--to trl" in text), "a data set on disk needs the datasets library"


@pytest.mark.slow
def test_the_commands_of_the_tutorial_run_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers", reason="the embedded model needs the extra hf")
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    lines = [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    assert len(lines) == 6
    for line in lines:
        words = shlex.split(line)[1:]
        result = CliRunner().invoke(cli, words + (["--limit", "40", "--quiet"] if words[0] == "demo" else []))
        assert result.exit_code == 0, f"{line}\n{result.output}{result.exception!r}"
    assert (tmp_path / "demo-run" / "export-trl").is_dir()
