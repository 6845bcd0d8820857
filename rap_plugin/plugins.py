"""The plugin manager: what is registered under which name, and by whom. Built-ins are plugins."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pluggy

from rap_plugin import hookspecs
from rap_plugin.errors import Command, RapError, one_line

log = logging.getLogger("rap_plugin")

GROUP = "rap_plugin"
"""Both the pluggy project and the entry-point group."""

BUILT_IN = "built-in"
"""The plugin of what ships with the package."""

KINDS = ("formats", "graders", "engines", "scorers", "selectors")


CALLED = ("graders", "engines", "scorers", "selectors")
"""Kinds that are functions."""


class FromPlugin:
    """A plugin's function, whose errors name it and its plugin; in everything else it is that function."""

    def __init__(self, thing: Callable[..., Any], kind: str, name: str, owner: str) -> None:
        self.__wrapped__ = thing
        self._named = f"{kind[:-1]} {name!r} of plugin {owner!r}"
        self._check = CHECKS.get(kind)

    def __call__(self, *args: Any, **options: Any) -> Any:
        try:
            result = self.__wrapped__(*args, **options)
            if self._check is not None:
                self._check(result, len(args[0]))
        except RapError:
            raise
        except Exception as error:
            raise RapError(f"{self._named} failed ({_kind_of(error)}); mend it, or leave it out") from error
        return result

    def __getattr__(self, name: str) -> Any:
        if name == "__wrapped__":  # not there yet, as while a copy is made
            raise AttributeError(name)
        return getattr(self.__wrapped__, name)


def _check_numbers(result: Any, count: int) -> None:
    import numpy as np

    shape = np.asarray(result, dtype=np.float64).shape
    if shape != (count,):
        raise TypeError(f"one number per sample is expected, {count} in all, not an array of shape {shape}")


def _check_decision(result: Any, count: int) -> None:
    given = [len(getattr(result, name, ())) for name in ("verdicts", "reasons")]
    if given != [count, count]:
        raise TypeError(
            f"a Decision with {count} verdicts and reasons is expected, not {type(result).__name__} with {given}"
        )


CHECKS: dict[str, Callable[[Any, int], None]] = {"scorers": _check_numbers, "selectors": _check_decision}


