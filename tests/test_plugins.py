"""Plugins: names taken twice, plugins that fail, plugin files."""

from __future__ import annotations

import threading
import time
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rap_plugin import hookimpl
from rap_plugin import plugins as plugins_module
from rap_plugin.errors import RapError
from rap_plugin.plugins import KINDS, get_plugins, load_plugin_files


class Greedy:
    """Wants a name that a built-in has."""

    @hookimpl
    def rap_register_selectors(self, register) -> None:
        register("rap", lambda table, scores, config: None)


class Broken:
    """Raises while it registers."""

    @hookimpl
    def rap_register_scorers(self, register) -> None:
        raise ValueError("no scorers today")


@pytest.fixture
def plugins():
    manager = get_plugins()
    added: list[object] = []

    def add(plugin: object, name: str) -> None:
        manager.register(plugin, name)
        added.append(plugin)

    manager.add_for_test = add  # type: ignore[attr-defined]
    yield manager
    for plugin in added:
        manager.unregister(plugin)
    manager.failures.clear()


def test_built_ins_come_through_the_hooks_like_everything_else() -> None:
    registry = get_plugins().registry()
    for kind in KINDS:
        assert registry.things[kind], f"no {kind}"
        assert set(registry.owners[kind].values()) >= {"built-in"}


def test_a_name_taken_twice_is_an_error_that_names_both_plugins(plugins) -> None:
    plugins.add_for_test(Greedy(), "greedy")
    with pytest.raises(RapError, match=r"'rap' is registered by both plugin 'built-in' and plugin 'greedy'"):
        plugins.registry()


def test_a_plugin_that_fails_to_load_is_reported_by_name_and_stops_no_other(plugins) -> None:
    plugins.add_for_test(Broken(), "broken")
    registry = plugins.registry()
    assert "discrepancy" in registry.things["scorers"]
    assert plugins.failures["broken"] == "ValueError: no scorers today"


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(RapError, match=r"unknown selector 'best'; known: band, follow, gap, limr, random, rap, top"):
        get_plugins().registry().get("selectors", "best")


def test_a_plugin_file_is_loaded_once_however_often_it_is_named(tmp_path: Path) -> None:
    file = tmp_path / "my_plugin.py"
    file.write_text(
        "from rap_plugin import hookimpl\n"
        "@hookimpl\n"
        "def rap_register_scorers(register):\n"
        "    register('length', lambda table, config: table.images)\n"
    )
    load_plugin_files([str(file), str(file)])
    load_plugin_files([str(file)])
    manager = get_plugins()
    try:
        assert "length" in manager.registry().things["scorers"]
        assert manager.registry().owners["scorers"]["length"] == str(file)
    finally:
        manager.unregister(manager.manager.get_plugin(str(file)))
    assert "length" not in manager.registry().things["scorers"]


def test_a_plugin_file_that_is_missing_or_broken_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RapError, match="no such plugin file"):
        load_plugin_files([str(tmp_path / "nowhere.py")])
    broken = tmp_path / "broken.py"
    broken.write_text("import does_not_exist_anywhere\n")
    with pytest.raises(RapError, match="failed to load"):
        load_plugin_files([str(broken)])


def test_plugins_can_be_modules() -> None:
    module = types.ModuleType("a_module")
    module.rap_register_scorers = hookimpl(lambda register: register("zero", lambda table, config: table.rows * 0.0))  # type: ignore[attr-defined]
    manager = get_plugins()
    manager.register(module, "a_module")
    try:
        assert manager.registry().owners["scorers"]["zero"] == "a_module"
    finally:
        manager.unregister(module)


def test_threads_that_come_first_together_get_the_same_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins_module, "_plugins", None)
    together, made = threading.Barrier(8), plugins_module._new

    def slowly() -> plugins_module.Plugins:
        found = made()
        time.sleep(0.05)  # the others come in the meantime
        return found

    monkeypatch.setattr(plugins_module, "_new", slowly)

    def first(_: int) -> plugins_module.Plugins:
        together.wait(120)
        return get_plugins()

    with ThreadPoolExecutor(8) as threads:
        assert len({id(found) for found in threads.map(first, range(8))}) == 1
