"""The real lmms-eval with `--model rap_vlm_r3`: our tasks, offline, with traces beside the answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rap_plugin.vlm_r3.trace import Trace
from tests.lmms_tasks.conftest import Lmms
from tests.looker_model import looker_folder
from tests.vlm_r3.looker import that_always_hears

pytestmark = pytest.mark.slow
SETTINGS = "dtype=float32,min_crop_pixels=784,max_crop_pixels=3136,max_prompt_tokens=900,max_crop_tokens=200"


def test_a_task_is_answered_with_crops_and_scored(
    lmms_eval: Lmms, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    looker = that_always_hears(2, looker_folder(tmp_path_factory), tmp_path / "model")
    traces = tmp_path / "traces.jsonl"
    done = lmms_eval(
        *("--model", "rap_vlm_r3", "--model_args", f"pretrained={looker},{SETTINGS},traces={traces}"),
        *("--tasks", "rap_vstar", "--device", "cpu", "--batch_size", "8", "--gen_kwargs", "max_new_tokens=160"),
        *("--limit", "6", "--output_path", str(tmp_path / "out"), "--log_samples"),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (results,) = (tmp_path / "out").rglob("*_results.json")
    assert 0 <= json.loads(results.read_text())["results"]["rap_vstar"]["accuracy,none"] <= 1
    lines = [json.loads(line) for line in traces.read_text().splitlines()]
    (path,) = (tmp_path / "out").rglob("*_samples_rap_vstar.jsonl")
    samples = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(lines) == len(samples) > 0
    by_name = {line["id"]: line for line in lines}
    for sample in samples:
        line = by_name[f"rap_vstar/{sample['doc_id']}"]
        assert sample["filtered_resps"] == line["answer"]
        assert "<answer>" not in line["answer"]
    found = [Trace.from_json(json.dumps(line["trace"])) for line in lines]
    # How often it looks at a picture that it was not trained on is the tiny model's affair.
    assert sum(trace.crops for trace in found) > 0
    assert [line["answer"] for line in lines] == [trace.answer for trace in found]
    assert "crops per answer" in done.stderr + done.stdout


def test_an_option_that_does_not_exist_is_one_line(tmp_path_factory: pytest.TempPathFactory) -> None:
    from rap_plugin.errors import RapError
    from rap_plugin.vlm_r3.answering import RegionAnswerer, flat_config

    assert flat_config("m", {"max_crops": 3, "dtype": "float32"}).r3.max_crops == 3
    with pytest.raises(RapError, match=r"r3\.max_crops"):
        flat_config("m", {"max_crops": "many"})
    with pytest.raises(RapError, match="maxcrops"):
        RegionAnswerer(str(looker_folder(tmp_path_factory)), maxcrops=3)
