"""What looking is worth, from rows whose answers are known."""

from __future__ import annotations

import random

import pytest
from PIL import Image

from rap_plugin.errors import RapError
from rap_plugin.rollout import Prompt
from rap_plugin.vlm_r3.coordinates import Frame
from rap_plugin.vlm_r3.evidence_boxes import known_boxes, precision, shown_share
from rap_plugin.vlm_r3.evidence_reward import blank_row, evidence_reward
from rap_plugin.vlm_r3.faithfulness import measure_faithfulness
from rap_plugin.vlm_r3.interventions import elsewhere, overlap, shower
from rap_plugin.vlm_r3.loop import LoopOptions, RegionRow
from rap_plugin.vlm_r3.rows import GradedRow
from rap_plugin.vlm_r3.study import tables_of, verdict
from rap_plugin.vlm_r3.trace import Look, Trace


def trace(region=(10, 10, 50, 50), answer: str = "A") -> Trace:
    looks = () if region is None else (Look(0, "{}", 0, region, (56, 56)),)
    segments = ("see", f"<answer>{answer}</answer>") if looks else (f"<answer>{answer}</answer>",)
    return Trace(segments, ("",) * len(segments), looks, "answer", 9)


def rows(right: list[bool], look: list[bool] | None = None) -> dict[tuple[int, int], GradedRow]:
    look = look or [True] * len(right)
    return {
        (at, 0): GradedRow(at, 0, trace((10, 10, 50, 50) if look[at] else None), mark, "A" if mark else "B")
        for at, mark in enumerate(right)
    }


def test_a_model_that_needs_its_crops_loses_without_them() -> None:
    own = rows([True] * 40 + [False] * 10)
    blank = rows([True] * 10 + [False] * 40)
    found = measure_faithfulness(own, {"blank": blank})
    (contrast,) = found.contrasts
    assert contrast.loss == pytest.approx(0.6)
    low, high = contrast.loss_interval
    assert 0.4 < low < 0.6 < high < 0.8
    assert (contrast.changed.count, contrast.changed.total) == (30, 50)
    assert verdict(found).startswith("The crops matter: with grey ones in their place the model loses 60.0 points")


def test_a_model_that_solves_its_problems_without_its_crops_is_seen_through() -> None:
    own = rows([True] * 45 + [False] * 5)
    found = measure_faithfulness(own, {"blank": rows([True] * 45 + [False] * 5), "random": rows([False] * 50)})
    assert found.contrasts[0].loss == 0
    assert verdict(found).startswith("It is not shown that the crops matter")
    assert found.contrasts[1].loss == pytest.approx(0.9)


def test_problems_without_a_look_dilute_the_loss_and_are_told_apart() -> None:
    look = [True] * 10 + [False] * 30
    found = measure_faithfulness(rows([True] * 40, look), {"none": rows([False] * 10 + [True] * 30, look)})
    (contrast,) = found.contrasts
    assert contrast.loss == pytest.approx(0.25)
    assert contrast.loss_where_looked == pytest.approx(1.0)
    assert contrast.changed.total == 10


def test_answers_that_could_not_be_judged_in_either_arm_are_left_out_of_both() -> None:
    own = rows([True, True, False, True])
    other = rows([False, True, False, True])
    other[3, 0] = GradedRow(3, 0, trace(), None, "")
    found = measure_faithfulness(own, {"blank": other})
    assert found.contrasts[0].accuracy.total == 3
    assert found.contrasts[0].loss == pytest.approx(1 / 3)


def test_one_problem_alone_has_no_other_s_image_to_show() -> None:
    with pytest.raises(RapError, match="leave swapped out: --crops blank"):
        shower("swapped")


def test_known_evidence_is_held_against_the_regions() -> None:
    own = rows([True] * 6 + [False] * 6)
    boxes = {at: ((10, 10, 50, 50),) if at < 6 else ((200, 200, 220, 220),) for at in range(12)}
    found = measure_faithfulness(own, {}, boxes)
    assert found.shown == pytest.approx(0.5)
    assert (found.with_evidence.count, found.with_evidence.total) == (6, 6)
    assert (found.without_evidence.count, found.without_evidence.total) == (0, 6)
    titles = [table["title"] for table in tables_of(found)]
    assert "Does it look at the evidence?" in titles
    assert verdict(found).startswith("No answers with blank crops")


