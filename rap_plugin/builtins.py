"""The built-in plugin: everything that ships with the package registers through the same hooks as others' work."""

from __future__ import annotations

from rap_plugin.hookspecs import Register, hookimpl


@hookimpl
def rap_register_formats(register: Register) -> None:
    from rap_plugin.samples.formats import BUILTIN_FORMATS

    for name, pool_format in BUILTIN_FORMATS.items():
        register(name, pool_format)


@hookimpl
def rap_register_graders(register: Register) -> None:
    from rap_plugin.grading import BUILTIN_GRADERS

    for name, factory in BUILTIN_GRADERS.items():
        register(name, factory)


@hookimpl
def rap_register_engines(register: Register) -> None:
    from rap_plugin.engines import BUILTIN_ENGINES

    for name, factory in BUILTIN_ENGINES.items():
        register(name, factory)


@hookimpl
def rap_register_scorers(register: Register) -> None:
    from rap_plugin.scorers import BUILTIN_SCORERS

    for name, scorer in BUILTIN_SCORERS.items():
        register(name, scorer)


@hookimpl
def rap_register_selectors(register: Register) -> None:
    from rap_plugin.selectors import BUILTIN_SELECTORS

    for name, selector in BUILTIN_SELECTORS.items():
        register(name, selector)
