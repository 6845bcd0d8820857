"""All hooks: a signature and one sentence each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluggy import HookimplMarker, HookspecMarker

if TYPE_CHECKING:
    import click

    from rap_plugin.evidence.records import RolloutRecord
    from rap_plugin.samples.sample import Sample
    from rap_plugin.selectors.base import Selection

hookspec = HookspecMarker("rap_plugin")
hookimpl = HookimplMarker("rap_plugin")

Register = Callable[[str, Any], None]
"""`register(name, thing)`; a name taken twice is an error that names both plugins."""


@hookspec
def rap_register_formats(register: Register) -> None:
    """Register pool formats: `register("my-format", Format(...))`."""


@hookspec
def rap_register_graders(register: Register) -> None:
    """Register graders: `register("my-grader", factory)` where `factory(options)` returns a Grader."""


@hookspec
def rap_register_engines(register: Register) -> None:
    """Register engines: `register("my-engine", factory)` where `factory(model_config)` returns an Engine."""


@hookspec
def rap_register_scorers(register: Register) -> None:
    """Register scorers: `register("my_score", function)`; `function(table, config)` returns one number per sample."""


@hookspec
def rap_register_selectors(register: Register) -> None:
    """Register selectors: `register("my-rule", function)`; `function(table, scores, config)` returns a Decision."""


@hookspec
def rap_register_commands(cli: click.Group) -> None:
    """Add commands to `rap`."""


@hookspec
def rap_sample_probed(sample: Sample, rollouts: Sequence[RolloutRecord]) -> None:
    """Called when a batch with rollouts of a sample is stored and graded, with all of the sample's that are by then.

    Both arms', and those that failed, which carry no grade.
    """


@hookspec
def rap_selection_made(run: Path, selection: Selection) -> None:
    """Called when a selection is complete and its files are written to the run directory."""
