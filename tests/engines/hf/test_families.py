"""Families of Transformers beside the four that every other test takes: sampled and measured as Transformers does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from rap_plugin.engines.hf import own_generate, paths  # noqa: E402
from rap_plugin.rollout import Prompt, Request, Sampling  # noqa: E402

from .. import tiny_models  # noqa: E402
from ..family_checks import COLUMNS, check_family  # noqa: E402

PAGE = Path(__file__).resolve().parents[3] / "docs" / "engines.md"
CHEAP = (
    "qwen3_5", "qwen3_5_moe", "lfm2_vl", "minicpmv4_6", "qwen2_5_omni_thinker", "qwen3_omni_moe_thinker", "mllama",
    "gemma3", "llama4", "hunyuan_vl", "paligemma", "janus", "glm4v", "got_ocr2",
    "minimax_m3_vl",
)  # fmt: skip
"""Those that need something of their own: a running state, positions, their own `generate`, no neighbours, a refusal."""


def table() -> dict[str, list[str]]:
    """Cells of the page's table by family."""
    text = PAGE.read_text(encoding="utf-8").split("<!-- families")[1].split("<!-- end of families")[0]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line[:1] == "|"]
    assert rows[0] == list(COLUMNS)
    return {row[0].strip("` "): row for row in rows[2:]}


@pytest.mark.parametrize("family", CHEAP)
def test_a_family_is_sampled_and_measured_as_its_row_says(family, tiny_folder):
    result = check_family(family, tiny_folder(family))
    assert [cell.strip() for cell in result.row().strip("|").split(" | ")] == table()[family]


def test_the_table_holds_every_family_that_can_be_built_and_most_are_right():
    rows = table()
    assert set(rows) == set(tiny_models.ALL_FAMILIES)
    right = [row for row in rows.values() if row[1].startswith("yes") and row[3] == "below 1e-6"]
    assert len(right) >= 25
    for row in rows.values():
        assert row[1].startswith(("yes", "no: ", "untested: ")), row
        assert row[3] or row[4] or not row[1].startswith("yes"), f"{row[0]}: neither measured nor a reason"


def test_every_family_that_transformers_serves_is_in_the_table_or_named_as_untested():
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as NAMES

    text = PAGE.read_text(encoding="utf-8")
    if f"Transformers {transformers.__version__}," not in text:
        pytest.skip("the table was written with another Transformers")
    untested = re.findall(r"`([^`]+)`", text.split("Untested: ")[1].split("<!--")[0])
    assert {name.replace("-", "_") for name in NAMES} == {name.replace("-", "_") for name in untested} | set(table())


def test_a_running_state_is_never_fed_with_padding(open_tiny, picture):
    """Each rollout of a hybrid model is the same whatever else is asked for in the same call."""
    engine = open_tiny("qwen3_5")
    requests = [
        Request(Prompt("a" * 32, "image", "<image>What is it?", (picture(60, 40),)), (0, 1, 2)),
        Request(Prompt("b" * 32, "blind", "How many digits are there, all in all?"), (0, 1)),
    ]
    together = engine.generate(requests, Sampling(max_new_tokens=40))
    assert len({len(response.token_ids) for row in together for response in row}) > 1, "rows must end apart"
    for request, row in zip(requests, together, strict=True):
        for response in row:
            alone = [Request(request.prompt, (response.rollout,))]
            assert engine.generate(alone, Sampling(max_new_tokens=40)) == [[response]]


def test_stored_responses_are_measured_as_they_were_while_sampling(open_tiny, picture):
    for family in ("lfm2_vl", "mllama"):
        engine = open_tiny(family)
        prompt = Prompt("a" * 32, "image", "<image>What is it?", (picture(60, 40),))
        [row] = engine.generate_with_attention([Request(prompt, (0, 1, 2))], Sampling(max_new_tokens=30))
        [again] = engine.attention([(prompt, [response.token_ids for response, _ in row])], Sampling())
        for (_, together), apart in zip(row, again, strict=True):
            assert together.error == apart.error == ""
            assert apart.statistics == pytest.approx(together.statistics, rel=1e-5)


def test_the_models_own_generate_draws_what_plain_steps_draw(open_tiny, picture):
    """Both ways over one model that either can sample: same seeds, same tokens, same attention."""
    engine = open_tiny("llava")
    model = engine._model()
    inputs = engine.prepare_prompt(
        Prompt("a" * 32, "image", "<image>What is it?", (picture(60, 40),)), engine.processor, model.network
    )
    sampling = Sampling(max_new_tokens=25, temperature=0.8, top_p=0.9)
    [plain] = paths.sample(model, [(inputs, [5, 6, 7, 8])], sampling, True)
    before = (torch.random.get_rng_state().tolist(), model.network.generation_config)
    own = own_generate.sample_prompt(
        model, inputs, [5, 6, 7, 8], temperature=0.8, top_p=0.9, max_new_tokens=25, measure=True
    )
    assert (torch.random.get_rng_state().tolist(), model.network.generation_config) == before
    assert [(row.token_ids, row.finish) for row in own] == [(row.token_ids, row.finish) for row in plain]
    for one, other in zip(own, plain, strict=True):
        assert one.statistics == pytest.approx(other.statistics, rel=1e-5)


def test_settings_of_the_repository_are_not_applied_to_its_own_generate(open_tiny, picture):
    engine = open_tiny("mllama")
    request = [Request(Prompt("a" * 32, "image", "<image>What?", (picture(30, 30),)), (0, 1))]
    wanted = engine.generate(request, Sampling(max_new_tokens=12))
    settings = engine._model().network.generation_config
    settings.repetition_penalty, settings.top_k, settings.temperature, settings.do_sample = 50.0, 2, 0.1, True
    assert engine.generate(request, Sampling(max_new_tokens=12)) == wanted


def test_an_unreadable_last_layer_is_known_before_anything_is_sampled(open_tiny):
    """A chunked attention is no softmax over all keys before a token."""
    engine = open_tiny("llama4", chunked=True)
    assert "chunked_attention" in engine.attention_problem(Sampling())
    assert engine._loaded is None, "the weights were loaded to find this out"
