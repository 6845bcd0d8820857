"""The command line as a whole: light, complete, interruptible."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from rap_plugin.cli import cli
from tests.cli.test_errors import PLUGIN, rap, select

HEAVY = ("torch", "transformers", "datasets", "ray", "vllm")


@pytest.mark.parametrize(
    "statement",
    [
        "import rap_plugin",
        "import rap_plugin.cli, rap_plugin.pipeline.select, rap_plugin.report, rap_plugin.pipeline.verify",
        "from rap_plugin.plugins import get_plugins; get_plugins().registry()",
        "import sys; from rap_plugin.cli import main; sys.argv = ['rap', '--help']\ntry: main()\nexcept SystemExit: pass",
    ],
)
def test_nothing_heavy_is_loaded_before_it_is_needed(statement: str) -> None:
    code = f"{statement}\nimport sys\nprint([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_every_name_of_the_public_api_is_there() -> None:
    import rap_plugin

    for name in rap_plugin.__all__:
        assert getattr(rap_plugin, name)
    with pytest.raises(AttributeError):
        rap_plugin.nothing_of_that_name  # noqa: B018


def test_help_lists_every_command_with_a_line() -> None:
    from rap_plugin.cli import COMMANDS

    done = rap("--help")
    for name, (_, text) in COMMANDS.items():
        assert f"  {name} " in done.stdout
        assert text in done.stdout


def test_a_plugin_can_add_a_command(tmp_path: Path) -> None:
    code = (
        "import click, sys\n"
        "from rap_plugin import hookimpl\n"
        "from rap_plugin.plugins import get_plugins\n"
        "class Extra:\n"
        "    @hookimpl\n"
        "    def rap_register_commands(self, cli):\n"
        "        @cli.command()\n"
        "        def hello():\n"
        "            click.echo('hello from a plugin')\n"
        "get_plugins().register(Extra(), 'extra')\n"
        "from rap_plugin.cli import main\n"
        "main(sys.argv[1:])\n"
    )
    done = subprocess.run([sys.executable, "-c", code, "hello"], capture_output=True, text=True)
    assert done.stdout == "hello from a plugin\n", done.stderr
    assert "hello" in subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True).stdout


def test_select_decide_verify_report_export_work_one_after_the_other(tmp_path: Path, write_pool) -> None:
    run = tmp_path / "run"
    for done in (
        select(write_pool(40), "--model", "m", "--lambda-c", "0.3", "--out", run),
        rap("decide", run, "--lambda-c", "0.2", "--plugin", PLUGIN),
        rap("verify", run),
        rap("report", run),
        rap("export", run, "--to", "jsonl", "--out", tmp_path / "exported"),
        rap("plugins", "--json"),
        rap("path", "demo-pool"),
    ):
        assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(rap("plugins", "--json").stdout)["plugins"]["built-in"]["selectors"]


def test_ctrl_c_stops_cleanly_and_says_how_to_go_on(tmp_path: Path, write_pool) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-m", "rap_plugin.cli", "select", str(write_pool(60)), "--model", "m", "--out", str(run)]
    command += [
        "--engine",
        "ability",
        "--plugin",
        str(PLUGIN),
        "--grader",
        "text",
        "--set",
        f"model.options={{pause: 0.5, log: {tmp_path / 'log'}}}",
    ]
    # A shell's background job starts with Ctrl-C ignored, and so would everything below it.
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    while not (tmp_path / "log").exists() and process.poll() is None:  # something has been sampled
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 130, errors
    assert "finished batches are stored, the same command goes on from there" in errors
    assert "Traceback" not in errors


def test_doctor_passes_here() -> None:
    done = rap("doctor")
    assert done.returncode == 0, done.stdout
    assert "math-verify parses and compares" in done.stdout
    assert max(map(len, done.stdout.splitlines())) < 200


def test_a_shell_completes_commands() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rap_plugin.cli"],
        env={**os.environ, "_RAP_COMPLETE": "bash_complete", "COMP_WORDS": "rap de", "COMP_CWORD": "1"},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["plain,decide", "plain,demo"]


@pytest.mark.parametrize(("given", "meant"), [("slect", "select"), ("decied", "decide"), ("exprt", "export")])
def test_a_misspelt_command_is_answered_with_the_nearest_one(given: str, meant: str) -> None:
    said = CliRunner().invoke(cli, [given, "x"])
    assert said.exit_code == 2
    assert f"Did you mean '{meant}'" in said.output


def test_an_unknown_command_like_no_other_is_answered_without_a_guess() -> None:
    said = CliRunner().invoke(cli, ["zzzzzz"])
    assert said.exit_code == 2
    assert "No such command 'zzzzzz'.\n" in said.output


def test_a_path_without_that_name_lists_the_names_once() -> None:
    said = CliRunner().invoke(cli, ["path", "demo-modl"])
    assert said.exit_code == 2
    assert said.output.count("verl-follow-agent") == 1
    assert CliRunner().invoke(cli, ["path", "--help"]).output.count("verl-follow-agent") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_behind_the_output_is_one_line() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "rap_plugin.cli", "plugins"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1
    assert done.stderr.startswith("rap: no space is left")
    assert len(done.stderr.splitlines()) == 1
