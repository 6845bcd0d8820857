"""Every command and snippet of every page: commands are ones that rap has, and snippets run on small data.

A block of a page is run here, run elsewhere, or listed with the reason why it cannot run in a test; a new block has to be
put into one of the tables. Those that train or sample for minutes run with `make snippets`.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import json
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import pytest

from rap_plugin.cli import cli
from rap_plugin.cli.options import flag_values
from rap_plugin.cli.path import PATHS
from rap_plugin.config import load_config
from rap_plugin.openrlhf_hooks.flags import add_flags
from rap_plugin.verl_hooks.options import CONTRASTIVE, VerlOptions
from tests.fabricate import fabricate

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    path.name: path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
}
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
BLOCKS = {
    (name, number): (kind, text)
    for name, page in PAGES.items()
    for number, (kind, text) in enumerate(BLOCK.findall(page), 1)
}
"""(language, text) by page and number on the page, from 1."""

costly = pytest.mark.skipif(not os.environ.get("RAP_COSTLY_SNIPPETS"), reason="takes a minute or more: make snippets")


@dataclass(frozen=True)
class Snippet:
    """How a Python block runs: what a reader has before it, and what is smaller here."""

    before: str = ""
    smaller: dict[str, str] = field(default_factory=dict)
    after: str = ""
    """What must hold."""


MODEL = """
from datasets import Dataset, Image, Sequence
from transformers import AutoModelForImageTextToText, AutoProcessor
from rap_plugin.demo import MODEL_DIR, POOL_PATH
model = AutoModelForImageTextToText.from_pretrained(MODEL_DIR)
processor = AutoProcessor.from_pretrained(MODEL_DIR)
rows = Dataset.from_parquet(str(POOL_PATH)).select(range(24)).to_list()
dataset = Dataset.from_list([
    {"prompt": [{"role": "user", "content": row["problem"].replace("<image>", "")}], "images": row["images"],
     "answer": row["answer"]}
    for row in rows
]).cast_column("images", Sequence(Image()))
"""
TRAINING = """
from trl import GRPOConfig, GRPOTrainer
args = GRPOConfig(output_dir="out", report_to="none", use_cpu=True, max_steps=1, num_generations=2,
                  per_device_train_batch_size=2, max_completion_length=48)
