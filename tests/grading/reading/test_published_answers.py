"""Wordings of published models that were misread, each with the problem that it answers."""

from __future__ import annotations

import pytest

from rap_plugin.grading.extract import read_option, read_yes_no

POLAR = {"A": "Yes", "B": "No"}
TREND = {"A": "decrease", "B": "remains the same", "C": "increase", "D": "NA"}
TRUTH = {"A": "True", "B": "False", "C": "Insufficient Information"}


@pytest.mark.parametrize(
    ("question", "options", "response", "expected"),
    [
        ("Which month is the wettest?", {"A": "August", "B": "April", "C": "May"}, "Based on the graph, the wettest month on average is May.", "C"),
        ("What will happen to the squirrels?", TREND, "If all the grass dies, the population of squirrels will likely decrease. Their food is lost.", "A"),
        ("What is it called?", {"A": "obtuse", "B": "acute"}, "If the leaf base has an angle greater than 90 degrees, it is called obtuse.", "A"),
        ("Which animal would lack food?", {"A": "Rabbit", "B": "Deer", "C": "Frogs"}, "If Grasshoppers get exterminated, the animal that would most directly lack food would be the Frog.", "C"),
        ("How long is the ladder?", {"A": "3.85米", "B": "4.00米", "C": "4.40米"}, "The length of the ladder is 4.40 meters.", "C"),
        ("Is the donut more than half eaten?", POLAR, "The donut is more than half eaten, as it has been partially eaten and there is a bite missing from it.", "A"),
        ("Would most of the ground cover be considered weeds?", POLAR, "Based on the image, most of the ground cover would be considered weeds.", "A"),
        ("Are these people sitting in a circle?", POLAR, "The people are sitting in a circle, as they are gathered around a laptop.", "A"),
        ("Is Periwinkle the maximum?", POLAR, "Based on the image, Periwinkle is not the maximum. The maximum is blue.", "B"),
        ("Are there more big red busses than big green things?", POLAR, "There are more big green things than big red busses.", "B"),
        ("Is this a periodic function?", POLAR, "(C) Yes\n(D) No", None),
        ("Find x.", {"A": "28", "B": "38", "C": "52", "D": "62"}, "(E) 72\n(F) 82\n(G) 92", None),
        ("Find x.", {"A": "28", "B": "38", "C": "52", "D": "62"}, "(E) 72\nSo x is 38.", "B"),
        ("Find r.", {"A": "1", "B": "√{3}", "C": "2", "D": "3"}, "r is half of it.\n\nChoose the correct option letter:\n\n(A) 1\n(B) √{3}\n(C) 2\n(D) 3", None),
        ("Which plan?", {"A": "Ferret", "B": "Owl"}, "The best plan for the 5 employees is option B, the Owl plan. Option A has the highest cost.", "B"),
        ("Which set?", {"A": "Set A", "B": "Set B"}, "1. set b\n2. set c\n3. set a", None),
        ("Find the angle.", {"A": "55°", "B": "35°"}, "* ∠D = 55°\n* ∠BCE = 180° - 145° = 35°\n\nThe answer is B.", "B"),
        ("Which set?", {"A": "Set A", "B": "Set B"}, "There are four squares in each of the sets A and B.", None),
        ("Which comes next?", {}, "▴ B, ▴ C, ▴ A, ▴ D", None),
    ],
)  # fmt: skip
def test_an_option_is_read_as_a_person_reads_it(
    question: str, options: dict[str, str], response: str, expected: str | None
) -> None:
    assert read_option(response, options or None, question=question).value == expected


@pytest.mark.parametrize(
    ("question", "response", "expected"),
    [
        ("Is the donut more than half eaten?", "The donut is more than half eaten, as there is a bite missing from it.", "yes"),
        ("Will the boat sink?", "The boat will not sink.", "no"),
        ("Is this kitten small?", "The kitten is small.", "yes"),
    ],
)  # fmt: skip
def test_a_statement_that_takes_up_the_question_answers_it(question: str, response: str, expected: str) -> None:
    assert read_yes_no(response, question).value == expected
