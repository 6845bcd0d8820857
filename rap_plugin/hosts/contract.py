"""Whether a host still has what our code needs of it: functions, their parameters, and the names that their code uses."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from types import CodeType
from typing import Any

from rap_plugin.errors import RapError

Requirements = Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]
"""module:name -> (parameters that are used, names and texts that its code still has to hold)"""


@dataclass(frozen=True)
class Host:
    """What a refusal says of a host."""

    name: str
    distribution: str
    tested: tuple[str, ...]
    """Versions that the tests drive. Others run if nothing has moved."""
    ours: str
    """What of ours needs it."""
    instead: str
    """The way around it."""


def installed(host: Host) -> str:
    """The installed version, "of an unknown version" where the package has no metadata."""
    try:
        return version(host.distribution)
    except PackageNotFoundError:
        return "of an unknown version"


def refuse(host: Host, problems: Sequence[str]) -> None:
    """Raises RapError, one line, that names the first problem and the ways around it; nothing where there is none."""
    if not problems:
        return
    more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
    raise RapError(
        f"{host.name} {installed(host)} does not fit {host.ours} (tested: {', '.join(host.tested)}): {problems[0]}{more}; "
        f"{host.instead}, or install a tested version"
    )


def unmet(requirements: Requirements) -> list[str]:
    """What the installed host no longer has, one line each; empty where all is there."""
    return [problem for name, needed in requirements.items() if (problem := _look_up(name, *needed))]


def check_function(shown: str, thing: Any, parameters: Sequence[str] = (), uses: Sequence[str] = ()) -> str | None:
    """What is wrong with a function, None if nothing."""
    if not callable(thing):
        return f"{shown} is gone"
    there = inspect.signature(thing).parameters
    for parameter in parameters:
        if parameter not in there:
            return f"{shown} has no parameter {parameter!r}"
    names = set(_words(inspect.unwrap(thing).__code__)) if uses else set()
    return next((f"{shown} no longer uses {word!r}" for word in uses if word not in names), None)


def _look_up(name: str, parameters: Sequence[str], uses: Sequence[str]) -> str | None:
    module, _, path = name.partition(":")
    shown = name.replace(":", ".")
    try:
        thing: Any = importlib.import_module(module)
        for part in path.split("."):
            thing = getattr(thing, part)
    except (ImportError, AttributeError) as error:
        return f"{shown} is gone ({error})"
    return check_function(shown, thing, parameters, uses)


def _words(code: CodeType) -> Iterator[str]:
    """Every name and text in a function's code, and in the functions inside it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _words(constant)
        else:
            yield from (
                part for part in (constant if isinstance(constant, tuple) else (constant,)) if isinstance(part, str)
            )
