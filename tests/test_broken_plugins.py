"""Plugins that break, each in its own way: one line that names what broke and whose it is, and status 1."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from rap_plugin import load_config, select_run
from rap_plugin.cli import main
from rap_plugin.plugins import get_plugins
from tests.fabricate import finished, write_pool

HEAD = "from rap_plugin import hookimpl\n"


def registers(kind: str, what: str, before: str = "") -> str:
    return f"{HEAD}{before}\n@hookimpl\ndef rap_register_{kind}(register):\n    register({what})\n"


LOADING = {
    "no Python": "def (",
    "an exception": "raise ValueError('not today')",
    "it leaves": "import sys; sys.exit(0)",
    "a module that is not there": "import does_not_exist_anywhere",
    "a hook with another argument": HEAD + "@hookimpl\ndef rap_register_scorers(registre): ...",
    "a hook that there is not": HEAD + "@hookimpl\ndef rap_register_scorer(register): ...",
    "registration raises": HEAD + "@hookimpl\ndef rap_register_scorers(register): raise KeyError('x')",
    "no function": registers("selectors", "'mine', 3"),
    "a name that is none": registers("scorers", "7, len"),
}
DECIDING = {
    "scorer raises": (registers("scorers", "'mine', lambda table, config: 1 / 0"), "scorer 'mine'", "ZeroDivisionError"),
    "scorer gives a word": (registers("scorers", "'mine', lambda table, config: 'x'"), "scorer 'mine'", "could not convert"),
    "scorer gives too few": (registers("scorers", "'mine', lambda table, config: [1.0]"), "scorer 'mine'", "one number per sample"),
    "selector raises": (registers("selectors", "'mine', lambda t, s, c: s['nope']"), "selector 'mine'", "nope"),
    "selector gives nothing": (registers("selectors", "'mine', lambda t, s, c: None"), "selector 'mine'", "a Decision with"),
    "hook raises": (HEAD + "@hookimpl\ndef rap_selection_made(run): raise OSError('no place')", "rap_selection_made", "no place"),
    "grader's factory raises": (registers("graders", "'mine', lambda options: 1 / 0"), "grader 'mine'", "ZeroDivisionError"),
    "grader raises": (registers("graders", "'mine', lambda options: Bad()", "class Bad:\n    id = 'bad 1'\n    def check_gold(self, gold, question): return None\n    def grade(self, items): raise RuntimeError('out of ink')\n    def close(self): ..."), "grader bad 1", "out of ink"),
    "grader gives too few": (registers("graders", "'mine', lambda options: Bad()", "class Bad:\n    id = 'bad 1'\n    def check_gold(self, gold, question): return None\n    def grade(self, items): return []\n    def close(self): ..."), "grader bad 1", "0 grades for"),
}  # fmt: skip


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[Path]:
    """A place for a plugin file, and no trace of it afterwards."""
    path = tmp_path / "broken_plugin.py"
    yield path
    plugins = get_plugins()
    loaded = plugins.manager.get_plugin(str(path.resolve()))
    if loaded is not None:
        plugins.unregister(loaded)
    plugins.failures.clear()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished(tmp_path_factory.mktemp("run"), samples=24)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    assert ended.value.code == 1
    lines = capsys.readouterr().err.splitlines()
    assert len([line for line in lines if line.startswith("rap: ")]) == len(lines) == 1, lines
    return lines[0]


ENGINE = (
    HEAD
    + """
from rap_plugin.rollout import ModelIdentity, Response

class Bad:
    name, batch_size, measures_attention, identity = "bad", 4, False, ModelIdentity("m", "r")
    def __init__(self, config): ...
    def generate(self, requests, sampling): {generate}
    def attention(self, prompts, sampling): ...
    def close(self): {close}

