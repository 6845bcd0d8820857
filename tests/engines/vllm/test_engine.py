"""Engine `vllm` through the real vLLM, on whatever build is installed; the CPU build is what CI has."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rap_plugin.config import ModelConfig
from rap_plugin.engines.vllm.engine import CPU_BATCH_SIZE
from rap_plugin.engines.vllm.tracked import NO_ROOM
from rap_plugin.errors import RapError
from rap_plugin.evidence.variants import STATISTIC_COLUMNS

ROOT = Path(__file__).parents[3]
IN_PROCESS = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_CI_ENV": "1"}
"""One process instead of three, and compilation without a C++ compiler's minute."""

FP32 = 1e-5
BF16 = 1e-2
"""Relative difference from eager Hugging Face, of log psi and entropies."""

needs_vllm = pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed")


def run(folder: Path, steps: list, out: Path, environment=IN_PROCESS) -> list:
    """What `vllm_scenario` did with these steps."""
    task = {"folder": str(folder), "out": str(out), "steps": steps}
    done = subprocess.run(
        [sys.executable, "-m", "tests.engines.vllm.scenario"],
        input=json.dumps(task),
        text=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(out.read_text())


@pytest.fixture(scope="module", params=["qwen2_5_vl", pytest.param("llava", marks=pytest.mark.long)])
def family(request, tmp_path_factory):
    """Both number formats of one family, sampled and measured: {dtype: result}, and the model's folder."""
    from tests.engines.vllm.models import build_for_vllm

    where = tmp_path_factory.mktemp(request.param)
    folder = build_for_vllm(request.param, where / "model")
    dtypes = ["float32", "bfloat16"]
    steps = [{"dtype": dtype, "options": {"sleep": True}, "eager": True} for dtype in dtypes]
    return dict(zip(dtypes, run(folder, steps, where / "out.json"), strict=True)), folder


def statistics(rows):
    """Statistics of rows of [response, statistics, error] or [statistics, error]."""
    return [[entry[-2] for entry in row] for row in rows]


def differences(found, wanted):
    """Relative differences, by statistic, of everything that is measured in both; None must meet None."""
    worst, count = 0.0, 0
    for row, other in zip(found, wanted, strict=True):
        for entry, expected in zip(row, other, strict=True):
            if expected is None:
                continue
            assert list(entry) == list(STATISTIC_COLUMNS)
            for column in STATISTIC_COLUMNS:
                assert (entry[column] is None) == (expected[column] is None), column
                if expected[column] is not None:
                    count += 1
                    worst = max(worst, abs(entry[column] - expected[column]) / max(1.0, abs(expected[column])))
    return worst, count


def tokens(row):
    return [response["token_ids"] for response in row]


def answers(row):
    return [entry[0] for entry in row]


# -- without vLLM ---------------------------------------------------------------------------------------------------


def test_a_missing_vllm_is_one_line_that_says_what_to_install(monkeypatch):
    from rap_plugin.engines.vllm import engine

    monkeypatch.setattr(engine.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RapError, match=r"pip install 'rap-plugin\[vllm\]'"):
        engine.open_vllm(ModelConfig(id="x/y", engine="vllm"))


def test_an_unknown_option_is_named_with_the_known_ones():
    from rap_plugin.engines.vllm.engine import open_vllm

    with pytest.raises(RapError, match=r"no option 'gpu_memory'.*gpu_memory_utilization"):
        open_vllm(ModelConfig(id="x/y", engine="vllm", options={"gpu_memory": 0.5}))


def test_opening_the_engine_loads_neither_torch_nor_vllm():
    code = (
        "import sys; from rap_plugin.config import ModelConfig; from rap_plugin.demo import MODEL_DIR;"
        "from rap_plugin.engines import open_vllm;"
        "engine = open_vllm(ModelConfig(id=str(MODEL_DIR), engine='vllm'));"
        "assert engine.identity.weights_hash and engine.identity.parameters > 1e6;"
        "assert not {'torch', 'vllm', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


# -- sampling -------------------------------------------------------------------------------------------------------


@needs_vllm
@pytest.mark.slow
def test_attention_matches_eager_hugging_face_in_float32(family):
    result = family[0]["float32"]
    worst, count = differences(statistics(result["pairs"][:4]), result["eager"])
    assert count >= 6 * len(STATISTIC_COLUMNS)
    assert worst < FP32


@needs_vllm
@pytest.mark.slow
def test_attention_matches_eager_hugging_face_in_bfloat16(family):
    result = family[0]["bfloat16"]
    worst, count = differences(statistics(result["pairs"][:4]), result["eager"])
    assert count >= 6 * len(STATISTIC_COLUMNS)
    assert worst < BF16


@needs_vllm
@pytest.mark.slow
def test_measuring_while_sampling_and_in_a_pass_of_its_own_agree(family):
    for dtype, bound in (("float32", FP32), ("bfloat16", BF16)):
        result = family[0][dtype]
        worst, count = differences(statistics(result["pairs"][:4]), statistics(result["passed"]))
        assert worst < bound
        assert count == 20 * len(STATISTIC_COLUMNS)
        assert {entry[1] for row in result["passed"] for entry in row} == {""}


@needs_vllm
@pytest.mark.slow
def test_a_rollout_draws_the_same_alone_in_another_order_and_without_attention(family):
    result = family[0]["float32"]
    drawn = [tokens(answers(row)) for row in result["pairs"][:4]]
    assert [tokens(row) for row in result["again"]] == drawn
    assert tokens(result["third"]) == [drawn[1][3], drawn[1][1]]
    assert [response["rollout"] for response in result["third"]] == [3, 1]
    assert tokens(result["other"]) != drawn[0]
    assert len({tuple(ids) for row in drawn for ids in row}) > 15


@needs_vllm
@pytest.mark.slow
def test_fed_prompt_by_prompt_it_draws_and_measures_the_same_and_has_no_more_at_work_than_it_may(family):
    result = family[0]["float32"]
    wanted = [tokens(answers(row)) for row in result["pairs"]]
    for together, fed in zip((1, 2, 99), result["fed"], strict=True):
        assert [tokens(responses) for responses, _ in fed["rows"]] == wanted
        assert [len(seen) for _, seen in fed["rows"]] == [5, 5, 0, 5, 0, 2]  # of image arms alone
        assert fed["most"] == min(together, 4) * 5
        for (responses, seen), row in zip(fed["rows"], result["pairs"], strict=True):
            assert [response["status"] for response in responses] == [entry[0]["status"] for entry in row]
            if seen and responses[0]["status"] == "ok":
                worst, _ = differences([seen], [[entry[1] for entry in row]])
                assert worst < FP32
    assert result["batch_size"] == CPU_BATCH_SIZE


@needs_vllm
@pytest.mark.slow
def test_prompts_have_the_tokens_that_engine_hf_gives_them(family):
    result = family[0]["float32"]
    counted = [{response["prompt_tokens"] for response in answers(row)} for row in result["pairs"][:4]]
    assert counted == [{length} for length in result["hf_lengths"]]


@needs_vllm
@pytest.mark.slow
def test_bad_requests_carry_a_status_and_the_others_go_on(family):
    result = family[0]["float32"]
    good, overlong, images = result["pairs"][:4], result["pairs"][4], result["pairs"][5]
    assert {response["status"] for row in good for response in answers(row)} == {"ok"}
    assert {response["status"] for response in answers(overlong)} == {"overlong"}
    assert "max_prompt_tokens is 160" in overlong[0][0]["error"]
    assert {response["status"] for response in answers(images)} == {"engine_error"}
    assert all(entry[2] and set(entry[1].values()) == {None} for entry in overlong + images)


@needs_vllm
@pytest.mark.slow
def test_no_response_is_longer_than_asked_and_a_cut_one_says_so(family):
    result = family[0]["float32"]
    responses = [response for row in result["pairs"][:4] for response in answers(row)]
    assert max(len(response["token_ids"]) for response in responses) == 30
    assert {response["finish"] for response in responses if len(response["token_ids"]) < 30} <= {"stop"}
    assert any(response["finish"] == "length" for response in responses)


@needs_vllm
@pytest.mark.slow
def test_it_measures_after_sleep_and_wake(family):
    result = family[0]["float32"]
    worst, count = differences(statistics(result["rested"]), statistics(result["pairs"][:2]))
    assert worst < FP32
    assert count == 10 * len(STATISTIC_COLUMNS)


# -- attention, however vLLM runs -----------------------------------------------------------------------------------

WAYS = {
    "chunked prefill in mixed batches": {
        "max_num_batched_tokens": 48,
        "max_num_seqs": 8,
        "engine_args": {"enable_chunked_prefill": True},
    },
    "preemption in a small cache": {"engine_args": {"num_gpu_blocks_override": 17}},
    "compilation": {"enforce_eager": False},
    "no prefix cache": {"engine_args": {"enable_prefix_caching": False}},
    "little memory for queries and keys": {"attention_gb": 1e-4},
}


@pytest.fixture(scope="module")
def ways(tmp_path_factory):
    """A Qwen2.5-VL, given responses, and what was measured in the plain way (`plain`) and in all others."""
    from tests.engines.vllm.models import build_for_vllm

    where = tmp_path_factory.mktemp("ways")
    folder = build_for_vllm("qwen2_5_vl", where / "model")
    rows = [[[11 + (n * k) % 60 for k in range(length)] for n in (3, 5, 7)] for length in (30, 22, 12, 30)]
    plain = {"dtype": "float32", "options": {}, "rows": rows, "sample": True}
    # Seeded sampling with chunked prefill fails on vLLM 0.29's CPU build: there, stored responses are measured.
    others = [
        {
            **plain,
            "options": options,
            "sample": name != "chunked prefill in mixed batches",
            "held": "attention_gb" in options,
        }
        for name, options in WAYS.items()
    ]
    pixels = {"dtype": "auto", "options": {}, "pixels": {"min_pixels": 784, "max_pixels": 1568}}
    found = run(folder, [plain | {"faults": True}, *others, pixels], where / "out.json")
    return folder, rows, dict(zip(["plain", *WAYS, "pixels"], found, strict=True))


@pytest.mark.long
@needs_vllm
@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_attention_does_not_depend_on_how_vllm_runs(ways, way):
    plain, other = ways[2]["plain"], ways[2][way]
    worst, count = differences(statistics(other["passed"]), statistics(plain["passed"]))
    assert worst < FP32
    assert count == 12 * len(STATISTIC_COLUMNS)
    if "pairs" in other:
        assert [tokens(answers(row)) for row in other["pairs"]] == [tokens(answers(row)) for row in plain["pairs"]]
        worst, count = differences(statistics(other["pairs"]), statistics(plain["pairs"]))
        assert worst < FP32
        assert count > 15 * len(STATISTIC_COLUMNS)
        # What finds no room is read again; nothing else is missed.
        assert set(other["missed"]) == ({NO_ROOM} if "attention_gb" in WAYS[way] else set())


@pytest.mark.long
@needs_vllm
@pytest.mark.slow
def test_no_more_is_held_than_the_option_allows_and_nothing_at_the_end(ways):
    held = ways[2]["little memory for queries and keys"]["held"]
    assert 0 < held["bytes"] <= 1e-4 * 2**30
    assert held["rows"] == 0


@pytest.mark.long
@needs_vllm
@pytest.mark.slow
def test_images_have_the_configured_pixels_and_as_many_tokens_as_in_engine_hf(ways):
    found = ways[2]["pixels"]
    assert found["tokens"] == found["hf"]
    assert all(bounded < plain for bounded, plain in zip(found["tokens"], found["plain"], strict=True))
    assert found["overlong"]["status"] == "overlong"
    assert "model.max_pixels" in found["overlong"]["error"] or "max_prompt_tokens" in found["overlong"]["error"]


@pytest.mark.long
@needs_vllm
@pytest.mark.slow
def test_template_options_reach_the_chat_template_as_in_engine_hf(ways):
    found = ways[2]["pixels"]
    assert found["thoughtless"]["tokens"] == found["thoughtless"]["hf"]
    added = [one - other for one, other in zip(found["thoughtless"]["tokens"], found["tokens"], strict=True)]
    assert added == [len("<think></think>")] * 2  # one token a character


@pytest.mark.long
@needs_vllm
@pytest.mark.slow
def test_the_number_format_of_the_evidence_is_the_one_that_vllm_uses(ways):
    known, used = ways[2]["pixels"]["dtypes"]
    assert f"torch.{known}" == used


@pytest.mark.long
@needs_vllm
@pytest.mark.slow
def test_a_step_that_was_not_seen_gives_a_reason_and_never_a_number(ways):
    plain = ways[2]["plain"]
    unseen = [entry for row in plain["unseen"] for entry in row]
    assert {value for entry in unseen for value in entry[1].values()} == {None}
    assert all(entry[0]["status"] == "ok" and entry[2] for entry in unseen)
    # Prompts that such steps have put into the prefix cache are not trusted either: a pass of their own measures.
    assert any("not seen" in reason for reason in plain["reasons"])
    worst, count = differences(statistics(plain["after"]), statistics(plain["pairs"]))
    assert worst < FP32
    assert count > 15 * len(STATISTIC_COLUMNS)


@pytest.mark.long
@needs_vllm
@pytest.mark.slow
def test_tensor_parallel_ranks_measure_what_one_rank_measures_and_a_process_that_hangs_or_dies_is_one_line(
    ways, tmp_path
):
    folder, rows, found = ways
    cores = sorted(os.sched_getaffinity(0))
    environment = {"VLLM_CPU_OMP_THREADS_BIND": f"{cores[0]}|{cores[-1]}"}
    step = {"dtype": "float32", "options": {"tensor_parallel_size": 2}, "rows": rows, "sample": True, "hang": True}
    (result,) = run(folder, [step], tmp_path / "out.json", environment)
    worst, count = differences(statistics(result["passed"]), statistics(found["plain"]["passed"]))
    assert worst < FP32
    assert count == 12 * len(STATISTIC_COLUMNS)
    worst, _ = differences(statistics(result["pairs"]), statistics(found["plain"]["pairs"]))
    assert worst < FP32
    hung, killed = result["hang"]
    assert hung == "vLLM stopped (no answer of its process for 3 s); start the command again, stored rollouts are kept"
    assert killed.startswith("vLLM stopped (its process has ended: killed, or out of memory)")


@needs_vllm
@pytest.mark.slow
@pytest.mark.long
def test_an_architecture_that_it_cannot_read_is_known_before_sampling_and_a_second_copy_is_a_choice(tmp_path):
    from tests.engines.vllm.models import build_for_vllm

    folder = build_for_vllm("llava", tmp_path / "model")
    settings = json.loads((folder / "config.json").read_text())
    settings["text_config"] |= {"model_type": "mistral", "architectures": ["MistralForCausalLM"], "sliding_window": 16}
    (folder / "config.json").write_text(json.dumps(settings))
    rows = [[[11 + (n * k) % 60 for k in range(24)] for n in (3, 5)]]
    step = {"dtype": "float32", "options": {}, "rows": rows, "hf": True}
    (result,) = run(folder, [step], tmp_path / "out.json")
    assert "sliding window" in result["problem"]
    assert "second_copy" in result["problem"]
    assert {value for row in result["passed"] for entry in row for value in entry[0].values()} == {None}
    assert all("sliding window" in entry[1] for row in result["passed"] for entry in row)
    assert result["problem with a second copy"] == ""
    worst, count = differences(statistics(result["copied"]), statistics(result["hf"]))
    assert (worst, count) == (0.0, 2 * len(STATISTIC_COLUMNS))
