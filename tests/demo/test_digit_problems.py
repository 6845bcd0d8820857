"""Problems over handwritten digits: seeded, split by row, and true to their role."""

import io
import re

import pytest

pytest.importorskip("sklearn")

import numpy as np
from digit_problems import FIRST_HELD_OUT, RECIPES, ROLES, digit_rows, make_problems, png_bytes
from PIL import Image

EVERY_KIND = dict.fromkeys(RECIPES, 1.0)


def test_training_and_held_out_digits_share_no_row() -> None:
    train = {row for rows in digit_rows("train").values() for row in rows}
    held_out = {row for rows in digit_rows("held_out").values() for row in rows}
    assert not train & held_out
    assert train | held_out == set(range(1797))


@pytest.mark.parametrize("split", ["train", "held_out"])
def test_problems_show_only_digits_of_their_split(split: str) -> None:
    rows = {row for p in make_problems(300, split, 3, EVERY_KIND) for row in p.rows}
    assert all((row >= FIRST_HELD_OUT) == (split == "held_out") for row in rows)


def test_every_digit_value_is_in_both_splits() -> None:
    assert all(len(digit_rows(split)[d]) >= 20 for split in ("train", "held_out") for d in range(10))


def test_the_same_arguments_give_the_same_problems() -> None:
    assert make_problems(60, "held_out", 5) == make_problems(60, "held_out", 5)
    assert make_problems(60, "held_out", 5) != make_problems(60, "held_out", 6)


def test_an_unknown_split_is_an_error() -> None:
    with pytest.raises(ValueError, match="held_out"):
        make_problems(1, "test")


def test_a_mix_sets_the_shares_of_the_kinds() -> None:
    problems = make_problems(101, "train", 0, {"sum": 3.0, "digit": 1.0})
    kinds = [p.kind for p in problems]
    assert len(kinds) == 101
    assert abs(kinds.count("sum") - 75.75) < 1
    assert set(kinds) == {"sum", "digit"}


def test_every_role_has_a_kind() -> None:
    assert {recipe.role for recipe in RECIPES.values()} == set(ROLES)


def from_text_alone(kind: str, question: str) -> str:
    told = [int(d) for d in re.findall(r"\d", question)]
    return str(
        {"given_digit": max, "given_largest": max, "given_sum": sum, "copy": max, "next": lambda n: n[0] + 1}[kind](
            told
        )
    )


def test_the_text_gives_the_answer_exactly_where_the_image_is_not_needed() -> None:
    for p in make_problems(600, "held_out", 1, EVERY_KIND):
        numbers = re.findall(r"\d+", p.question)
        if not p.needs_image:
            assert from_text_alone(p.kind, p.question) == p.answer
        elif p.claim is None:
            assert numbers == []
        else:
            assert numbers == [p.claim]
            assert p.claim != p.answer


def test_the_drawn_digits_give_the_answer_where_the_image_is_needed() -> None:
    solve = {
        "digit": lambda d: d[0], "note_digit": lambda d: d[0], "largest": max, "note_largest": max, "sum": sum, "count": len,
    }  # fmt: skip
    for p in make_problems(600, "held_out", 2, EVERY_KIND):
        if p.kind == "position":
            assert p.answer == str(p.digits[0 if "left" in p.question else 1])
        elif p.needs_image:
            assert p.answer == str(solve[p.kind](p.digits))


def test_the_png_decodes_to_the_very_pixels() -> None:
    grey = np.arange(48 * 48, dtype=np.uint32).reshape(48, 48).astype(np.uint8)
    picture = Image.open(io.BytesIO(png_bytes(grey)))
    assert (picture.format, picture.mode) == ("PNG", "L")
    assert np.array_equal(np.asarray(picture), grey)


def test_a_digit_leaves_ink_where_it_is_said_to_stand() -> None:
    for p in make_problems(40, "train", 4, {"digit": 1.0}):
        grey = np.asarray(Image.open(io.BytesIO(p.image))).astype(float)
        cells = grey.reshape(3, 16, 3, 16).mean(axis=(1, 3)).flatten()
        assert int(cells.argmin()) == p.cells[0]
