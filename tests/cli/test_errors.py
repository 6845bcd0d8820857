"""What a user meets first: each is one line that says what to do, and status 1."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rap_plugin.cli import cli, main

PLUGIN = Path(__file__).parents[1] / "ability_engine.py"


def rap(*arguments: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rap_plugin.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        # What other packages warn of while torch is imported is no line of ours.
        env={**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"},
        **options,  # type: ignore[call-overload]
    )


def select(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return rap("select", *arguments, "--engine", "ability", "--plugin", PLUGIN, "--grader", "text", "--quiet")


def refused(done: subprocess.CompletedProcess[str], *says: str) -> None:
    assert done.returncode == 1, done.stdout + done.stderr
    lines = [line for line in done.stderr.splitlines() if line]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("rap: ")
    for text in says:
        assert text in lines[0], lines[0]


def test_no_such_file(tmp_path: Path) -> None:
    refused(select(tmp_path / "nowhere.parquet", "--model", "m", "--out", tmp_path / "run"), "nowhere.parquet")


def test_wrong_column(tmp_path: Path, write_pool) -> None:
    pool = write_pool(4)
    done = select(pool, "--model", "m", "--out", tmp_path / "run", "--question", "quesiton")
    refused(done, "quesiton", "problem")


def test_no_images_in_the_pool(tmp_path: Path) -> None:
    pool = tmp_path / "text.jsonl"
    pool.write_text("".join(json.dumps({"question": f"What is {i}?", "answer": str(i)}) + "\n" for i in range(3)))
    refused(select(pool, "--model", "m", "--out", tmp_path / "run"), "none of the 3 rows has an image", "--images")


def test_no_usable_row_at_all(tmp_path: Path) -> None:
    pool = tmp_path / "bad.jsonl"
    row = {"question": "What?", "answer": "1", "image": "missing.png"}
    pool.write_text(json.dumps(row) + "\n" + json.dumps({**row, "answer": "2"}) + "\n")
    refused(
        select(pool, "--model", "m", "--out", tmp_path / "run"), "none of the 2 rows can be used", "unreadable_image"
    )


@pytest.mark.parametrize("model", ["no/such-model", "./no-such-folder"])
def test_unknown_model(tmp_path: Path, write_pool, model: str) -> None:
    done = rap("select", write_pool(4), "--model", model, "--out", tmp_path / "run", "--quiet")
    refused(done, model)


def test_no_model(tmp_path: Path, write_pool) -> None:
    refused(rap("select", write_pool(4), "--out", tmp_path / "run"), "--model")


def test_unknown_engine_and_selector_list_the_known_ones(tmp_path: Path, write_pool) -> None:
    pool = write_pool(4)
    refused(rap("select", pool, "--model", "m", "--engine", "magic", "--out", tmp_path / "a"), "magic", "hf", "vllm")
    refused(select(pool, "--model", "m", "--selector", "best", "--out", tmp_path / "b"), "best", "rap", "random")


def test_output_folder_of_another_configuration(tmp_path: Path, write_pool) -> None:
    pool = write_pool(30)
    assert select(pool, "--model", "m", "--lambda-c", "0.2", "--out", tmp_path / "run").returncode == 0
    refused(
        select(pool, "--model", "other", "--out", tmp_path / "run"), "--model='m', not 'other'", "--out", "--extend"
    )


def test_empty_selection(tmp_path: Path, write_pool) -> None:
    done = select(write_pool(12), "--model", "m", "--lambda-c", "1", "--out", tmp_path / "run")
    assert done.returncode == 1
    assert "the selection is empty" in done.stderr
    assert "language_prior" in done.stderr
    assert (tmp_path / "run" / "scores.parquet").exists()


def test_not_a_run(tmp_path: Path) -> None:
    for command in ("decide", "report", "verify"):
        refused(rap(command, tmp_path), "no run directory of rap")


def test_a_broken_configuration_file(tmp_path: Path, write_pool) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("sampling: {rolouts: 3}\n")
    done = rap("select", write_pool(4), "--config", file, "--out", tmp_path / "run")
    refused(done, "run.yaml", "unknown option sampling.rolouts", "sampling.rollouts")


def test_a_store_that_is_no_store(tmp_path: Path, write_pool) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "evidence.sqlite").write_bytes(b"this is no database, it only has the name of one" * 30)
    refused(select(write_pool(4), "--model", "m", "--out", tmp_path / "run"), "cannot open the evidence store")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX only")
def test_two_processes_in_one_run_directory(tmp_path: Path, write_pool) -> None:
    from rap_plugin.run_dir.files import locked

    (tmp_path / "run").mkdir()
    with locked(tmp_path / "run"):
        refused(select(write_pool(4), "--model", "m", "--out", tmp_path / "run"), "another rap process is working here")


def test_a_name_that_is_no_text_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = os.fsencode(tmp_path) + b"/l\xf6l"
    os.mkdir(folder)
    pool = Path(os.fsdecode(folder)) / "pool.parquet"
    pq.write_table(pa.table({"question": ["Q?"], "answer": ["1"]}), tmp_path / "pool.parquet")
    (tmp_path / "pool.parquet").rename(pool)
    with pytest.raises(SystemExit):
        main(["select", str(pool), "--model", "none", "--out", str(tmp_path / "run")])
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 1
    assert "l\\udcf6l/pool.parquet: a name that is no text in utf-8" in said[0]


def test_of_a_text_that_cannot_be_written_its_line_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    @cli.command("writes")
    def writes() -> None:
        ('{\n  "first": 1,\n  "path": "l\udcf6l",\n  "last": 2\n}' * 90).encode()

    try:
        with pytest.raises(SystemExit):
            main(["writes"])
    finally:
        del cli.commands["writes"]
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith('rap: "path": "l\\udcf6l",: a name that is no text in utf-8')


def test_a_terminal_without_the_characters_gets_question_marks() -> None:
    prints = "import sys, rap_plugin.cli as c; c._print_whatever_is_said(); print('é ∠ 2')"
    done = subprocess.run(
        [sys.executable, "-c", prints], capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii"}, check=True
    )
    assert done.stdout.strip() == b"? ? 2"