"""

PYTHON = {
    ("grading.md", 1): Snippet(smaller={"grader.grade(": "verdict = grader.grade("}, after='assert verdict == "right"'),
    ("grading.md", 2): Snippet(after="assert my_grader('a', 'b', 'c') is None"),
    ("grading.md", 3): Snippet(after="from rap_plugin.grading import GradeItem\nassert callable(starts)"),
    ("hooks.md", 1): Snippet(after="assert callable(rap_register_scorers)"),
    ("pools.md", 1): Snippet(
        smaller={"print(item)": "found.append(item)"}, before="found = []", after="assert len(found) == 20"
    ),
    ("python.md", 1): Snippet(after="assert sum(run.verdicts.values()) == 20 and sample.pictures"),
    ("report.md", 1): Snippet(after='assert Path("flow.svg").read_text().startswith("<svg")'),
    ("report.md", 2): Snippet(smaller={"draws=200": "draws=3"}, after="assert 0 <= comparison.pairs[0].jaccard <= 1"),
}

PYTHON_COSTLY = {
    ("trl.md", 2): Snippet(
        before=MODEL,
        smaller={
            '"Qwen/Qwen2.5-VL-3B-Instruct"': "str(MODEL_DIR)",
            "max_completion_length=1024": "max_completion_length=48, use_cpu=True, max_steps=1, num_generations=2, "
            "per_device_train_batch_size=2",
            "keep=0.1": "keep=0.5",
        },
    ),
    ("trl.md", 3): Snippet(
        before=MODEL + TRAINING + "from rap_plugin.trl_hooks import accuracy_reward\n",
        smaller={"..., train_dataset": "reward_funcs=[accuracy_reward], args=args, processing_class=processor, train_dataset",
                 "keep=0.1": "keep=0.5"},
    ),
    ("following.md", 1): Snippet(
        before=MODEL,
        smaller={"max_steps=500, num_generations=8, per_device_train_batch_size=16, max_completion_length=512":
                 "max_steps=1, num_generations=2, per_device_train_batch_size=2, max_completion_length=48, use_cpu=True"},
    ),
    ("following.md", 2): Snippet(
        before=MODEL + TRAINING + "from rap_plugin.trl_hooks import follow\n",
        after="assert followed.follower.options.renew_attention == 0.05",
    ),
    ("following.md", 3): Snippet(
        before=MODEL + TRAINING + "from rap_plugin.trl_hooks import follow, prompt_groups\n",
        after="assert len(followed.follower.beliefs(0)) == 24",
    ),
    ("README.md", 6): Snippet(
        before=MODEL + TRAINING,
        smaller={"train_dataset=dataset, ...": "train_dataset=dataset, args=args, processing_class=processor",
                 "select_dataset(dataset, model,": "select_dataset(dataset, model, processing_class=processor, args=args,",
                 "keep=0.1": "keep=0.5"},
    ),
}  # fmt: skip

DEMO = {"pool.parquet": "$(rap path demo-pool)", "Qwen/Qwen2.5-VL-7B-Instruct": "$(rap path demo-model)"}
SHELL_COSTLY = {
    ("your_data.md", 2): {**DEMO, "--limit 100": "--limit 12"},
    ("engines.md", 1): {**DEMO, "--engine vllm --out run\n": "--limit 12 --out run\n", "\nrap select": "\n: rap select"},
    ("planning.md", 1): {
        "POOL": "$(rap path demo-pool)", "MODEL": "$(rap path demo-model)", "--group 8": "--group 8 --pilot 12"
    },
    ("vlm_r3.md", 1): {"pool.parquet": "pool.jsonl", "MODEL": "$(rap path r3-model)"},
    ("vlm_r3.md", 5): {},
}  # fmt: skip
"""Shell blocks that run with the models that come with the package, and what is smaller then."""

ELSEWHERE = {
    ("tutorial.md", 2): "tests/test_site.py",
    ("tutorial.md", 3): "tests/test_site.py",
    ("tutorial.md", 4): "tests/test_site.py",
    ("README.md", 2): "tests/test_readme.py",
    ("modality_gap.md", 1): "tests/trl_hooks/test_contrastive_trainer.py",
    ("vlm_r3.md", 3): "tests/trl_hooks/test_region_sft.py",
    ("vlm_r3.md", 4): "tests/trl_hooks/test_region_trainer.py",
    ("engines.md", 1): "tests/engines/test_openai.py",
    ("evaluation.md", 1): "tests/lmms_tasks/test_lmms_eval.py",
}
"""Blocks whose content runs in a test of its own room."""

COMMANDS = {
    "commands.md": "completion of a shell", "modality_gap.md": "data, a model and GPUs of the reader",
    "openrlhf.md": "a training", "pays_for_itself.md": "hours", "planning.md": "a pool of the reader",
    "scaling.md": "several machines", "trl.md": "a training", "tutorial.md": "an installation",
    "verl.md": "a training", "vlm_r3.md": "a model of the reader", "your_data.md": "a pool of the reader",
    "README.md": "installations and trainings", "evidence.md": "SQL, which runs below",
}  # fmt: skip
"""Pages with shell blocks that stand for the reader's own pool, model or cluster: their commands are parsed below, not run."""


def test_every_block_of_every_page_is_run_or_has_its_reason() -> None:
    decided = {*PYTHON, *PYTHON_COSTLY, *ELSEWHERE}
    assert decided <= set(BLOCKS), "a block that is listed is gone"
    for (page, number), (kind, text) in BLOCKS.items():
        if (page, number) in decided or kind in ("yaml", "json"):
            continue
        assert kind != "python", f"{page}: Python block {number} is in no table of tests/test_snippets.py:\n{text}"
        assert page in COMMANDS, f"{page}: block {number} is in no table of tests/test_snippets.py:\n{text}"
    for where in ELSEWHERE.values():
        assert (ROOT / where).exists(), where


def rap_commands() -> Iterator[tuple[str, str, bool]]:
    """(page, command, whether it is a line of a shell block) for every `rap ..` there or in backticks."""
    for name, page in PAGES.items():
        blocks = "\n".join(text for kind, text in BLOCK.findall(page) if kind in ("sh", "bash", ""))
        joined = blocks.replace("\\\n", " ")
        inline = re.findall(r"`(rap [a-z][^`]*)`", re.sub(BLOCK, "", page))
        lines = [(line, True) for line in joined.splitlines()] + [(line, False) for line in inline]
        for line, whole in lines:
            # What a shell puts into a command, and what a page leaves out, are words here.
            plain = re.sub(r"\$\([^)]*\)|\$\{?\w+\}?", "WORD", line.split(" && ")[-1].strip())
            if plain.startswith("rap ") and "|" not in plain:
                yield name, plain, whole