@hookimpl
def rap_register_engines(register): register("bad", {made})
"""
)
GOOD = "return [[Response(i, str(i % 2)) for i in request.rollouts] for request in requests]"
ENGINES = {
    "no engine": ("...", "...", "lambda config: 7", "engine 'bad': int is no engine, it lacks name, identity"),
    "no responses": ("return [[1 for _ in request.rollouts] for request in requests]", "...", "Bad", "engine bad failed: TypeError: an answer is no Response but int"),
    "nothing": ("return None", "...", "Bad", "engine bad failed: TypeError"),
    "another number": ("return []", "...", "Bad", "engine bad failed: ValueError: 0 answers in 0 rows"),
}  # fmt: skip


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_that_is_none_or_gives_no_responses_is_named(
    name: str, plugin: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generate, close, made, said = ENGINES[name]
    plugin.write_text(ENGINE.format(generate=generate, close=close, made=made))
    pool = write_pool(tmp_path / "pool.parquet", 4, roles=False)
    assert said in refused(capsys, "select", pool, "--model", "m", "--engine", "bad", "--plugin", plugin, "--out", tmp_path / "run", "--grader", "text", "--quiet")  # fmt: skip


def test_an_engine_that_cannot_be_closed_is_told_and_its_run_stays(
    plugin: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plugin.write_text(ENGINE.format(generate=GOOD, close="raise ValueError('stuck')", made="Bad"))
    flags = {"pool.path": str(write_pool(tmp_path / "pool.parquet", 8, roles=False)), "model.id": "m"}
    flags |= {"model.engine": "bad", "plugins": [str(plugin)], "grading.grader": "text", "selection.selector": "random"}
    run = select_run(load_config(flags=flags), tmp_path / "run", quiet=True).run
    assert (run / "selected.parquet").exists()
    assert "engine bad could not be closed (ValueError: stuck)" in caplog.text


def test_a_format_that_raises_is_named(plugin: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = "Format('mine', '', lambda columns, rows: True, None, choose=lambda columns, rows, choice: 1 / 0)"
    brings = registers("formats", f"'mine', {made}", "from rap_plugin.samples.formats.base import Format\n")
    plugin.write_text(ENGINE.format(generate=GOOD, close="...", made="Bad") + brings)
    pool, run = write_pool(tmp_path / "pool.parquet", 4, roles=False), tmp_path / "run"
    said = refused(
        capsys, "select", pool, "--model", "m", "--engine", "bad", "--plugin", plugin, "--out", run, "--quiet"
    )
    assert "format 'mine' failed on" in said


@pytest.mark.parametrize("name", LOADING)
def test_a_plugin_file_that_does_not_load_is_an_error_that_names_it(
    name: str, plugin: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plugin.write_text(LOADING[name])
    for command in (["plugins"], ["decide", run, "--no-report"]):
        assert str(plugin) in refused(capsys, *command, "--plugin", plugin)
    assert not get_plugins().manager.has_plugin(str(plugin.resolve()))
    assert "discrepancy" in get_plugins().registry().things["scorers"], "the others are there"


@pytest.mark.parametrize("name", DECIDING)
def test_what_breaks_at_work_is_named_with_its_plugin(
    name: str, plugin: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, *says = DECIDING[name]
    plugin.write_text(code)
    wanted = ["--selector", "mine"] if "selector" in name else ["--grader", "mine"] if "grader" in name else []
    said = refused(capsys, "decide", run, "--no-report", "--plugin", plugin, *wanted)
    for text in (*says, *([] if says[0].startswith("grader bad") else [str(plugin)])):
        assert text in said


def test_an_installed_plugin_that_fails_is_said_and_the_others_go_on(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken:
        def rap_register_scorers(self, register) -> None: ...

    from rap_plugin import hookimpl

    Broken.rap_register_scorers = hookimpl(lambda self, register: 1 / 0)  # type: ignore[method-assign,assignment]
    plugins, broken = get_plugins(), Broken()
    plugins.register(broken, "an installed one")
    try:
        with caplog.at_level(logging.WARNING, "rap_plugin"):
            assert "discrepancy" in plugins.registry().things["scorers"]
        assert "plugin an installed one failed and is left out (ZeroDivisionError" in caplog.text
        with pytest.raises(SystemExit) as ended:
            main(["plugins"])
        assert ended.value.code == 1
        assert "an installed one: failed to load (ZeroDivisionError" in capsys.readouterr().err
    finally:
        plugins.unregister(broken)
        plugins.failures.clear()


def test_a_hook_that_raises_keeps_no_other_from_being_told() -> None:
    from rap_plugin import RapError, hookimpl

    told = []

    class Raises:
        @hookimpl
        def rap_selection_made(self, run) -> None:
            raise OSError("no place")

    class Listens:
        @hookimpl
        def rap_selection_made(self, run, selection) -> None:
            told.append((run, selection))

    plugins, some = get_plugins(), (Listens(), Raises(), Listens())
    for number, one in enumerate(some):
        plugins.register(one, f"listener {number}")
    try:
        with pytest.raises(RapError, match="rap_selection_made of plugin 'listener 1' failed"):
            plugins.tell("rap_selection_made", run=1, selection=2)
        assert told == [(1, 2), (1, 2)]
    finally:
        for one in some:
            plugins.unregister(one)
