"""EasyR1's side: its reward interface as its reward manager uses it, its prompt template, and rows as it reads them."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import jinja2
import pytest
import yaml
from transformers import AutoProcessor

from rap_plugin.cli.path import PATHS
from rap_plugin.demo import MODEL_DIR
from rap_plugin.errors import RapError
from rap_plugin.exports import export_run
from rap_plugin.grading import GradeItem, GradingOptions, open_grader
from tests.fabricate import finished

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "easyr1"
WELL = "<think>seven and five</think> \\boxed{12}"


def load(path: Path) -> ModuleType:
    """The way EasyR1 loads a reward file: under a name of its own."""
    spec = importlib.util.spec_from_file_location("custom_reward_fn", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def inputs(*pairs: tuple[str, str]) -> list[dict[str, Any]]:
    """What EasyR1's batch reward manager hands over."""
    return [{"response": said, "response_length": len(said), "ground_truth": gold} for said, gold in pairs]


def test_a_batch_is_scored_as_easyr1_asks() -> None:
    module = load(PATHS["easyr1-reward"])
    assert (module.REWARD_NAME, module.REWARD_TYPE) == ("rap", "batch")
    score = partial(module.compute_score, **configured()["worker"]["reward"]["reward_function_kwargs"])
    found = score(inputs((WELL, "12"), ("\\boxed{12}", "12"), (WELL, "11"), ("no idea", "12")))
    assert [one["overall"] for one in found] == [1.0, 0.9, 0.1, 0.0]
    assert found[1] == {"overall": 0.9, "accuracy": 1.0, "format": 0.0, "graded": 1.0}
    assert score([]) == []


def test_responses_that_cannot_be_graded_are_marked(caplog: pytest.LogCaptureFixture) -> None:
    score = load(PATHS["easyr1-reward"]).compute_score
    with caplog.at_level(logging.WARNING):
        found = score(inputs(("\\boxed{1}", "\\frac{"), (WELL, "12")))
    assert [one["graded"] for one in found] == [0.0, 1.0]
    assert "1 of 2 responses could not be graded" in caplog.text


def test_one_response_at_a_time_is_told_how_to_set_it() -> None:
    with pytest.raises(RapError, match=r"set worker\.reward\.reward_type=batch"):
        load(PATHS["easyr1-reward"]).compute_score(inputs((WELL, "12"))[0])


def test_a_run_gives_its_grading(tmp_path: Path) -> None:
    run = str(finished(tmp_path, samples=40, grading__grader="math", grading__rtol=0.01))
    score = load(PATHS["easyr1-reward"]).compute_score
    assert score(inputs(("\\boxed{100.5}", "100")), run_dir=run)[0]["overall"] == 0.9
    assert score(inputs(("\\boxed{100.5}", "100")))[0]["overall"] == 0.0


def test_the_file_is_a_grader_of_rap_too() -> None:
    grader = open_grader(str(PATHS["easyr1-reward"]), options=GradingOptions(right_at=0.9, workers=1))
    try:
        grades = grader.grade([GradeItem(WELL, "12"), GradeItem(WELL, "11")])
    finally:
        grader.close()
    assert [(grade.verdict, grade.reward) for grade in grades] == [("right", 1.0), ("wrong", 0.1)]


def test_the_file_is_scored_without_verl_or_torch() -> None:
    code = (
        "import importlib.util, json, sys\n"
        "sys.modules['verl'] = None\n"
        f"spec = importlib.util.spec_from_file_location('custom_reward_fn', {str(PATHS['easyr1-reward'])!r})\n"
        "module = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
        "found = module.compute_score([{'response': '\\\\boxed{1}', 'response_length': 1, 'ground_truth': '1'}])\n"
        "assert 'torch' not in sys.modules\n"
        "print(json.dumps(found))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)[0]["overall"] == 0.9


def data_set_of_easyr1() -> Any:
    """EasyR1's own data set class, from the checkout that EASYR1_DIR names: it is on no package index, and it installs
    under verl's name, so the two files that this takes are loaded as they lie there.
    """
    folder = Path(os.environ.get("EASYR1_DIR", "nowhere")) / "verl"
    if not (folder / "utils" / "dataset.py").is_file():
        pytest.skip("EasyR1 is on no package index; EASYR1_DIR names a checkout of github.com/hiyouga/EasyR1")
    for name in ("easyr1", "easyr1.utils", "easyr1.utils.torch_functional", "easyr1.utils.dataset"):
        path = folder.joinpath(*name.split(".")[1:])
        file = path.with_suffix(".py") if path.with_suffix(".py").is_file() else None
        if file is None:
            module = ModuleType(name)
            module.__path__ = [str(path)]
        else:
            spec = importlib.util.spec_from_file_location(name, file)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        if file is not None:
            module.__spec__.loader.exec_module(module)  # type: ignore[union-attr]
    return sys.modules["easyr1.utils.dataset"].RLHFDataset


@pytest.mark.parametrize("given", ["folder", "file"])
def test_easyr1s_own_data_set_reads_the_export(given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data_set = data_set_of_easyr1()
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    exported = export_run(finished(tmp_path, samples=40), "easyr1", tmp_path / "export")
    data = configured()["data"]
    processor = AutoProcessor.from_pretrained(MODEL_DIR)
    rows = data_set(
        str(exported.path if given == "file" else exported.path.parent),
        processor.tokenizer,
        processor,
        prompt_key=data["prompt_key"],
        answer_key=data["answer_key"],
        image_key=data["image_key"],
        max_prompt_length=1024,
        format_prompt=str(EXAMPLE / data["format_prompt"]),
        filter_overlong_prompts_workers=None,
    )
    assert len(rows) == exported.rows > 0
    for at in range(len(rows)):
        row = rows[at]
        assert len(row["input_ids"]) == 1024
        assert row["attention_mask"].sum() > 10
        assert len(row["multi_modal_data"]["images"]) == 1
        assert isinstance(row["ground_truth"], str)


def test_the_exported_folder_holds_nothing_but_the_table(tmp_path: Path) -> None:
    """EasyR1 takes the kind of a folder's files from the first name that the file system lists."""
    run = finished(tmp_path, samples=40)
    exported = export_run(run, "easyr1", tmp_path / "export")
    assert [path.name for path in exported.path.parent.iterdir()] == ["train.parquet"]
    assert export_run(run, "easyr1", tmp_path / "export").rows == exported.rows, "replaced as a whole"


def test_a_path_that_easyr1_would_cut_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RapError, match="what follows an @ in a path as a split"):
        export_run(finished(tmp_path, samples=40), "easyr1", tmp_path / "a@b")


def configured() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((EXAMPLE / "config.yaml").read_text())
    return loaded


def test_the_export_has_the_columns_that_the_configuration_names(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="EasyR1 reads Parquet with the datasets library")
    exported = export_run(finished(tmp_path, samples=40), "easyr1", tmp_path / "export")
    data = configured()["data"]
    rows = datasets.load_dataset(
        "parquet", data_files=str(exported.path), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert len(rows) == exported.rows > 0
    template = jinja2.Template((EXAMPLE / data["format_prompt"]).read_text().strip())
    for row in rows:
        prompt = template.render(content=row[data["prompt_key"]])
        assert prompt.count("<image>") == len(row[data["image_key"]]) == 1
        assert prompt.endswith("final answer inside \\boxed{}.")
        assert row[data["image_key"]][0]["bytes"]
        assert isinstance(row[data["answer_key"]], str)
