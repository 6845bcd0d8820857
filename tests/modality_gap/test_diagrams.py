"""Drawn geometry diagrams: what is asked follows from the facts, and the facts stand in words and in the drawing."""

from __future__ import annotations

import io
import random
import re

import pytest
from PIL import Image

from rap_plugin.modality_gap import Diagram, make_pool
from rap_plugin.modality_gap.drawing import RENDERINGS, STROKES, draw
from rap_plugin.modality_gap.figures import KINDS, SIDE, make_figure
from rap_plugin.samples.clauses import clauses_of


@pytest.fixture(scope="module")
def pool() -> list[Diagram]:
    return make_pool(400, seed=5, renderings=("plain",))


def said(diagram: Diagram) -> dict[str, str]:
    """The equations of a problem: left side -> right side."""
    return dict(re.fullmatch(r"(.+) = (\w+)", clause).groups() for clause in diagram.semantic if "=" in clause)  # type: ignore[union-attr]


def solved(diagram: Diagram) -> int:
    """The answer worked out from the clauses alone, by the theorem that the kind of the figure asks for."""
    facts = said(diagram)
    known = [int(value) for value in facts.values() if value != "x"]
    asked = next((name for name, value in facts.items() if value == "x"), "")
    whole = next((re.sub("line|O", "", c).replace(" ", "") for c in diagram.structural if c.startswith("line")), "")
    match diagram.kind:
        case "triangle_angle" | "adjacent_angle" | "same_side_angle":
            return 180 - sum(known)
        case "right_triangle":
            return 90 - sum(known)
        case "perimeter":
            return sum(known)
        case "vertical_angle" | "corresponding_angle":
            return known[0]
        case "diameter" | "central_angle":
            return 2 * known[0]
        case "radius" | "inscribed_angle":
            return known[0] // 2
        case "segments":
            return sum(known) if asked == whole[0] + whole[2] else max(known) - min(known)
    raise AssertionError(diagram.kind)


def test_the_answer_follows_from_the_facts(pool: list[Diagram]) -> None:
    assert [d.id for d in pool if str(solved(d)) != d.answer] == []
    assert len({d.kind for d in pool}) == 12


def test_an_adjacent_angle_shares_a_leg_and_a_vertical_one_does_not(pool: list[Diagram]) -> None:
    for diagram in pool:
        if diagram.kind in ("adjacent_angle", "vertical_angle"):
            one, other = (set(name.removeprefix("m \\angle ")) - {"O"} for name in said(diagram))
            assert len(one & other) == (diagram.kind == "adjacent_angle")


def test_the_expression_gives_the_answer(pool: list[Diagram]) -> None:
    """Computed term by term: `+`, `-`, `*` and `/` never stand together."""
    for diagram in pool:
        first, *rest = re.findall(r"([+*/-]?)(\d+)", diagram.expression)
        value = int(first[1])
        for sign, term in rest:
            value = {
                "+": value + int(term), "-": value - int(term), "*": value * int(term), "/": value // int(term)
            }[sign]  # fmt: skip
        assert str(value) == diagram.answer


@pytest.mark.parametrize("kind", KINDS)
def test_every_value_and_name_of_the_facts_stands_in_the_drawing_inside_the_canvas_and_apart(kind: str) -> None:
    rng = random.Random(3)
    for _ in range(60):
        figure = make_figure(kind, rng)
        drawn = [label.text for label in figure.labels]
        for clause in figure.semantic:
            if "=" in clause:
                assert clause.rpartition(" = ")[2] in drawn
        names = set(re.findall(r"[A-Z]", " ".join((*figure.structural, *figure.semantic))))
        assert names <= set(drawn)
        assert all(0 < label.x < SIDE and 0 < label.y < SIDE for label in figure.labels)
        assert len({(round(label.x), round(label.y)) for label in figure.labels}) == len(drawn)


def test_facts_are_the_clauses_in_words_and_stand_in_the_text_prompt_only(pool: list[Diagram]) -> None:
    for diagram in pool:
        assert list(diagram.facts) == clauses_of(diagram.structural, diagram.semantic)
        assert all(fact in diagram.text_prompt for fact in diagram.facts)
        assert not any(fact in diagram.image_prompt for fact in diagram.facts)
        assert diagram.text_prompt.endswith(diagram.question)
        assert diagram.image_prompt.endswith(diagram.question)


def test_a_pool_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    assert make_pool(16, seed=1) == make_pool(16, seed=1)
    assert make_pool(16, seed=1) == make_pool(24, seed=1)[:16]
    assert {d.id for d in make_pool(64, seed=1, renderings=())}.isdisjoint(
        d.id for d in make_pool(64, seed=2, renderings=())
    )


def test_problems_of_a_pool_are_different() -> None:
    ids = [d.id for d in make_pool(3000, seed=0, renderings=())]
    assert len(set(ids)) == len(ids)


def test_renderings_are_different_readable_pictures_of_one_problem() -> None:
    for diagram in make_pool(16, seed=4):
        assert list(diagram.images) == list(RENDERINGS)
        pictures = [Image.open(io.BytesIO(data)) for data in diagram.images.values()]
        assert {(p.size, p.mode) for p in pictures} == {((SIDE, SIDE), "L")}
        assert len({p.tobytes() for p in pictures}) == 3
        ink = [sum(255 - value for value in p.tobytes()) for p in pictures]
        assert ink[1] > 1.3 * ink[0]


def test_a_hand_is_the_same_for_the_same_seed_and_shakes_otherwise() -> None:
    figure = make_figure("triangle_angle", random.Random(0))
    hand = RENDERINGS["hand"]
    assert draw(figure, hand, 1).tobytes() == draw(figure, hand, 1).tobytes() != draw(figure, hand, 2).tobytes()
    assert draw(figure, RENDERINGS["plain"], 1).tobytes() == draw(figure, RENDERINGS["plain"], 2).tobytes()


def test_every_letter_has_its_own_strokes() -> None:
    assert len({strokes for name, strokes in STROKES.items() if name not in "0O"}) == len(STROKES) - 2


def test_an_unknown_kind_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="triangle_angle"):
        make_figure("cube", random.Random(0))
