"""Attention of engine hf against eager `output_attentions`, and how little memory it takes."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402
from torch.utils._pytree import tree_leaves  # noqa: E402

from rap_plugin.engines import ace  # noqa: E402
from rap_plugin.engines.hf import chat  # noqa: E402
from rap_plugin.engines.hf.last_layer import LastLayer, find_last_attention  # noqa: E402
from rap_plugin.evidence.variants import SIGMA, STATISTIC_COLUMNS, VARIANTS  # noqa: E402
from rap_plugin.rollout import Prompt, Request, Sampling  # noqa: E402

from .. import reference  # noqa: E402
from ..tiny_models import FAMILIES  # noqa: E402

SAMPLING = Sampling(max_new_tokens=30)


@pytest.fixture
def prompts(picture):
    return [
        Prompt("a" * 32, "image", "<image>What is it?", (picture(60, 40),)),
        Prompt(
            "b" * 32, "image", "Put <image> beside <image>: are they alike?", (picture(60, 40, 1), picture(90, 120))
        ),
        Prompt("c" * 32, "blind", "How many?"),
    ]


def eager_attention(engine, prompt, token_ids):
    """(H, L, L) attention of the last layer as Transformers gives it, and the index of the first response token.

    The prompt's rows are left zero: it is read first, since a sampled image token must not ask for an image.
    """
    network = transformers.AutoModelForImageTextToText.from_pretrained(engine._folder, attn_implementation="eager")
    inputs = engine._processor.apply_chat_template(
        chat.chat_messages(prompt), add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    first = inputs["input_ids"].shape[1]
    ids = torch.tensor([list(token_ids)])
    with torch.inference_mode():
        read = network.eval()(**inputs, use_cache=True)
        out = network(input_ids=ids, past_key_values=read.past_key_values, output_attentions=True)
    [rows] = out.attentions[-1]
    length = first + len(token_ids)
    attention = torch.zeros(len(rows), length, length)
    attention[:, first:, length - rows.shape[-1] :] = rows
    return attention, first


def agree(found, wanted, tolerance=1e-5):
    assert list(found) == list(STATISTIC_COLUMNS)
    for column in STATISTIC_COLUMNS:
        if wanted[column] is None:
            assert found[column] is None
        else:
            assert found[column] == pytest.approx(wanted[column], rel=tolerance, abs=tolerance), column


@pytest.mark.parametrize("family", [*FAMILIES, "llava_mistral"])
def test_both_passes_agree_with_eager_output_attentions(family, open_tiny, prompts):
    engine = open_tiny(family)
    rows = engine.generate_with_attention([Request(prompt, (0, 1, 2)) for prompt in prompts], SAMPLING)
    given = [(prompt, [response.token_ids for response, _ in row]) for prompt, row in zip(prompts, rows, strict=True)]
    assert len({len(ids) for _, responses in given for ids in responses}) > 1, "rows must end at different tokens"
    apart = engine.attention(given, SAMPLING)
    for (prompt, responses), row, alone in zip(given, rows, apart, strict=True):
        for ids, (_, together), separate in zip(responses, row, alone, strict=True):
            attention, first = eager_attention(engine, prompt, ids)
            start, stop = ace.usable_span(ids, engine._model().end_ids)
            wanted = reference.statistics(attention, first + start, first + stop)
            assert not together.error
            assert not separate.error
            agree(separate.statistics, wanted)
            agree(together.statistics, wanted)


@pytest.mark.parametrize("family", FAMILIES)
def test_reduced_rows_of_one_whole_forward_equal_the_eager_map(family, open_tiny, prompts):
    engine = open_tiny(family)
    model = engine._model()
    inputs = engine._processor.apply_chat_template(
        chat.chat_messages(prompts[1]), add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    first = inputs["input_ids"].shape[1]
    extra = torch.arange(40, 75)[None]
    inputs["input_ids"] = torch.cat((inputs["input_ids"], extra), dim=1)
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    if "mm_token_type_ids" in inputs:
        types = inputs["mm_token_type_ids"]
        inputs["mm_token_type_ids"] = torch.cat((types, types.new_zeros(extra.shape)), dim=1)
    eager = transformers.AutoModelForImageTextToText.from_pretrained(engine._folder, attn_implementation="eager").eval()
    seen = []
    with torch.inference_mode():
        attention = eager(**inputs, output_attentions=True).attentions[-1][0]
        with model.last_layer.showing(seen.append):
            model.network(**inputs)
    [layer] = seen
    top, mean = ace.head_rows(layer.query[:, :, first:], layer.key, layer.scaling)
    torch.testing.assert_close(top[0], attention.amax(dim=0)[first:], atol=1e-5, rtol=0)
    torch.testing.assert_close(mean[0], attention.mean(dim=0)[first:], atol=1e-5, rtol=0)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.column)
def test_psi_is_what_the_marked_token_holds(variant, open_tiny, prompts):
    engine = open_tiny("qwen2_5_vl")
    rows = engine.generate_with_attention([Request(prompt, (0, 1, 2)) for prompt in prompts], SAMPLING)
    given = [(prompt, [response.token_ids for response, _ in row]) for prompt, row in zip(prompts, rows, strict=True)]
    compared = 0
    for row, tokens in zip(rows, engine.token_attention(given, SAMPLING, variant), strict=True):
        for (response, measured), seen in zip(row, tokens, strict=True):
            log_psi = measured.statistics[variant.column]
            assert (seen is None) == (log_psi is None)
            if seen is None:
                continue
            assert len(seen.shares) == len(seen.ends) == len(response.token_ids)
            assert seen.ends[-1] <= len(response.text) + 1
            start, stop = ace.usable_span(response.token_ids, engine._model().end_ids)
            whole = stop - seen.hot
            factors = variant.window if variant.reduction == "window" else whole
            if stop - start < variant.window or (variant.reduction == "suffix" and stop - start <= variant.window):
                factors = variant.window
            expected = factors * (math.log(SIGMA) + math.log(seen.shares[seen.hot]))
            assert expected == pytest.approx(log_psi, rel=1e-4, abs=1e-4)
            if variant.reduction == "window":
                assert seen.shares[seen.hot] == max(share for share in seen.shares if not math.isnan(share))
            compared += 1
    assert compared > 4


def test_responses_do_not_change_when_attention_is_measured(open_tiny, prompts):
    engine = open_tiny("qwen3_vl")
    requests = [Request(prompt, (0, 1, 2, 3)) for prompt in prompts]
    pairs = engine.generate_with_attention(requests, SAMPLING)
    assert [[response for response, _ in row] for row in pairs] == engine.generate(requests, SAMPLING)


def test_measuring_in_small_batches_gives_the_same_numbers(open_tiny, prompts):
    engine, small = open_tiny("llava"), open_tiny("llava", batch_size=1)
    responses = engine.generate([Request(prompt, (0, 1, 2)) for prompt in prompts], SAMPLING)
    given = [(prompt, [one.token_ids for one in row]) for prompt, row in zip(prompts, responses, strict=True)]
    for row, others in zip(engine.attention(given, SAMPLING), small.attention(given, SAMPLING), strict=True):
        for one, other in zip(row, others, strict=True):
            agree(one.statistics, other.statistics)


def test_a_response_below_two_usable_tokens_is_not_measured_and_has_no_error(open_tiny, prompts):
    engine = open_tiny("llava")
    [end, *_] = engine._model().end_ids
    [row] = engine.attention([(prompts[0], [(), (end,), (30, end), (30, 31, end), (30, 31, 32, end)])], SAMPLING)
    assert [one.error for one in row] == [""] * 5
    assert [one.statistics["psi_window_max_10"] is None for one in row] == [True, True, True, True, False]


def test_overlong_and_broken_prompts_say_why_they_were_not_measured(open_tiny, prompts):
    engine = open_tiny("llava")
    ids = tuple(range(30, 45))
    broken = Prompt("z" * 32, "image", "<image><image>", prompts[0].images)
    good, bad, long = engine.attention(
        [(prompts[0], [ids]), (broken, [ids, ids]), (prompts[1], [ids])], Sampling(max_prompt_tokens=60)
    )
    assert good[0].statistics["psi_window_max_10"] is not None
    assert [one.statistics for one in bad + long] == [dict.fromkeys(STATISTIC_COLUMNS)] * 3
    assert "placeholders" in bad[0].error
    assert "max_prompt_tokens" in long[0].error


def test_measuring_shrinks_its_batches_when_memory_runs_out(open_tiny, prompts):
    engine = open_tiny("llava")
    ids = [tuple(range(30 + n, 50 + n)) for n in range(4)]
    wanted = engine.attention([(prompt, ids) for prompt in prompts], SAMPLING)
    network = engine._model().network
    forward = network.forward

    def small_only(*args, **inputs):
        if len(inputs["input_ids"]) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(*args, **inputs)

    network.forward = small_only
    for row, others in zip(engine.attention([(prompt, ids) for prompt in prompts], SAMPLING), wanted, strict=True):
        for one, other in zip(row, others, strict=True):
            assert not one.error
            agree(one.statistics, other.statistics)


def test_measuring_shrinks_in_front_of_a_much_longer_response(open_tiny, prompts, monkeypatch):
    engine = open_tiny("llava")
    monkeypatch.setattr("rap_plugin.engines.hf.engine.FORCED_TOKENS", 1200)
    short, long = tuple(range(30, 40)), tuple(range(30, 90)) * 10
    given = [(prompts[0], [short, short, long, short])]
    wanted = engine.attention(given, SAMPLING)
    network = engine._model().network
    forward, calls = network.forward, []

    def single_only(*args, **inputs):
        calls.append(len(inputs["input_ids"]))
        assert len(calls) < 30, "the same batch is tried again and again"
        if len(inputs["input_ids"]) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(*args, **inputs)

    network.forward = single_only
    for one, other in zip(engine.attention(given, SAMPLING)[0], wanted[0], strict=True):
        assert not one.error
        agree(one.statistics, other.statistics)


def test_an_architecture_without_a_known_last_layer_is_named_and_nothing_is_measured(open_tiny, prompts):
    engine = open_tiny("llava")
    model = engine._model()
    model.last_layer.remove()
    attention = model.network.model.language_model.layers[-1].self_attn
    attention.config = SimpleNamespace(_attn_implementation="sdpa")
    module, reason = find_last_attention(model.network)
    assert module is None
    assert "LlavaForConditionalGeneration" in reason
    model.last_layer.reason = reason
    [[(response, measured)]] = engine.generate_with_attention([Request(prompts[0], (0,))], SAMPLING)
    assert response.status == "ok"
    assert measured.statistics == dict.fromkeys(STATISTIC_COLUMNS)
    assert measured.error == reason
    assert engine.attention([(prompts[0], [response.token_ids])], SAMPLING) == [[measured]]


def test_an_attention_with_arguments_that_are_not_computed_is_refused_by_name(open_tiny, prompts):
    engine = open_tiny("llava")
    attention = engine._model().network.model.language_model.layers[-1].self_attn
    kernel = engine._model().last_layer._kernel
    engine._model().last_layer._kernel = lambda *args, s_aux=None, **options: kernel(*args, **options)
    forward = attention.forward
    attention.forward = lambda *args, **options: forward(*args, **options, s_aux=torch.zeros(4))
    [[(response, measured)]] = engine.generate_with_attention([Request(prompts[0], (0,))], SAMPLING)
    assert response.status == "ok"
    assert measured.statistics["psi_window_max_10"] is None
    assert "s_aux" in measured.error


@pytest.mark.parametrize("family", ["llava", "qwen3_5"])
def test_a_kernel_that_computes_something_else_is_found_out(family, open_tiny, prompts):
    """As one with a sparse mask or a sink would: the layer then attends to its first half of the keys only."""
    engine = open_tiny(family)
    last = engine._model().last_layer
    kernel = last._kernel

    def half(module, query, key, value, mask, **options):
        keys = key.shape[2] // 2
        mask = None if mask is None else mask[..., :keys]
        return kernel(module, query, key[:, :, :keys], value[:, :, :keys], mask, **{**options, "is_causal": False})

    last._kernel = lambda *args, **options: (half if args[1].shape[2] == 1 else kernel)(*args, **options)
    [[(response, measured)]] = engine.generate_with_attention([Request(prompts[0], (0,))], SAMPLING)
    assert response.status == "ok"
    assert measured.statistics["psi_window_max_10"] is None
    assert "not the softmax" in measured.error


class Allocated(TorchDispatchMode):
    """Adds up the bytes of every tensor that operations make, and keeps the largest."""

    def __init__(self):
        super().__init__()
        self.total = self.largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        given = {leaf.data_ptr() for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)}
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor) and leaf.data_ptr() not in given:
                size = leaf.numel() * leaf.element_size()
                self.total += size
                self.largest = max(self.largest, size)
        return out


def test_extra_memory_does_not_depend_on_the_number_of_layers(open_tiny):
    extra = {}
    ids = torch.randint(30, 90, (1, 600), generator=torch.Generator().manual_seed(0))
    for layers in (2, 7):
        engine = open_tiny("llava", layers=layers)
        last: LastLayer = engine._model().last_layer
        network = engine._model().network
        with torch.no_grad():
            with Allocated() as plain:
                network(input_ids=ids, logits_to_keep=1)

            def reduce(layer):
                ace.measure(layer.query[:, :, 300:], layer.key, layer.scaling, scratch_bytes=2**18)

            with Allocated() as measured, last.showing(reduce):
                network(input_ids=ids, logits_to_keep=1)
        extra[layers] = measured.total - plain.total
        assert extra[layers] > 0
        assert measured.largest < 4 * 600 * 600 * 4 / 2, "less than half a layer's attention map"
    assert extra[2] == extra[7]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-3), ("bfloat16", 0.2)])
def test_a_gpu_measures_what_the_cpu_measures(dtype, tolerance, tiny_folder, open_tiny, prompts):
    from rap_plugin.config import ModelConfig
    from rap_plugin.engines.hf.engine import open_hf

    engine = open_hf(ModelConfig(id=str(tiny_folder("qwen2_5_vl")), device="cuda", dtype=dtype))
    rows = engine.generate_with_attention([Request(prompt, (0, 1)) for prompt in prompts], SAMPLING)
    given = [(prompt, [response.token_ids for response, _ in row]) for prompt, row in zip(prompts, rows, strict=True)]
    engine.close()
    for row, alone in zip(rows, open_tiny("qwen2_5_vl").attention(given, SAMPLING), strict=True):
        for (response, together), separate in zip(row, alone, strict=True):
            assert response.status == "ok"
            agree(together.statistics, separate.statistics, tolerance)
