"""The exact command in environments of their own: a wheel of this package in one, nothing of it in the other."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("openrlhf", reason="OpenRLHF is not installed")

from .command import arguments, environment_without_us

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ("-W", "ignore", "-m", "openrlhf.cli.train_ppo_ray")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("hatchling is needed to build a wheel without the network; it is in the extra `test`")
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, ROOT]
    subprocess.run(build, check=True, capture_output=True)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def python_without_us(tmp_path_factory):
    return environment_without_us(tmp_path_factory.mktemp("without"))


@pytest.fixture(scope="module")
def python_with_wheel(tmp_path_factory, wheel):
    python = environment_without_us(tmp_path_factory.mktemp("with"))
    site = next((python.parents[1] / "lib").glob("python*/site-packages"))
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", site, wheel]
    subprocess.run(install, check=True, capture_output=True)
    return python


def run(python, *argv, **variables):
    environment = {
        name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "RAP_PLUGIN_AUTOLOAD")
    }
    return subprocess.run(
        [python, *PROGRAM, *argv],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={**environment, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **variables},
    )


def options_of(text):
    return text[text.index("\noptions:") :]


def test_the_wheel_brings_the_entry_point_and_the_reward_file(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (points,) = [name for name in archive.namelist() if name.endswith(".dist-info/entry_points.txt")]
        text = archive.read(points).decode()
        assert "rap_plugin/openrlhf_hooks/reward.py" in archive.namelist()
    section = text.split("[torch.backends]\n")[1].split("\n[")[0]
    assert section.strip() == "rap_plugin = rap_plugin.openrlhf_hooks:on_import_torch"


@pytest.mark.slow
def test_the_exact_command_has_the_flags_from_a_wheel_and_is_as_ever_without_it(python_with_wheel, python_without_us):
    ours, plain = run(python_with_wheel, "--help"), run(python_without_us, "--help")
    assert (ours.returncode, plain.returncode) == (0, 0), ours.stderr + plain.stderr
    assert "data filter (rap-plugin):" in ours.stdout
    assert "--data_filter NAME" in ours.stdout
    assert "data_filter" not in plain.stdout
    assert options_of(ours.stdout).startswith(options_of(plain.stdout).rstrip("\n"))
    off = run(python_with_wheel, "--help", RAP_PLUGIN_AUTOLOAD="0")
    assert off.stdout[off.stdout.index("usage:") :] == plain.stdout[plain.stdout.index("usage:") :]


@pytest.mark.slow
def test_the_exact_command_ends_with_one_line_for_an_unknown_filter(python_with_wheel):
    done = run(python_with_wheel, *arguments("model", "train.jsonl", "--data_filter", "rapp"))
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if line.startswith("rap-plugin: ")]
    assert lines == [done.stderr.strip().splitlines()[-1]]
    assert lines[0].startswith("rap-plugin: unknown selector 'rapp'; known: band, follow, gap, limr, random, rap, top")
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.long
def test_the_explicit_form_has_the_flags_where_the_start_up_hook_is_off(python_with_wheel):
    module = ("-m", "rap_plugin.openrlhf_hooks.train_ppo_ray", "--help")
    done = subprocess.run(
        [python_with_wheel, "-W", "ignore", *module],
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
        env={**os.environ, "TORCH_DEVICE_BACKEND_AUTOLOAD": "0", "PYTHONPATH": ""},
    )
    assert "--data_filter NAME" in done.stdout
