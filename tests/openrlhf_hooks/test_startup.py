"""The start-up hook: there for one program, nothing for every other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import rap_plugin.openrlhf_hooks as hooks

PROGRAM = "/site/openrlhf/cli/train_ppo_ray.py"


def test_pytorch_knows_the_hook():
    found = [entry for entry in entry_points(group="torch.backends") if entry.name == "rap_plugin"]
    assert [entry.load() for entry in found] == [hooks.on_import_torch]


@pytest.mark.parametrize(
    ("argv", "orig_argv", "expected"),
    [
        ([PROGRAM, "--help"], ["python", "-m", "openrlhf.cli.train_ppo_ray", "--help"], True),
        (["-m"], ["python", "-u", "-m", "openrlhf.cli.train_ppo_ray"], True),
        (["-m"], ["python", "-mopenrlhf.cli.train_ppo_ray"], True),
        ([PROGRAM], ["python", PROGRAM], True),
        ([PROGRAM.replace("/", "\\")], ["python"], True),
        ([PROGRAM], ["python", "-c", "from multiprocessing.spawn import spawn_main", "--multiprocessing-fork"], False),
        (["train.py"], ["python", "train.py", "openrlhf.cli.train_ppo_ray"], False),
        (["/site/openrlhf/cli/train_sft.py"], ["python", "-m", "openrlhf.cli.train_sft"], False),
        ([""], ["python"], False),
        ([], [], False),
    ],
)
def test_the_program_is_recognised_by_how_it_was_started(argv, orig_argv, expected):
    assert hooks.is_train_ppo_ray(argv, orig_argv) is expected


@pytest.mark.parametrize("switch", ["", "0"])
def test_the_hook_installs_in_that_program_unless_it_is_switched_off(monkeypatch, switch):
    from rap_plugin.openrlhf_hooks import launch

    installed = []
    monkeypatch.setattr(launch, "install", lambda: installed.append(True))
    monkeypatch.setattr(sys, "argv", [PROGRAM])
    if switch:
        monkeypatch.setenv("RAP_PLUGIN_AUTOLOAD", switch)
    hooks.on_import_torch()
    assert installed == ([] if switch else [True])


def test_the_hook_never_raises(monkeypatch, capsys):
    from rap_plugin.openrlhf_hooks import launch

    def broken():
        raise RuntimeError("no")

    monkeypatch.setattr(launch, "install", broken)
    monkeypatch.setattr(sys, "argv", [PROGRAM])
    hooks.on_import_torch()
    assert capsys.readouterr().err == "rap-plugin: --data_filter is not available (RuntimeError: no)\n"


def test_importing_torch_elsewhere_loads_the_package_and_one_small_file():
    code = (
        "import sys; before = set(sys.modules); import argparse; plain = argparse.ArgumentParser.parse_args; import torch, json;"
        "ours = sorted(name for name in sys.modules if name.split('.')[0] == 'rap_plugin');"
        "print(json.dumps([ours, 'pluggy' in sys.modules, argparse.ArgumentParser.parse_args is plain]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=True)
    ours, pluggy, untouched = json.loads(done.stdout)
    assert ours == ["rap_plugin", "rap_plugin.openrlhf_hooks"]
    assert not pluggy
    assert untouched
    assert Path(hooks.__file__).stat().st_size < 3000