def flags_of(words: list[str]) -> tuple[click.Command, list[str], list[str]]:
    """The command that words name, its words, and the options among the rest."""
    command: click.Command = cli
    path: list[str] = []
    rest = list(words)
    while isinstance(command, click.Group) and rest:
        found = command.get_command(click.Context(command), rest[0])
        if found is None:
            break
        command, path = found, [*path, rest.pop(0)]
    return command, path, [word.split("=")[0] for word in rest if word.startswith("--") and word != "--"]


def parsed(command: click.Command, words: list[str]) -> dict[str, Any]:
    """What the real command would be called with; files and folders of the reader's need not be there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(click.Path, "convert", lambda self, value, param, ctx: value)
        with command.make_context(command.name or "", words) as context:
            return context.params


@pytest.mark.parametrize("page", sorted({page for page, *_ in rap_commands()}))
def test_every_rap_command_of_a_page_is_taken_with_its_options(page: str) -> None:
    """By the parser of the real command, and its options by the configuration; nothing is run."""
    checked = 0
    for _, line, whole in (item for item in rap_commands() if item[0] == page):
        words = shlex.split(line, comments=True)
        words = words[: next((i for i, word in enumerate(words) if word in ("|", ">", "&&", ";")), len(words))]
        words = [word.strip("[]") for word in words]  # what may be given is written [--like this]
        command, path, options = flags_of(words[1:])
        assert path, f"{page}: there is no command {line!r}"
        known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
        for option in options:
            assert option in {*known, "--help"}, f"{page}: {' '.join(path)} has no {option} ({line!r})"
        checked += 1
        if "--help" in options or ".." in line:  # what the page leaves out, the parser would miss
            continue
        try:
            params = parsed(command, words[1 + len(path) :])
        except (click.MissingParameter, click.BadOptionUsage):
            if whole:
                raise
            continue  # `rap select --keep` names an option in a sentence
        except click.BadParameter as error:
            # Such as --samples N.
            if whole or not re.match(r"Invalid value for .+?: '[A-Z]+' ", error.format_message()):
                raise
            continue
        if "assignments" in params:
            load_config(None, flag_values(params), params["assignments"])
    assert checked


def test_every_flag_of_an_openrlhf_command_is_one() -> None:
    """Of OpenRLHF's own parser, read from its source, which starts Ray where it is imported, or of the plugin's."""
    found = importlib.util.find_spec("openrlhf")
    if found is None or not found.submodule_search_locations:
        pytest.skip("OpenRLHF is not installed")
    source = (Path(found.submodule_search_locations[0]) / "cli" / "train_ppo_ray.py").read_text(encoding="utf-8")
    added = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    parser = argparse.ArgumentParser()
    add_flags(parser, {})
    known = {str(part.value) for call in added for part in call.args if isinstance(part, ast.Constant)}
    known |= {name for action in parser._actions for name in action.option_strings}
    checked = 0
    for name, page in PAGES.items():
        for flag in re.findall(
            r"(?<![\w.-])--(?:rap|data|reward|rollout|train|actor|ckpt|vllm|ds|algo)[._][a-z][\w.]*\w", page
        ):
            assert flag in known, f"{name}: OpenRLHF has no {flag}"
            checked += 1
    assert checked > 50


def test_every_data_rap_option_of_a_page_is_one_of_verls() -> None:
    for name, page in PAGES.items():
        for option in re.findall(r"data\.rap\.([a-z_]+)", page):
            assert option in {*VerlOptions.model_fields, *CONTRASTIVE}, f"{name}: data.rap.{option}"


def test_every_script_that_a_page_runs_exists_and_knows_the_options() -> None:
    checked = 0
    for name, page in PAGES.items():
        for script, rest in re.findall(r"python ((?:benchmarks|scripts|examples)/[\w/]+\.py)([^`\n]*)", page):
            path = ROOT / script
            assert path.exists(), f"{name}: {script}"
            shared = path.read_text(encoding="utf-8") + "".join(
                (ROOT / "benchmarks" / f"{module}.py").read_text(encoding="utf-8")
                for module in re.findall(r"^from (\w+) import", path.read_text(encoding="utf-8"), re.MULTILINE)
                if (ROOT / "benchmarks" / f"{module}.py").exists()
            )
            for option in re.findall(r"(?<!\S)(--[a-z][a-z-]*)", rest):
                written = rf'"(--)?{option[2:]}"'  # some scripts make their options from a list of names
                assert re.search(written, shared), f"{name}: {script} has no {option}"
            checked += 1
    assert checked > 20


def test_every_make_target_of_a_page_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for name, page in PAGES.items():
        for target in re.findall(r"(?:`|^)make ([a-z]+)\b", page, re.MULTILINE):
            assert f"\n{target}:" in makefile, f"{name}: make {target}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a pool and two finished runs, RUN and OTHER."""
    folder = tmp_path_factory.mktemp("snippets")
    made = fabricate(folder, 20, broken=0)
    made.store.close()
    made.run.rename(folder / "RUN")
    shutil.copytree(folder / "RUN", folder / "OTHER")
    return folder


