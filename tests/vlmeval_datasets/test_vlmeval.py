"""The real VLMEvalKit: an evaluation from the command line with the demo model, and its utilities."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rap_plugin.cli.path import PATHS

pytestmark = pytest.mark.slow
NAMES = ("RAP_MMStar", "RAP_LogicVista", "RAP_MathVerse_text_only", "RAP_MMVet_blind")


@pytest.fixture(scope="module")
def environment(offline: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    pytest.importorskip("pandas", reason="ms-vlmeval is not installed")
    if not list(Path(sys.prefix).glob("lib/python*/site-packages/ms_vlmeval-*")):
        pytest.skip("ms-vlmeval is not installed")
    return {**offline, "LMUData": str(tmp_path_factory.mktemp("lmu"))}


def program(name: str, *arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    path = Path(sys.executable).parent / name
    return subprocess.run(
        [str(path), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=400,
        cwd=environment["LMUData"],
    )


@pytest.fixture(scope="module")
def evaluated(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vlmeval")
    model = {"class": "RapModel", "pretrained": str(PATHS["demo-model"]), "dtype": "float32", "max_new_tokens": 24}
    data = {name: {"class": "RapDataset", "dataset": name} for name in NAMES}
    (folder / "config.json").write_text(json.dumps({"model": {"demo": model}, "data": data}))
    arguments = ("--config", str(folder / "config.json"), "--work-dir", str(folder / "out"), "--limit", "12")
    done = program("rap-vlmeval", *arguments, environment=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "out" / "demo"


def test_an_evaluation_runs_offline_and_is_scored(evaluated: Path) -> None:
    for name, rows in zip(NAMES, (6, None, 2, 3), strict=True):
        scores = json.loads((evaluated / f"demo_{name}_rap_scores.json").read_text())
        assert scores["dataset"] == name
        assert 0 < len(scores["records"]) <= 12
        assert rows is None or len(scores["records"]) == rows
        assert scores["facts"]["judge"] == "none"
        assert 0 <= (scores["measures"]["accuracy"] or 0) <= 1


def test_a_checkout_of_another_place_can_be_named(environment: dict[str, str], tmp_path: Path) -> None:
    done = program("rap-vlmeval", str(tmp_path / "run.py"), "--data", "RAP_MMStar", environment=environment)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith(f"rap: {tmp_path / 'run.py'}: no such file")


def test_the_utilities_score_a_prediction_file_with_our_scorer(evaluated: Path, environment: dict[str, str]) -> None:
    source = evaluated / "demo_RAP_MMStar.tsv"
    other = evaluated.parent / "known_RAP_MMStar.tsv"
    lines = ["index\tprediction"] + [f'{i}\t"\\boxed{{{"B" if i % 2 else "C"}}}"' for i in range(6)]
    other.write_text("\n".join(lines) + "\n")
    assert source.is_file()
    done = program("rap-vlmutil", "eval", str(other), environment=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    scores = json.loads((evaluated.parent / "known_RAP_MMStar_rap_scores.json").read_text())
    assert scores["measures"]["accuracy"] == 0.5


def test_certificates_are_still_verified_after_registering(environment: dict[str, str]) -> None:
    code = (
        "import ssl, sys; before = ssl._create_default_https_context\n"
        "sys.argv = ['rap-vlmutil']\n"
        "from rap_plugin.vlmeval_datasets.run import utilities; utilities()\n"
        "assert ssl._create_default_https_context is before\n"
        "from vlmeval.dataset import SUPPORTED_DATASETS, build_dataset\n"
        "assert 'RAP_PGPS9K_text' in SUPPORTED_DATASETS and 'MMStar' in SUPPORTED_DATASETS\n"
        "d = build_dataset('RAP_MathVerse_text_only')\n"
        "assert [part['type'] for part in d.build_prompt(0)] == ['text']\n"
        "d = build_dataset('RAP_VStar')\n"
        "assert [part['type'] for part in d.build_prompt(0)] == ['image', 'text']\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
