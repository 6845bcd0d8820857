"""From a model's coordinates to the raw image's pixels."""

from __future__ import annotations

import random

import pytest

from rap_plugin.engines.turns import VisionFacts
from rap_plugin.vlm_r3.coordinates import Frame, frame_of, outside, seen_size, smart_resize, to_corners, to_region


def test_sizes_are_those_of_transformers_own_resizing() -> None:
    reference = pytest.importorskip("transformers.models.qwen2_vl.image_processing_qwen2_vl").smart_resize
    draw = random.Random(1)
    for _ in range(3000):
        width, height = draw.randrange(1, 3000), draw.randrange(1, 3000)
        if max(width, height) > 150 * min(width, height):
            continue
        factor = draw.choice((28, 32))
        low, high = draw.choice(((56 * 56, 28 * 28 * 1280), (4 * 784, 1024 * 784), (32 * 784, 8192 * 784)))
        high_first = reference(height, width, factor, low, high)
        assert smart_resize((width, height), factor, low, high) == high_first[::-1]


@pytest.mark.parametrize(
    ("facts", "scale"),
    [
        (VisionFacts("qwen2_5_vl", 28, 3136, 1003520), "resized"),
        (VisionFacts("qwen3_vl", 32, 1024, 12288), "normalised"),
        (VisionFacts("qwen2_vl", 28, 3136, 1003520), "normalised"),
        (VisionFacts("internvl"), "normalised"),
        (VisionFacts("llava"), "normalised"),
    ],
)
def test_a_family_has_the_coordinates_that_it_was_trained_on(facts: VisionFacts, scale: str) -> None:
    assert frame_of(facts).scale == scale
    assert frame_of(facts, "raw").scale == "raw"


def test_absolute_pixels_are_those_of_the_resized_image() -> None:
    frame = Frame("resized", 28, 56 * 56, 28 * 28 * 100)
    assert seen_size(frame, (1120, 560)) == (392, 196)  # 100 patches of 28 x 28 at most
    assert to_region(frame, (0, 0, 391, 195), (1120, 560)) == (0, 0, 1118, 558)
    assert to_region(frame, (98, 49, 196, 98), (1120, 560)) == (280, 140, 561, 281)


def test_thousandths_are_of_the_raw_image() -> None:
    assert to_region(Frame("normalised"), (0, 0, 1000, 1000), (640, 480)) == (0, 0, 640, 480)
    assert to_region(Frame("normalised"), (500, 250, 750, 500), (640, 480)) == (320, 120, 481, 241)


def test_the_far_edge_is_part_of_the_region() -> None:
    assert to_region(Frame("raw"), (2, 3, 5, 7), (10, 10)) == (2, 3, 6, 8)


def test_a_region_lies_in_the_image_whatever_the_numbers_are() -> None:
    draw = random.Random(3)
    for _ in range(5000):
        size = draw.randrange(1, 900), draw.randrange(1, 900)
        corners = tuple(draw.choice((draw.uniform(-1e4, 1e4), 1e300, -1e300, 0.0)) for _ in range(4))
        for scale in ("resized", "normalised", "raw"):
            left, top, right, bottom = to_region(Frame(scale), corners, size)
            assert 0 <= left < right <= size[0]
            assert 0 <= top < bottom <= size[1]


def test_a_box_written_for_a_region_means_that_region() -> None:
    draw = random.Random(5)
    for scale in ("resized", "raw"):
        frame = Frame(scale, 28, 56 * 56, 28 * 28 * 20_000)
        for _ in range(500):
            size = 28 * draw.randrange(4, 30), 28 * draw.randrange(4, 30)
            left, top = draw.randrange(size[0] - 20), draw.randrange(size[1] - 20)
            region = (left, top, draw.randrange(left + 5, size[0]), draw.randrange(top + 5, size[1]))
            assert to_region(frame, to_corners(frame, region, size), size) == region


def test_a_box_beside_the_image_is_told_from_one_that_reaches_into_it() -> None:
    assert outside(Frame("raw"), (100, 0, 120, 20), (100, 100))
    assert outside(Frame("raw"), (-20, -20, -1, -1), (100, 100))
    assert not outside(Frame("raw"), (-20, -20, 1, 1), (100, 100))
