"""Engine hf on random models of the four families: what is sampled, and what happens when things go wrong."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from rap_plugin.engines.hf import chat, decoding  # noqa: E402
from rap_plugin.rollout import Prompt, Request, Sampling  # noqa: E402

from ..tiny_models import FAMILIES  # noqa: E402

SHORT = Sampling(max_new_tokens=12)


@pytest.fixture
def requests(picture):
    """Four prompts of different lengths: one image, two images between text, no image, an image at the end."""
    return [
        Request(Prompt("a" * 32, "image", "<image>What is it?", (picture(60, 40),)), (0, 1, 2)),
        Request(
            Prompt("b" * 32, "image", "Put <image> beside <image>: alike?", (picture(60, 40, 1), picture(90, 120))),
            (0, 1),
        ),
        Request(Prompt("c" * 32, "blind", "How many digits are there, all in all?", system="Be brief."), (0, 1, 4)),
        Request(Prompt("d" * 32, "image", "See <image>", (picture(28, 28),)), (3,)),
    ]


def greedy(engine, prompt, tokens):
    """The tokens that Transformers' own greedy `generate` gives for one prompt alone."""
    network = engine._model().network
    inputs = engine._processor.apply_chat_template(
        chat.chat_messages(prompt), add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    with torch.inference_mode():
        out = network.generate(**inputs, do_sample=False, max_new_tokens=tokens)
    return tuple(out[0, inputs["input_ids"].shape[1] :].tolist())


@pytest.mark.parametrize("family", FAMILIES)
def test_the_most_probable_tokens_are_those_of_generate(family, open_tiny, requests):
    engine = open_tiny(family)
    cold = Sampling(temperature=1e-6, max_new_tokens=40)
    for request, responses in zip(requests, engine.generate(requests, cold), strict=True):
        wanted = greedy(engine, request.prompt, 40)
        for response in responses:
            assert response.status == "ok"
            assert response.token_ids == wanted
            assert response.finish == ("stop" if wanted[-1] in engine._model().end_ids else "length")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_rollout_does_not_depend_on_what_else_is_in_the_batch(family, open_tiny, requests):
    together = open_tiny(family, batch_size=64).generate(requests, SHORT)
    alone = open_tiny(family, batch_size=1)
    for request, responses in zip(requests, together, strict=True):
        assert [response.rollout for response in responses] == list(request.rollouts)
        for response in responses:
            assert alone.generate([Request(request.prompt, (response.rollout,))], SHORT) == [[response]]
    backwards = open_tiny(family, batch_size=3).generate(requests[::-1], SHORT)
    assert backwards[::-1] == together


def test_rollouts_differ_from_each_other_and_with_the_seed(open_tiny, requests):
    engine = open_tiny("llava")
    first = engine.generate(requests, SHORT)
    tokens = [response.token_ids for responses in first for response in responses]
    assert len(set(tokens)) == len(tokens)
    other = engine.generate(requests, Sampling(max_new_tokens=12, seed=1))
    assert not {response.token_ids for responses in other for response in responses} & set(tokens)


def test_a_longer_limit_only_adds_to_a_rollout(open_tiny, requests):
    engine = open_tiny("llava")
    longer = engine.generate(requests, Sampling(max_new_tokens=24))
    for short_row, long_row in zip(engine.generate(requests, SHORT), longer, strict=True):
        for short, long in zip(short_row, long_row, strict=True):
            assert long.token_ids[: len(short.token_ids)] == short.token_ids


def test_the_image_matters_to_the_image_arm(open_tiny, picture):
    engine = open_tiny("llava")
    one, other = (
        engine.generate([Request(Prompt("e" * 32, "image", "<image>?", (picture(28, 28, seed),)), (0,))], SHORT)
        for seed in (1, 2)
    )
    assert one[0][0].token_ids != other[0][0].token_ids


def test_the_text_is_the_tokens_without_special_ones(open_tiny, requests):
    engine = open_tiny("llava")
    ended = [
        response
        for responses in engine.generate(requests, Sampling(max_new_tokens=200))
        for response in responses
        if response.finish == "stop"
    ]
    assert ended
    for response in ended:
        assert response.token_ids[-1] in engine._model().end_ids
        assert "<|im_end|>" not in response.text
        assert len(response.text) <= len(response.token_ids) - 1


def test_a_prompt_over_the_limit_is_overlong_in_both_arms_and_never_cut(open_tiny, requests):
    engine = open_tiny("llava")
    lengths = [row[0].prompt_tokens for row in engine.generate(requests, Sampling(max_new_tokens=1))]
    limit = sorted(lengths)[1]
    tight = Sampling(max_new_tokens=3, max_prompt_tokens=limit)
    for length, request, responses in zip(lengths, requests, engine.generate(requests, tight), strict=True):
        assert [response.rollout for response in responses] == list(request.rollouts)
        for response in responses:
            assert response.status == ("overlong" if length > limit else "ok")
            assert response.prompt_tokens == length
            if response.status == "overlong":
                assert not response.token_ids
                assert str(length) in response.error
                assert str(limit) in response.error


@pytest.mark.parametrize(
    ("text", "pictures", "reason"),
    [
        ("<image> and <image>", 1, "2 <image> placeholders for 1 images"),
        ("no placeholder", 1, "0 <image> placeholders for 1 images"),
        ("a hidden mark <|image_pad|><image>", 1, None),
    ],
)
def test_one_bad_request_does_not_hurt_the_others(text, pictures, reason, open_tiny, requests, picture):
    engine = open_tiny("qwen2_5_vl")
    good = engine.generate(requests, SHORT)
    bad = Request(Prompt("f" * 32, "image", text, (picture(30, 30),) * pictures), (0, 1))
    out = engine.generate([*requests[:2], bad, *requests[2:]], SHORT)
    assert out[:2] + out[3:] == good
    assert [response.status for response in out[2]] == ["engine_error", "engine_error"]
    assert all(response.error and "\n" not in response.error for response in out[2])
    if reason:
        assert reason in out[2][0].error


class FailsAbove:
    """Stands before a network's forward and raises `error` when more than `rows` rows come at once."""

    def __init__(self, network, rows, error):
        self.forward, self.rows, self.error, self.failures = network.forward, rows, error, 0
        network.forward = self

    def __call__(self, *args, **inputs):
        if len(inputs["input_ids"]) > self.rows:
            self.failures += 1
            raise self.error
        return self.forward(*args, **inputs)


MEMORY_ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: can't allocate memory: you tried"),
    MemoryError(),
]