def run_python(block: tuple[str, int], snippet: Snippet) -> None:
    text = BLOCKS[block][1]
    for name, other in snippet.smaller.items():
        assert name in text, f"{block}: {name!r} is not in the block any more"
        text = text.replace(name, other)
    source = "\n".join((snippet.before, text, snippet.after))
    exec(compile(source, f"{block[0]} {block[1]}", "exec"), {"__name__": "snippet"})


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: f"{block[0]}-{block[1]}")
def test_the_python_of_a_page_runs(block: tuple[str, int], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    run_python(block, PYTHON[block])


@costly
@pytest.mark.slow
@pytest.mark.parametrize("block", PYTHON_COSTLY, ids=lambda block: f"{block[0]}-{block[1]}")
def test_the_python_that_trains_runs(block: tuple[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_python(block, PYTHON_COSTLY[block])


@costly
@pytest.mark.slow
@pytest.mark.parametrize("block", SHELL_COSTLY, ids=lambda block: f"{block[0]}-{block[1]}")
def test_the_commands_of_a_page_run_on_the_embedded_models(block: tuple[str, int], tmp_path: Path) -> None:
    text = BLOCKS[block][1]
    for name, other in SHELL_COSTLY[block].items():
        assert name in text, f"{block}: {name!r} is not in the block any more"
        text = text.replace(name, other)
    rows = [
        {"problem": f"<image>Which framed digit is {word}?", "answer": "7", "images": [str(PATHS["r3-scene"])]}
        for word in ("larger", "smaller")
    ]
    (tmp_path / "pool.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (tmp_path / "rap").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m rap_plugin.cli "$@"\n')
    (tmp_path / "rap").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-ec", text], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("shell", ["bash"])
def test_completion_is_made_by_the_printed_line(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    (tmp_path / "rap").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m rap_plugin.cli "$@"\n')
    (tmp_path / "rap").chmod(0o755)
    script = BLOCKS["commands.md", 1][1] + "\ncomplete -p rap\n"
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([shell, "-c", script], env=environment, capture_output=True, text=True)
    assert "_rap_completion" in done.stdout, done.stderr


def test_the_configuration_of_the_page_is_one(tmp_path: Path) -> None:
    from rap_plugin.config import load_config

    path = tmp_path / "rap.yaml"
    path.write_text(BLOCKS["configuration.md", 1][1])
    assert load_config(str(path)).selection.lambda_a == "auto"


def test_the_sql_of_the_evidence_page_counts_rollouts(folder: Path) -> None:
    [statement] = re.findall(r'"(select .+)"', BLOCKS["evidence.md", 1][1])
    with closing(sqlite3.connect(folder / "RUN" / "evidence.sqlite")) as db:
        assert sum(count for *_, count in db.execute(statement)) == 20 * 2 * 5


def test_the_row_of_your_own_data_is_read(tmp_path: Path) -> None:
    from rap_plugin.config import PoolConfig
    from rap_plugin.samples.formats import BUILTIN_FORMATS
    from rap_plugin.samples.ingest import ingest
    from rap_plugin.samples.opening import open_pool
    from rap_plugin.samples.sample import Sample
    from tests.conftest import png

    row = json.loads(BLOCKS["your_data.md", 1][1])
    (tmp_path / row["images"][0]).parent.mkdir(parents=True)
    (tmp_path / row["images"][0]).write_bytes(png(1))
    (tmp_path / "pool.jsonl").write_text(json.dumps(row) + "\n")
    config = PoolConfig(path=str(tmp_path / "pool.jsonl"))
    [sample] = ingest(open_pool(config), config, formats=BUILTIN_FORMATS)
    assert isinstance(sample, Sample)
    assert sample.gold == "3"
