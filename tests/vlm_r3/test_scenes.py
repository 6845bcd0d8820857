"""Digit scenes: the same seed gives the same ones, and only a crop can show what stands in them."""

from __future__ import annotations

import numpy as np
import pytest

from rap_plugin.vlm_r3.scenes import CELL, FRAME, SIDE, digit_rows, make_scenes, pool_rows


def test_the_same_seed_gives_the_same_scenes_and_another_one_others() -> None:
    assert make_scenes(6, seed=3) == make_scenes(6, seed=3)
    assert make_scenes(6, seed=3)[0].image != make_scenes(6, seed=4)[0].image


def test_training_and_held_out_scenes_share_no_digit() -> None:
    for digit in range(10):
        train, held_out = set(digit_rows("train")[digit]), set(digit_rows("held_out")[digit])
        assert train
        assert held_out
        assert not train & held_out
    with pytest.raises(ValueError, match="'train' or 'held_out'"):
        make_scenes(1, "test")


def test_the_frames_stand_around_the_digits_that_decide_in_reading_order() -> None:
    for scene in make_scenes(30, seed=1):
        image = np.asarray(scene.open())
        assert image.shape == (SIDE, SIDE, 3)
        assert len(scene.boxes) == len(scene.seen) == (2 if scene.kind == "larger" else 1)
        for left, top, right, bottom in scene.boxes:
            assert (right - left, bottom - top) == (CELL, CELL)
            assert image[top, left].argmax() == 0
            inside = image[top + FRAME : bottom - FRAME, left + FRAME : right - FRAME]
            assert inside.std() > 3
        red = (image[:, :, 0] > 200) & (image[:, :, 1] < 100)
        assert int(red.sum()) == len(scene.boxes) * (CELL**2 - (CELL - 2 * FRAME) ** 2)
        assert scene.answer == str(max(scene.seen))
        ninths = [(top // (SIDE // 3), left // (SIDE // 3)) for left, top, _, _ in scene.boxes]
        assert ninths == sorted(set(ninths))


def test_a_digit_is_less_than_two_pixels_wide_where_the_model_sees_the_whole_scene() -> None:
    (scene,) = make_scenes(1, seed=5)
    small = np.asarray(scene.open().resize((48, 48), 3).convert("L"), dtype=float)
    left, top, right, bottom = (edge * 48 / SIDE for edge in scene.boxes[0])
    inner = small[round(top) + 1 : round(bottom) - 1, round(left) + 1 : round(right) - 1]
    assert min(inner.shape) <= 4
    assert 48 * 16 / SIDE < 2


def test_pool_rows_bring_the_boxes_of_their_evidence() -> None:
    from rap_plugin.vlm_r3.evidence_boxes import known_boxes

    scenes = make_scenes(4)
    for scene, row in zip(scenes, pool_rows(scenes), strict=True):
        assert known_boxes(row) == scene.boxes
        assert row["problem"].count("<image>") == 1
