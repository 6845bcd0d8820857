"""The real lmms-eval with `--model rap_vlm_r3`: our tasks, offline, with traces beside the answers."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean

import pytest

from rap_plugin.vlm_r3.trace import Trace
from tests.lmms_tasks.conftest import Lmms
from tests.looker_model import looker_folder
from tests.vlm_r3.looker import that_always_hears

pytestmark = pytest.mark.slow
SETTINGS = "dtype=float32,min_crop_pixels=784,max_crop_pixels=3136,max_prompt_tokens=900,max_crop_tokens=200"


TASKS = (
    "vstar", "mmvp", "cv_bench_2d", "cv_bench_3d", "scienceqa_img", "hrbench_4k", "hrbench_8k",
    "mme_realworld_lite", "mme_realworld",
)  # fmt: skip


def test_every_benchmark_of_region_reasoning_is_answered_with_crops_and_scored(
    lmms_eval: Lmms, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    looker = that_always_hears(2, looker_folder(tmp_path_factory), tmp_path / "model")
    traces = tmp_path / "traces.jsonl"
    done = lmms_eval(
        *("--model", "rap_vlm_r3", "--model_args", f"pretrained={looker},{SETTINGS},traces={traces}"),
        *("--tasks", "rap_vlm_r3,rap_mme_realworld", "--device", "cpu", "--batch_size", "8"),
        *("--gen_kwargs", "max_new_tokens=160", "--output_path", str(tmp_path / "out"), "--log_samples"),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [json.loads(line) for line in traces.read_text().splitlines()]
    by_name = {line["id"]: line for line in lines}
    (results,) = (tmp_path / "out").rglob("*_results.json")
    told = json.loads(results.read_text())["results"]
    right: dict[str, list[bool]] = {}
    for task in TASKS:
        (path,) = (tmp_path / "out").rglob(f"*_samples_rap_{task}.jsonl")
        samples = [json.loads(line) for line in path.read_text().splitlines()]
        assert samples
        for sample in samples:
            line = by_name[f"rap_{task}/{sample['doc_id']}"]
            assert sample["filtered_resps"] == line["answer"]
            assert "<answer>" not in line["answer"]
        samples.sort(key=lambda sample: sample["doc_id"])
        right[task] = [sample["filtered_resps"] == sample["target"] for sample in samples]
        assert told[f"rap_{task}"]["accuracy,none"] == pytest.approx(mean(right[task])), task
    # The measures that papers report, from the answers: pairs, sources, cycles.
    pairs = [all(right["mmvp"][at : at + 2]) for at in range(0, 6, 2)]
    assert told["rap_mmvp"]["pair_accuracy,none"] == pytest.approx(mean(pairs))
    (ade, *coco), omni = right["cv_bench_2d"], right["cv_bench_3d"]
    official = mean([mean([mean([ade]), mean(coco)]), mean(omni)])
    assert told["rap_cv_bench"]["official,none"] == pytest.approx(official)
    assert told["rap_hrbench_4k"]["over_cycles,none"] == pytest.approx(mean(right["hrbench_4k"]))
    assert told["rap_vstar"]["direct_attributes,none"] == pytest.approx(mean(right["vstar"][::2]))
    assert told["rap_vstar"]["relative_position,none"] == pytest.approx(mean(right["vstar"][1:2]))
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
