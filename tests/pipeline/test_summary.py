"""The end of a selection: lines that fit a terminal, one object for a program, and the counts of an empty selection."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from rap_plugin.cli import cli
from rap_plugin.errors import EmptySelection
from tests.fabricate import finished


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished(tmp_path_factory.mktemp("summary"), samples=80, seed=3)


def decide(run: Path, *words: str, **settings: str) -> list[str]:
    result = CliRunner(env=settings).invoke(cli, ["decide", str(run), "--no-report", *words], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout.splitlines()


def test_no_line_of_the_table_is_longer_than_80_columns(run: Path) -> None:
    lines = decide(run, "--set", "ace.window=20")
    table = lines[: next(i for i, line in enumerate(lines) if "samples selected" in line)]
    verdicts = [line for line in table if not line.startswith(("note:", "cut off"))]
    assert len(verdicts) > 6
    assert max(map(len, verdicts)) <= 80
    assert all(line.split()[0] in ("verdict", "unreadable_image") or "%" in line for line in verdicts)


def test_on_a_terminal_notes_are_cut_between_words(run: Path) -> None:
    words = ("--lambda-a", "3e-4", "--lambda-c", "0.1")
    (note,) = [line for line in decide(run, *words) if "degenerate" in line]
    assert len(note) > 80
    shown = decide(run, *words, TTY_COMPATIBLE="1", FORCE_COLOR="1", NO_COLOR="1", TERM="dumb", COLUMNS="80")
    lines = [line for line in map(click.unstyle, shown) if not line.startswith("0 rollouts")]  # bold takes no columns
    assert max(map(len, lines)) <= 80
    assert " ".join(note.split()) in " ".join(" ".join(lines).split())


def test_a_program_gets_one_object(run: Path) -> None:
    (line,) = decide(run, "--json", "--lambda-c", "0.5")
    found = json.loads(line)
    assert found["selected"] == sum(found["verdicts"].get(word, 0) for word in ("selected", "hard_replacement"))
    assert found["usable"] == sum(found["verdicts"].values())
    assert found["run"] == str(run)


def test_of_an_empty_selection_the_counts_are_shown_too(run: Path) -> None:
    words = ["decide", str(run), "--no-report", "--lambda-c", "1"]
    result = CliRunner().invoke(cli, words)
    assert isinstance(result.exception, EmptySelection)
    assert "language_prior" in result.stdout
    assert "0 of 78 samples selected (0.0%)" in result.stdout