@pytest.mark.parametrize(
    ("row", "boxes"),
    [
        ({"bbox": [1, 2, 30, 40]}, ((1, 2, 30, 40),)),
        ({"bboxs": [[1.4, 2, 30, 40.2], [5, 6, 70, 80]]}, ((1, 2, 30, 41), (5, 6, 70, 80))),
        ({"evidence_boxes": [[1, 2, 3]], "bbox": [1, 2, 30, 40]}, ()),
        ({"bbox": [30, 40, 1, 2]}, ()),
        ({"bbox": ["a", 2, 3, 4]}, ()),
        ({"bbox": [float("nan"), 2, 3, 4]}, ()),
        ({"bbox": "1,2,3,4"}, ()),
        ({"bbox": []}, ()),
        ({}, ()),
    ],
)
def test_boxes_of_a_pool_are_read(row: dict, boxes: tuple) -> None:
    assert known_boxes(row) == boxes


def test_the_share_that_is_shown_and_the_precision_of_the_regions() -> None:
    assert shown_share([(10, 10, 50, 50)], trace()) == 1
    assert shown_share([(30, 10, 70, 50)], trace()) == pytest.approx(0.5)
    assert shown_share([(10, 10, 50, 50)], trace(None)) == 0
    assert shown_share([], trace()) is None
    assert precision([(10, 10, 50, 50)], trace((0, 0, 100, 100))) == pytest.approx(0.16)


def test_looking_pays_only_where_it_was_needed() -> None:
    assert evidence_reward(True, trace(), blank_right=False) == 1
    assert evidence_reward(True, trace(), blank_right=True) == 0
    assert evidence_reward(False, trace(), blank_right=False) == 0
    assert evidence_reward(True, trace(None), blank_right=False) == 0
    assert evidence_reward(True, trace(), boxes=[(10, 10, 50, 50)]) == 1
    assert evidence_reward(True, trace(), boxes=[(60, 60, 90, 90)]) == 0


def test_a_region_elsewhere_has_the_same_size_and_lies_in_the_image() -> None:
    draw = random.Random(0)
    for number in range(500):
        size = draw.randrange(20, 300), draw.randrange(20, 300)
        left, top = draw.randrange(size[0] - 8), draw.randrange(size[1] - 8)
        region = (left, top, draw.randrange(left + 4, size[0] + 1), draw.randrange(top + 4, size[1] + 1))
        other = elsewhere(region, size, str(number))
        assert (other[2] - other[0], other[3] - other[1]) == (region[2] - region[0], region[3] - region[1])
        assert 0 <= other[0] < other[2] <= size[0]
        assert 0 <= other[1] < other[3] <= size[1]
        assert other == elsewhere(region, size, str(number))
    assert overlap((10, 10, 30, 30), elsewhere((10, 10, 30, 30), (300, 300), "a")) == 0


@pytest.mark.parametrize("crops", ["blank", "swapped", "random", "none"])
def test_every_replacement_has_the_size_of_the_crop_and_shows_something_else(crops) -> None:
    from rap_plugin.engines.turns import Segment

    image = Image.new("RGB", (200, 200), "white")
    image.paste("red", (10, 10, 50, 50))
    other = Image.new("RGB", (120, 90), "blue")
    prompt = Prompt("a", "image", "<image>?", (image,))
    row = RegionRow.of(prompt, Frame("raw"), LoopOptions(), show=shower(crops, lambda: other), instead=crops)
    row.accept(Segment((1,), '{"bbox_2d": [10, 10, 49, 49]}', "closed"))
    shown = [part.image for part in row.turn.parts if part.image is not None]
    assert row.looks[0].instead == crops
    if crops == "none":
        assert not shown
        assert not row.looks[0].problem
        return
    plain = RegionRow.of(prompt, Frame("raw"), LoopOptions())
    plain.accept(Segment((1,), '{"bbox_2d": [10, 10, 49, 49]}', "closed"))
    assert shown[0].size == plain.turn.parts[1].image.size
    assert {"blank": (127, 127, 127), "swapped": (0, 0, 255), "random": (255, 255, 255)}[crops] in {
        colour for _, colour in shown[0].getcolors(10**6)
    }
    assert blank_row(plain).instead == "blank"