@pytest.mark.parametrize("error", MEMORY_ERRORS, ids=["cuda", "cpu", "python"])
def test_a_batch_that_does_not_fit_is_halved_and_nothing_is_lost(error, open_tiny, requests):
    wanted = open_tiny("llava").generate(requests, SHORT)
    engine = open_tiny("llava")
    wall = FailsAbove(engine._model().network, 2, error)
    assert engine.generate(requests, SHORT) == wanted
    assert 1 <= wall.failures <= 3
    before = wall.failures
    assert engine.generate(requests, SHORT) == wanted
    assert wall.failures == before, "what did not fit once is not tried again"


def test_a_response_that_does_not_fit_alone_is_an_engine_error_with_its_reason(open_tiny, requests):
    engine = open_tiny("llava")
    FailsAbove(engine._model().network, 0, MEMORY_ERRORS[0])
    for request, responses in zip(requests, engine.generate(requests, SHORT), strict=True):
        assert [response.rollout for response in responses] == list(request.rollouts)
        for response in responses:
            assert response.status == "engine_error"
            assert response.error.startswith("out of memory with one response: CUDA out of memory")
            assert response.prompt_tokens > 0


def test_a_model_that_fails_on_one_prompt_answers_all_others(open_tiny, requests):
    engine = open_tiny("llava")
    wanted = engine.generate(requests, SHORT)
    network = engine._model().network
    forward, length = network.forward, wanted[2][0].prompt_tokens

    def fails_on_the_third(*args, **inputs):
        if inputs["input_ids"].shape[1] > 1 and int(inputs["attention_mask"].sum(dim=1).min()) <= length:
            lengths = inputs["attention_mask"].sum(dim=1).tolist()
            if length in lengths:
                raise RuntimeError("this prompt breaks the kernel")
        return forward(*args, **inputs)

    network.forward = fails_on_the_third
    out = engine.generate(requests, SHORT)
    assert out[:2] + out[3:] == wanted[:2] + wanted[3:]
    assert {(response.status, response.error) for response in out[2]} == {
        ("engine_error", "this prompt breaks the kernel")
    }


def test_logits_that_are_not_numbers_are_an_engine_error_and_no_text(open_tiny, requests):
    engine = open_tiny("llava")
    with torch.no_grad():
        engine._model().network.get_output_embeddings().weight[5] = float("nan")
    for responses in engine.generate(requests, SHORT):
        assert {response.status for response in responses} == {"engine_error"}
        assert {response.error for response in responses} == {decoding.NOT_A_NUMBER}


def test_a_broken_gpu_stops_the_run_with_one_line(open_tiny, requests):
    from rap_plugin.errors import RapError

    engine = open_tiny("llava")
    FailsAbove(engine._model().network, 0, RuntimeError("CUDA error: an illegal memory access was encountered\nmore"))
    with pytest.raises(RapError, match=r"stopped working \(CUDA error: an illegal memory access was encountered\)"):
        engine.generate(requests, SHORT)


def test_closing_leaves_no_trace_in_the_process(open_tiny, requests):
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    def state():
        return (
            set(ALL_ATTENTION_FUNCTIONS),
            torch.is_grad_enabled(),
            torch.get_default_dtype(),
            torch.get_num_threads(),
            torch.random.get_rng_state().tolist(),
        )

    engine = open_tiny("qwen2_5_vl")
    engine._model()
    engine.close()
    before = state()
    engine.generate_with_attention(requests, SHORT)
    assert len(set(ALL_ATTENTION_FUNCTIONS) - before[0]) == 1
    attention = engine._model().last_layer.module
    assert attention.config._attn_implementation != "sdpa"
    engine.close()
    assert attention.config._attn_implementation == "sdpa"
    assert state() == before


def test_no_requests_need_no_weights(open_tiny):
    engine = open_tiny("llava")
    assert engine.generate([], SHORT) == []
    assert engine.generate_with_attention([], SHORT) == []
    assert engine.attention([], SHORT) == []
    assert engine._loaded is None
