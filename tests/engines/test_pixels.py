"""How large an image is when a model sees it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rap_plugin.config import ModelConfig
from rap_plugin.engines.pixels import bound_processor, pixel_bounds, processor_bounds, resized, too_many_tokens
from rap_plugin.errors import RapError
from rap_plugin.rollout import Prompt, Request, Sampling

PHOTO = (4000, 3000)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 400), st.integers(1, 400), st.integers(1, 20_000), st.integers(0, 200_000))
def test_an_image_fits_its_bounds_or_is_left_alone(width, height, low, more):
    high = low + more
    image = resized(Image.new("L", (width, height)), (low, high))
    if low <= width * height <= high:
        assert image.size == (width, height)
    elif width * height > high:
        assert image.size[0] * image.size[1] <= max(high, *image.size)  # no side falls below one pixel
    else:
        assert image.size[0] * image.size[1] >= low


def test_the_shape_is_kept():
    assert resized(Image.new("L", PHOTO), (1, 30_000)).size == (200, 150)
    assert resized(Image.new("L", (40, 30)), (4800, 30_000)).size == (80, 60)


def test_bounds_that_leave_nothing_are_refused_by_name():
    with pytest.raises(RapError, match=r"model\.min_pixels = 500 is above model\.max_pixels = 100"):
        pixel_bounds(ModelConfig(min_pixels=500, max_pixels=100))
    assert pixel_bounds(ModelConfig()) is None
    assert pixel_bounds(ModelConfig(max_pixels=100))[1] == 100


def test_processors_that_bound_the_area_are_told_from_those_that_do_not():
    transformers = pytest.importorskip("transformers")
    for name in ("Qwen2VL", "VideoLlama3", "Glm4v", "HunYuanVL"):
        processor = getattr(transformers, f"{name}ImageProcessor")()
        assert processor_bounds(processor) is not None, name
        assert bound_processor(processor, ModelConfig(min_pixels=20_000, max_pixels=90_000))
        assert processor_bounds(processor) == (20_000, 90_000)
    for name in ("CLIP", "Siglip", "Idefics2", "LlavaNext"):
        assert not bound_processor(getattr(transformers, f"{name}ImageProcessor")(), ModelConfig(max_pixels=90_000))


def test_one_configured_bound_moves_the_other_only_where_they_cross():
    transformers = pytest.importorskip("transformers")
    processor = transformers.Qwen2VLImageProcessor(size={"shortest_edge": 5_000, "longest_edge": 90_000})
    bound_processor(processor, ModelConfig(max_pixels=40_000))
    assert processor_bounds(processor) == (5_000, 40_000)
    bound_processor(processor, ModelConfig(max_pixels=4_000))
    assert processor_bounds(processor) == (4_000, 4_000)
    bound_processor(processor, ModelConfig(min_pixels=6_000))
    assert processor_bounds(processor) == (6_000, 6_000)


def test_an_overlong_prompt_says_what_its_images_took_and_what_to_set():
    reason = too_many_tokens(16_500, 16_000, 2_500, [PHOTO], 20_000_000)
    assert "16500 tokens, max_prompt_tokens is 2500" in reason
    assert "16000 of them are for 1 image (4000 x 3000 pixels)" in reason
    assert "model.max_pixels (here at most about 1500000)" in reason
    assert "model.max_pixels" not in too_many_tokens(600, 500, 90, [PHOTO], 20_000_000), "the text alone is too long"
    assert "model.max_pixels" not in too_many_tokens(600, 500, 200, [PHOTO], None), "every image takes as many"
    assert "image" not in too_many_tokens(600, 0, 200, [], None)


def tokens_of(engine, size, limit=1000):
    request = Request(Prompt("a" * 32, "image", "<image>?", (Image.new("RGB", size),)), (0,))
    [[response]] = engine.generate([request], Sampling(max_new_tokens=1, max_prompt_tokens=limit))
    return response


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
def test_engine_hf_gives_the_bounds_to_the_processor(family, open_tiny):
    side = 28 if family == "qwen2_5_vl" else 32
    plain = tokens_of(open_tiny(family), PHOTO).prompt_tokens
    fewer = tokens_of(open_tiny(family, config={"max_pixels": 4 * side**2}), PHOTO)
    more = tokens_of(open_tiny(family, config={"min_pixels": 9 * side**2}), (20, 20))
    assert plain - fewer.prompt_tokens == 12 - 2, "a photo of 4 : 3 fills 12 tokens, and 2 x 1 of the 4 that are left"
    assert more.prompt_tokens - fewer.prompt_tokens == 9 - 2
    assert fewer.status == more.status == "ok"


def test_following_the_advice_makes_a_photo_fit(open_tiny):
    reason = tokens_of(open_tiny("qwen2_5_vl"), PHOTO, limit=30).error
    advice = int(reason.split("at most about ")[1].split(")")[0])
    assert tokens_of(open_tiny("qwen2_5_vl", config={"max_pixels": advice}), PHOTO, limit=30).status == "ok"


def test_a_processor_without_bounds_gets_a_smaller_image(open_tiny, picture):
    """LLaVA crops its centre: what it sees of a photo is another image after the photo was reduced."""
    engine = open_tiny("llava", config={"max_pixels": 400})
    seen = []
    prepare = engine.prepare_prompt
    engine.prepare_prompt = lambda prompt, *rest: seen.append(prompt.images[0].size) or prepare(prompt, *rest)
    assert tokens_of(engine, (80, 60)).status == "ok"
    assert seen == [(23, 17)]
