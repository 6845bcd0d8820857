"""Boxes as models write them, from well-formed to hostile."""

from __future__ import annotations

import random
import time

import pytest
from PIL import Image

from rap_plugin.engines.turns import Segment
from rap_plugin.rollout import Prompt
from rap_plugin.vlm_r3.boxes import BEHIND, STOPS, AskedBox, BadBox, read_box
from rap_plugin.vlm_r3.coordinates import Frame
from rap_plugin.vlm_r3.loop import LoopOptions, RegionRow


@pytest.mark.parametrize(
    ("text", "corners", "image"),
    [
        ('look {"bbox_2d": [1, 2, 30, 40]}', (1, 2, 30, 40), None),
        ('{"image": 2, "bbox_2d": [1.5, 2, 3e1, 40]}', (1.5, 2, 30, 40), 2),
        ('```json\n[{"bbox_2d": [1, 2, 30, 40], "label": "cat"}', (1, 2, 30, 40), None),
        ('{"bbox_2d": [1, 2, 30, 40]\n}', (1, 2, 30, 40), None),
        ('{"a": {"bbox_2d": [1, 2, 30, 40]}', (1, 2, 30, 40), None),
        ('first {"bbox_2d": [0, 0, 9, 9]} then {"bbox": [1, 2, 30, 40]}. ', (1, 2, 30, 40), None),
    ],
)
def test_a_box_at_the_end_is_read(text: str, corners: tuple[float, ...], image: int | None) -> None:
    found = read_box(text)
    assert isinstance(found, AskedBox)
    assert (found.corners, found.image) == (corners, image)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"bbox_2d": [1, 2, 30]}', "3 numbers"),
        ('{"bbox_2d": [1, 2, 30, 40, 50]}', "5 numbers"),
        ('{"bbox_2d": [[1, 2, 30, 40], [5, 6, 7, 8]]}', "one box at a time"),
        ('{"bbox_2d": [30, 40, 1, 2]}', "smaller than"),
        ('{"bbox_2d": [1, 2, 1, 40]}', "smaller than"),
        ("{'bbox_2d': [1, 2, 30, 40]}", "no valid JSON"),
        ('{"bbox_2d": [1, 2, 30, 40,]}', "no valid JSON"),
        ('"bbox_2d": [1, 2, 30, 40]}', "no valid JSON"),
        ('{"bbox_2d": [1, 2, 30', "not closed"),
        ('{"bbox_2d": [NaN, 2, 30, 40]}', "no number"),
        ('{"bbox_2d": [1, 2, 30, 1e999]}', "no number"),
        ('{"bbox_2d": ["1", 2, 30, 40]}', "no number"),
        ('{"bbox_2d": [true, 2, 30, 40]}', "no number"),
        ('{"bbox_2d": {"x": 1}}', "four numbers"),
        ('{"image": "first", "bbox_2d": [1, 2, 30, 40]}', "whole number"),
    ],
)
def test_what_was_meant_as_a_box_and_is_none_says_why(text: str, words: str) -> None:
    found = read_box(text)
    assert isinstance(found, BadBox)
    assert words in found.reason


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no box here",
        "the bbox_2d [1, 2]}",
        r"\frac{a}{b}",
        '{"bbox_2d": [1, 2, 30, 40]} and so it is a cat',
        "}" * 99,
    ],
)
def test_a_text_that_asks_for_nothing_is_no_box(text: str) -> None:
    assert read_box(text) is None


PIECES = (
    '{"bbox_2d": [', '"bbox_2d"', '{"image": ', "{", "}", "[", "]", "]}", ": ", ", ", "-", "1e9", "NaN", "Infinity", "0",
    "12", "300", "99999999999999999999", "0.5", "1e-320", "null", "true", '"', "'", "\\", "\n", " ", "é", "\x00", "\ud800",
    "</answer>", '{"bbox_2d": [1, 2, 30, 40]}', '{"bbox": [[1, 2, 3, 4]]}', '{"bbox_2d": [5, 5, 5, 5]}', "<answer>",
)  # fmt: skip


def generated(draw: random.Random) -> str:
    """A box, whole or damaged, or a heap of pieces."""
    kind = draw.random()
    if kind < 0.35:
        return "".join(draw.choices(PIECES, k=draw.randrange(1, 14)))
    numbers = [draw.choice((draw.randrange(-50, 1200), draw.uniform(-9, 1100), draw.randrange(60))) for _ in range(4)]
    if draw.random() < 0.6:
        numbers = sorted(numbers[:2] * 1 + numbers[2:])
        numbers = [numbers[0], numbers[1], numbers[2], numbers[3]]
    text = f'{{"bbox_2d": [{", ".join(map(str, numbers[: draw.choice((4, 4, 4, 3, 0))]))}]}}'
    if kind < 0.6:  # one character lost, doubled or changed
        at = draw.randrange(len(text))
        text = text[:at] + draw.choice(("", text[at] * 2, draw.choice(PIECES))) + text[at + 1 :]
    if draw.random() < 0.1:
        text = draw.choice(("{" * 2000, "[" * 2000, '{"a":' * 500, " " * 5000)) + text
    return text


def test_20_000_generated_boxes_end_in_a_crop_inside_the_image_or_in_a_message() -> None:
    draw = random.Random(7)
    options = LoopOptions(max_segments=40, max_crops=20, max_new_tokens=10**6)
    longest, shown, refused = 0.0, 0, 0
    row = None
    for number in range(20_000):
        if row is None or row.done:
            size = draw.choice(((64, 48), (1000, 700), (5, 300), (1, 1)))
            scale = draw.choice(("resized", "normalised", "raw"))
            frame = Frame(scale, 28, 56 * 56, 28 * 28 * 64)
            prompt = Prompt(str(number), "image", "<image>?", (Image.new("L", size),))
            row = RegionRow.of(prompt, frame, options)
            previous: set[tuple[int, int, int, int]] = set()
        text = generated(draw)
        parts = len(row.turn.parts)
        began = time.process_time()
        row.accept(Segment((1,), text, "closed"))
        longest = max(longest, time.process_time() - began)
        crops = [part for part in row.turn.parts[parts:] if part.image is not None]
        assert len(crops) <= 1
        if crops:
            shown += 1
            look = row.looks[-1]
            left, top, right, bottom = look.region
            assert 0 <= left < right <= size[0]
            assert 0 <= top < bottom <= size[1]
            assert look.region not in previous
            previous.add(look.region)
        elif row.looks and row.looks[-1].segment == len(row.segments) - 1:
            refused += 1
            assert row.inserted[-1].startswith("\n[no crop: ")
            assert len(row.inserted[-1]) < 120
    assert shown > 1000
    assert refused > 5000
    assert longest < 0.5, "one box is read in bounded time"


def test_every_stop_that_can_end_a_box_lets_it_be_read() -> None:
    assert all(len(stop) <= BEHIND + 3 for stop in STOPS)
    for close in ("]}", "]\n}", "] }"):
        assert isinstance(read_box('{"bbox_2d": [1, 2, 30, 40' + close), AskedBox)
    assert isinstance(read_box('{"bbox_2d": [1, 2, 30, 40], "label": "x"}'), AskedBox)
