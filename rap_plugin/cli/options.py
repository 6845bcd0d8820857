"""Command line options made from the configuration's fields, so that flags, YAML and documentation agree."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from rap_plugin.config import RunConfig

Command = TypeVar("Command", bound=Callable[..., Any])

SHORT = {
    "pool.format": "--format",
    "pool.question": "--question",
    "pool.answer": "--answer",
    "pool.images": "--images",
    "pool.image_root": "--image-root",
    "pool.split": "--split",
    "pool.limit": "--limit",
    "pool.allow_urls": "--allow-urls",
    "model.id": "--model",
    "model.revision": "--revision",
    "model.engine": "--engine",
    "model.dtype": "--dtype",
    "model.device": "--device",
    "model.batch_size": "--batch-size",
    "model.trust_remote_code": "--trust-remote-code",
    "sampling.rollouts": "--rollouts",
    "sampling.temperature": "--temperature",
    "sampling.top_p": "--top-p",
    "sampling.max_prompt_tokens": "--max-prompt-tokens",
    "sampling.max_new_tokens": "--max-new-tokens",
    "sampling.seed": "--seed",
    "sampling.curtail": "--curtail",
    "prompt.instruction": "--instruction",
    "prompt.system": "--system",
    "prompt.blind": "--blind",
    "grading.grader": "--grader",
    "ace.reduction": "--reduction",
    "ace.heads": "--heads",
    "ace.window": "--window",
    "selection.selector": "--selector",
    "selection.preset": "--preset",
    "selection.lambda_c": "--lambda-c",
    "selection.lambda_a": "--lambda-a",
    "selection.keep": "--keep",
    "execution.executor": "--executor",
    "execution.workers": "--workers",
}
"""The options with a flag of their own; every other one is set with `--set section.name=value`."""


def config_options(sections: Iterable[str]) -> Callable[[Command], Command]:
    """Adds --config, --set, --plugin and the flags of the named sections to a command.

    The command receives `config_path`, `assignments`, `plugin_files` and, per flag, its dotted name with
    `__` for the dot; `flag_values` turns those into what `load_config` takes.
    """
    wanted = [name for name in SHORT if name.split(".")[0] in set(sections)]

    def decorate(command: Command) -> Command:
        for name in reversed(wanted):
            command = _option(name)(command)
        command = click.option("--plugin", "plugin_files", multiple=True, metavar="FILE", help="Load a plugin file.")(
            command
        )
        command = click.option(
            "--set", "assignments", multiple=True, metavar="NAME=VALUE", help="Set any option, as in --set ace.sigma=2."
        )(command)
        return click.option("--config", "config_path", type=click.Path(dir_okay=False), help="YAML file of options.")(
            command
        )

    return decorate


def flag_values(values: dict[str, Any]) -> dict[str, Any]:
    """Flags as dotted names, those not given left out."""
    return {name.replace("__", "."): value for name, value in values.items() if "__" in name and value is not None}


def field_of(name: str) -> FieldInfo:
    """The configuration's field behind a dotted name."""
    section, field = name.split(".")
    kind = RunConfig.model_fields[section].annotation
    assert isinstance(kind, type)
    assert issubclass(kind, BaseModel)
    return kind.model_fields[field]


def _option(name: str) -> Callable[[Command], Command]:
    info = field_of(name)
    kind, choices = _kind(info.annotation)
    shown = "" if info.default in (None, "", False) else f" [{info.default}]"
    help_text = f"{info.description or _plain(name)}{shown}"
    destination = name.replace(".", "__")
    flag = SHORT[name]
    if kind is bool:  # also where None means "decide by the rest of the configuration"
        return click.option(f"{flag}/--no-{flag[2:]}", destination, default=None, help=help_text)
    return click.option(
        flag, destination, type=click.Choice(choices) if choices else kind, default=None, help=help_text
    )


def _kind(annotation: Any) -> tuple[Any, list[str]]:
    origin = get_origin(annotation)
    if origin is Literal:
        values = [str(value) for value in get_args(annotation)]
        return str, values
    if origin in (Union, types.UnionType):
        kinds = [part for part in get_args(annotation) if part is not type(None)]
        if len(kinds) == 1:
            return _kind(kinds[0])
        return str, []
    if origin is not None:
        return _kind(get_args(annotation)[0])
    return annotation, []


def _plain(name: str) -> str:
    return name.split(".")[1].replace("_", " ")