@dataclass
class Registry:
    """All registered things by kind and name, with the plugins they came from."""

    things: dict[str, dict[str, Any]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    owners: dict[str, dict[str, str]] = field(default_factory=lambda: {kind: {} for kind in KINDS})

    def get(self, kind: str, name: str) -> Any:
        """The thing of that name, or an error that lists the known ones."""
        try:
            return self.things[kind][name]
        except KeyError:
            known = ", ".join(sorted(self.things[kind]))
            raise RapError(
                f"unknown {kind[:-1]} {name!r}; known: {known} (", Command("rap plugins"), " shows who brings what)"
            ) from None


@dataclass
class Plugins:
    """The plugin manager with what went wrong while loading."""

    manager: pluggy.PluginManager
    failures: dict[str, str] = field(default_factory=dict)
    _registry: Registry | None = None

    def registry(self) -> Registry:
        """Collects everything registered; cached until a plugin is added or removed."""
        if self._registry is None:
            self._registry = self._collect()
        return self._registry

    def register(self, plugin: object, name: str | None = None) -> None:
        """Adds a plugin (a module or any object with hook implementations)."""
        self.manager.register(plugin, name=name)
        self._registry = None

    def unregister(self, plugin: object) -> None:
        """Removes a plugin again."""
        self.manager.unregister(plugin)
        self._registry = None

    def names(self) -> list[str]:
        """Names of the loaded plugins, built-ins first, then in order of loading."""
        return [name for name, plugin in self.manager.list_name_plugin() if plugin is not None]

    def _collect(self) -> Registry:
        registry = Registry()
        for kind in KINDS:
            caller = getattr(self.manager.hook, f"rap_register_{kind}")
            # Called one by one, so that a broken plugin is reported by name and the others still register.
            for implementation in caller.get_hookimpls():
                owner = implementation.plugin_name
                try:
                    implementation.function(register=_register_into(registry, kind, owner))
                except RapError:
                    raise
                except Exception as error:
                    self.fail(owner, error)
        return registry

    def fail(self, name: str, error: BaseException) -> None:
        """Notes that a plugin failed, and says so once."""
        if name not in self.failures:
            log.warning("rap: plugin %s failed and is left out (%s)", name, _kind_of(error))
        self.failures[name] = _kind_of(error)

    def tell(self, hook: str, **facts: Any) -> None:
        """Calls a hook of every plugin. One that raises stops no other; then RapError names it."""
        problems = []
        for implementation in reversed(getattr(self.manager.hook, hook).get_hookimpls()):
            try:
                implementation.function(*(facts[name] for name in implementation.argnames))
            except RapError as error:
                problems.append(error)
            except Exception as error:
                named = f"{hook} of plugin {implementation.plugin_name!r} failed ({_kind_of(error)})"
                problems.append(RapError(f"{named}; everything stored is kept: mend the plugin, or leave it out"))
        if problems:
            raise problems[0]


def _register_into(registry: Registry, kind: str, owner: str) -> Callable[[str, Any], None]:
    def register(name: str, thing: Any) -> None:
        taken = registry.owners[kind].get(name)
        if taken is not None:
            raise RapError(
                f"{kind[:-1]} {name!r} is registered by both plugin {taken!r} and plugin {owner!r}; uninstall or rename one"
            )
        if not isinstance(name, str) or not name:
            raise TypeError(f"{kind[:-1]} registered under {name!r}: a name is expected")
        if kind in CALLED and not callable(thing):
            raise TypeError(f"{kind[:-1]} {name!r} is no function but {type(thing).__name__}")
        if kind in CALLED and owner != BUILT_IN:
            thing = FromPlugin(thing, kind, name, owner)
        registry.things[kind][name] = thing
        registry.owners[kind][name] = owner

    return register


def _new() -> Plugins:
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    plugins = Plugins(manager)
    from rap_plugin import builtins

    plugins.register(builtins, BUILT_IN)
    # One by one, because PluginManager.load_setuptools_entrypoints stops at the first that fails.
    for entry in sorted(importlib.metadata.entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            plugins.register(entry.load(), entry.name)
        except (Exception, SystemExit) as error:
            plugins.fail(entry.name, error)
    return plugins


_plugins: Plugins | None = None
_making = threading.RLock()


def get_plugins() -> Plugins:
    """The process's plugin manager, loaded on first use."""
    global _plugins
    if _plugins is None:
        with _making:  # two threads that come first at once get the same one
            if _plugins is None:
                _plugins = _new()
    return _plugins


def load_plugin_files(paths: Iterable[str]) -> None:
    """Loads plugins given as files (`--plugin my_plugin.py`); the same file twice is loaded once."""
    plugins = get_plugins()
    for text in paths:
        path = Path(text).resolve()
        name = str(path)
        if plugins.manager.has_plugin(name):
            continue
        spec = importlib.util.spec_from_file_location(f"rap_plugin_file_{path.stem}", path)
        if spec is None or spec.loader is None or not path.is_file():
            raise RapError(f"{text}: no such plugin file; give the path of a .py file")
        module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
            plugins.register(module, name)
            plugins.manager.check_pending()  # a hook that there is not, by a slip of the pen
        except (Exception, SystemExit) as error:
            if plugins.manager.has_plugin(name):
                plugins.unregister(module)
            raise RapError(f"{text}: the plugin failed to load ({_kind_of(error)})") from error
        plugins.registry()
        if name in plugins.failures:
            # Asked for by name: going on without it would be another run than the one that was asked for.
            plugins.unregister(module)
            raise RapError(f"{text}: the plugin failed to register ({plugins.failures.pop(name)})")


def _kind_of(error: BaseException) -> str:
    text = one_line(error)
    return text if text.startswith(type(error).__name__) else f"{type(error).__name__}: {text}"
