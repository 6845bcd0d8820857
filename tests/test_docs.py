"""The documentation names every hook, command, option, verdict and column; nothing is out of date."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import click
import pytest

from rap_plugin import hookspecs
from rap_plugin.cli import COMMANDS, cli
from rap_plugin.evidence.schema import SCHEMA
from rap_plugin.selectors.base import VERDICTS

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
HOOKS = [name for name, value in vars(hookspecs).items() if name.startswith("rap_") and inspect.isfunction(value)]


def everything() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *sorted(DOCS.glob("*.md"))])


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_documented_with_its_signature(hook: str) -> None:
    parameters = ", ".join(inspect.signature(getattr(hookspecs, hook)).parameters)
    assert f"`{hook}({parameters})`" in (DOCS / "hooks.md").read_text()


def test_the_configuration_document_is_the_one_that_the_code_gives() -> None:
    namespace: dict[str, object] = {"__file__": str(ROOT / "scripts" / "write_option_docs.py"), "__name__": "docs"}
    exec((ROOT / "scripts" / "write_option_docs.py").read_text(), namespace)
    assert namespace["render"]() == (DOCS / "configuration.md").read_text(), (  # type: ignore[operator]
        "run python scripts/write_option_docs.py"
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_its_options_are_documented(name: str) -> None:
    text = (DOCS / "commands.md").read_text()
    assert f"## rap {name}" in text
    part = text.split(f"## rap {name}\n")[1].split("\n## ")[0] + (DOCS / "configuration.md").read_text()
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.opts[0] in part, f"rap {name} {parameter.opts[0]}"


def test_every_verdict_and_every_evidence_column_is_documented() -> None:
    text = everything()
    for verdict in VERDICTS:
        assert f"`{verdict}`" in text, verdict
    evidence = (DOCS / "evidence.md").read_text()
    for table in re.findall(r"CREATE TABLE IF NOT EXISTS (\w+) \((.*?)\n\)", SCHEMA, re.DOTALL):
        assert f"### {table[0]}" in evidence
        for column in re.findall(r"^\s+([a-z_0-9]+) [A-Z]", table[1], re.MULTILINE):
            if not column.startswith("psi_"):
                assert f"`{column}`" in evidence, f"{table[0]}.{column}"


def test_links_between_documents_lead_somewhere() -> None:
    for path in [ROOT / "README.md", *DOCS.glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name}: {target}"
