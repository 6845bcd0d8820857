"""Command line options made from the configuration's fields, so that flags, YAML and documentation agree."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import click

from rap_plugin.config import field_of
from rap_plugin.flags import FLAGS

Command = TypeVar("Command", bound=Callable[..., Any])


def config_options(sections: Iterable[str]) -> Callable[[Command], Command]:
    """Adds --config, --set, --plugin and the flags of the named sections to a command.

    The command receives `config_path`, `assignments`, `plugin_files` and, per flag, its dotted name with
    `__` for the dot; `flag_values` turns those into what `load_config` takes.
    """
    wanted = [name for name in FLAGS if name.split(".")[0] in set(sections)]

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


def _option(name: str) -> Callable[[Command], Command]:
    info = field_of(name)
    kind, choices = _kind(info.annotation)
    shown = "" if info.default in (None, "", False) else f" [{info.default}]"
    help_text = f"{info.description or _plain(name)}{shown}"
    destination = name.replace(".", "__")
    flag = FLAGS[name]
    if kind is bool:  # also where None means "decide by the rest of the configuration"
        return click.option(f"{flag}/--no-{flag[2:]}", destination, default=None, help=help_text)
    # What is chosen among numbers is a number.
    convert = _to_int if choices and kind is int else None
    shape = click.Choice(choices) if choices else kind
    return click.option(flag, destination, type=shape, callback=convert, default=None, help=help_text)


def _to_int(_context: click.Context, _option: click.Parameter, value: str | None) -> int | None:
    return None if value is None else int(value)


def _kind(annotation: Any) -> tuple[Any, list[str]]:
    origin = get_origin(annotation)
    if origin is Literal:
        given = get_args(annotation)
        return (int if all(isinstance(value, int) for value in given) else str), [str(value) for value in given]
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
