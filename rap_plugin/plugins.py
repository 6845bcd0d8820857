"""The plugin manager: what is registered under which name, and by whom. Built-ins are plugins."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pluggy

from rap_plugin import hookspecs
from rap_plugin.errors import Command, RapError

GROUP = "rap_plugin"
"""Both the pluggy project and the entry-point group."""

KINDS = ("formats", "graders", "engines", "scorers", "selectors")


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
                    self.failures[owner] = f"{type(error).__name__}: {error}"
        return registry


def _register_into(registry: Registry, kind: str, owner: str) -> Callable[[str, Any], None]:
    def register(name: str, thing: Any) -> None:
        taken = registry.owners[kind].get(name)
        if taken is not None:
            raise RapError(
                f"{kind[:-1]} {name!r} is registered by both plugin {taken!r} and plugin {owner!r}; uninstall or rename one"
            )
        registry.things[kind][name] = thing
        registry.owners[kind][name] = owner

    return register


def _new() -> Plugins:
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    plugins = Plugins(manager)
    from rap_plugin import builtins

    plugins.register(builtins, "built-in")
    # One by one, because PluginManager.load_setuptools_entrypoints stops at the first that fails.
    for entry in sorted(importlib.metadata.entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            plugins.register(entry.load(), entry.name)
        except Exception as error:
            plugins.failures[entry.name] = f"{type(error).__name__}: {error}"
    return plugins


_plugins: Plugins | None = None


def get_plugins() -> Plugins:
    """The process's plugin manager, loaded on first use."""
    global _plugins
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
        except Exception as error:
            raise RapError(f"{text}: the plugin failed to load ({type(error).__name__}: {error})") from error
        plugins.register(module, name)
