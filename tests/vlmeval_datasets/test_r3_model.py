"""The real VLMEvalKit with a model that looks again: answers without tags, traces beside them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rap_plugin.vlm_r3.trace import Trace
from tests.looker_model import looker_folder
from tests.vlm_r3.looker import that_always_hears
from tests.vlmeval_datasets.test_vlmeval import environment, program  # noqa: F401

pytestmark = pytest.mark.slow


def test_answers_are_unwrapped_and_scored_and_their_traces_kept(
    environment: dict[str, str],  # noqa: F811
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    traces = tmp_path / "traces.jsonl"
    model = {
        "class": "RapR3Model",
        "pretrained": str(that_always_hears(2, looker_folder(tmp_path_factory), tmp_path / "model")),
        "dtype": "float32",
        "max_new_tokens": 160,
        "max_prompt_tokens": 900,
        "min_crop_pixels": 784,
        "max_crop_pixels": 3136,
        "traces": str(traces),
    }
    config = {"model": {"looker": model}, "data": {"RAP_VStar": {"class": "RapDataset", "dataset": "RAP_VStar"}}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    arguments = ("--config", str(tmp_path / "config.json"), "--work-dir", str(tmp_path / "out"), "--limit", "5")
    done = program("rap-vlmeval", *arguments, environment=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    scores = json.loads((tmp_path / "out" / "looker" / "looker_RAP_VStar_rap_scores.json").read_text())
    lines = [json.loads(line) for line in traces.read_text().splitlines()]
    assert len(lines) == len(scores["records"]) > 0
    assert all("<answer>" not in line["answer"] for line in lines)
    found = [Trace.from_json(json.dumps(line["trace"])) for line in lines]
    # How often it looks at a picture that it was not trained on is the tiny model's affair.
    assert sum(trace.crops for trace in found) > 0
    assert [line["answer"] for line in lines] == [trace.answer for trace in found]
    assert len({line["id"] for line in lines}) == len(lines)
    said = (tmp_path / "out" / "looker" / "looker_RAP_VStar.tsv").read_text()
    assert "<answer>" not in said
    assert "bbox_2d" not in said
