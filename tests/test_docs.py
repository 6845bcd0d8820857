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


def section(document: str, heading: str) -> str:
    """The part of a document under one heading, up to the next of its rank."""
    text = (DOCS / document).read_text(encoding="utf-8")
    rank = heading.split(" ")[0]
    assert f"\n{heading}\n" in text, f"{document} has no heading {heading!r}"
    return re.split(rf"\n#{{1,{len(rank)}}} ", text.split(f"\n{heading}\n")[1])[0]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_documented_with_its_command_or_as_an_option_of_the_configuration(name: str) -> None:
    quoted = " ".join(re.findall(r"`([^`]+)`", section("commands.md", f"## rap {name}")))
    own = re.findall(r"--[a-z][a-z-]*", quoted)
    general = re.findall(r"^\| `[a-z_.]+` \| `(--[a-z-]+)` \|", (DOCS / "configuration.md").read_text(), re.MULTILINE)
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    for parameter in [*command.params, *(p for c in getattr(command, "commands", {}).values() for p in c.params)]:
        if isinstance(parameter, click.Option):
            configured = parameter.name is not None and "__" in parameter.name
            assert parameter.opts[0] in (general if configured else own), f"rap {name} {parameter.opts[0]}"


def test_every_subcommand_is_documented() -> None:
    for name in COMMANDS:
        for sub in getattr(cli.get_command(click.Context(cli), name), "commands", {}):
            assert f"`rap {name} {sub}" in section("commands.md", f"## rap {name}"), f"rap {name} {sub}"


@pytest.mark.parametrize("verdict", VERDICTS)
def test_every_verdict_has_its_line_in_the_table_of_verdicts(verdict: str) -> None:
    assert re.search(rf"^\| `{verdict}` \| \S.+ \|$", (DOCS / "evidence.md").read_text(), re.MULTILINE)


def test_every_column_of_the_evidence_is_documented_under_its_table() -> None:
    for table, columns in re.findall(r"CREATE TABLE IF NOT EXISTS (\w+) \((.*?)\n\)", SCHEMA, re.DOTALL):
        part = section("evidence.md", f"### {table}")
        for column in re.findall(r"^\s+([a-z_0-9]+) [A-Z]", columns, re.MULTILINE):
            if not column.startswith("psi_"):
                assert f"`{column}`" in part, f"{table}.{column}"


def test_links_between_documents_lead_somewhere() -> None:
    for path in [ROOT / "README.md", *DOCS.glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name}: {target}"
