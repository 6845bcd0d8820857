"""The task files, and what they name, without lmms-eval."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from write_lmms_tasks import files

from rap_plugin.cli import cli
from rap_plugin.evaluation.benchmarks import BENCHMARKS, GROUPS
from rap_plugin.evaluation.task_names import all_tasks, split_name, task_name
from rap_plugin.lmms_tasks import TASKS, plugin, values


class Loader(yaml.SafeLoader):
    """Gives `!function` tags as their text."""


Loader.add_constructor("!function", lambda loader, node: loader.construct_scalar(node))


def test_the_checked_in_files_are_what_the_definitions_give() -> None:
    assert {path.name: path.read_text("utf-8") for path in TASKS.iterdir() if path.is_file()} == dict(files())


def test_rap_path_prints_the_folder_of_the_task_files() -> None:
    assert Path(CliRunner().invoke(cli, ["path", "lmms-tasks"]).output.strip()) == TASKS


def test_every_task_has_our_prefix_and_a_name_that_reads_back() -> None:
    names = set()
    for benchmark, part, variant in all_tasks():
        name = task_name(benchmark.task(part), variant)
        assert split_name(name) == (benchmark.task(part), variant)
        names.add(name)
    assert {path.stem for path in TASKS.glob("*.yaml")} >= names
    assert all(path.stem.startswith("rap_") for path in TASKS.glob("*.yaml"))
    with pytest.raises(KeyError):
        split_name("mmstar")


def test_every_benchmark_of_the_issue_is_there_with_its_blind_form() -> None:
    have = {path.stem for path in TASKS.glob("*.yaml")}
    for benchmark in BENCHMARKS.values():
        for part in benchmark.parts:
            if part.name != "text_only":
                assert task_name(benchmark.task(part.name), "blind") in have
    for group in GROUPS:
        assert {f"rap_{group}", f"rap_{group}_blind"} <= have
    assert len(GROUPS["reported"]) == 6


def test_every_function_that_a_file_names_exists() -> None:
    import importlib

    named = set()
    for path in TASKS.iterdir():
        if path.is_file():
            text = path.read_text("utf-8")
            named |= {line.split("!function ")[1].strip() for line in text.splitlines() if "!function" in line}
            yaml.load(text, Loader)
    assert len(named) > 50
    for reference in named:
        module, name = reference.rsplit(".", 1)
        if not name.startswith(("data__", "facts__")):
            assert callable(getattr(importlib.import_module(module), name)), reference
    with pytest.raises(AttributeError):
        values.measure__mmstar__nothing  # noqa: B018


def test_a_task_without_its_data_ends_with_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAP_DATA_DIR", str(tmp_path))
    with pytest.raises(SystemExit) as stopped:
        values.data__mmstar  # noqa: B018
    line = str(stopped.value.code)
    assert line.startswith("rap: MMStar is not in")
    assert "\n" not in line


@pytest.mark.parametrize(
    ("judge", "said"),
    [("gpt-4", "no judge of that name"), ("m@http://127.0.0.1:9/v1", "cannot be reached")],
)
def test_an_unknown_or_unreachable_judge_ends_with_one_line(
    judge: str, said: str, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAP_DATA_DIR", str(data_folder))
    monkeypatch.setenv("RAP_JUDGE", judge)
    with pytest.raises(SystemExit) as stopped:
        values.facts__mmvet  # noqa: B018
    assert said in str(stopped.value.code)
    assert "\n" not in str(stopped.value.code)


def test_the_facts_of_a_task_name_data_scorer_and_prompt(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAP_DATA_DIR", str(data_folder))
    monkeypatch.delenv("RAP_JUDGE", raising=False)
    facts = values.facts__mmvp
    assert facts["rows"] == 6
    assert facts["judge"] == "none"
    assert len(facts["content_sha256"]) == 64
    assert {"version", "scorer", "prompt", "dataset", "revision"} <= set(facts)


def test_the_entry_point_never_raises(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> None:
        raise RuntimeError("another version of lmms-eval")

    monkeypatch.setattr(plugin, "add_tasks", broken)
    assert plugin.manifests() == []
    assert "another version of lmms-eval" in capsys.readouterr().err
    monkeypatch.setenv("RAP_LMMS_TASKS", "0")
    assert plugin.manifests() == []
    assert capsys.readouterr().err == ""
