"""Golds as MathVerse writes them, with answers that are right and answers that are not."""

from __future__ import annotations

import pytest

from rap_plugin.evaluation.item import BenchmarkItem
from rap_plugin.evaluation.scoring import score_response
from rap_plugin.grading import GradeItem, GradingOptions, open_grader
from rap_plugin.grading.reading.golds import decimals_of, plain_value, rounding_tolerance

CASES: list[tuple[str, list[str], list[str]]] = [
    (
        "Volume $=904.78 \\mathrm{~units}^{3}$",
        [
            "288\\pi",
            "288π",
            "904.7787",
            "904.8",
            "904.78",
            "904.78 cubic units",
            "904.78 \\text{ units}^3",
            "V = 904.78",
            "\\frac{864\\pi}{3}",
            "904.8 \\text{ cm}^3",
        ],
        ["904.79", "904", "288", "900", "905.8", "144\\pi"],
    ),
    ("Volume $=904.78$ units$^3$", ["288\\pi", "904.78"], ["904.9"]),
    (
        "Volume $=883.57 \\mathrm{~cm}^{3}$",
        ["883.57", "883.573", "883.6 cm^3", "883.6"],
        ["883", "883.5", "8836", "883.57 m^3"],
    ),
    (
        "$212^{\\circ} \\mathrm{T}$",
        ["212", "212°", "212°T", "212^\\circ T", "212^{\\circ} \\mathrm{T}", "212 degrees"],
        ["32", "213"],
    ),
    ("bearing $=203^{\\circ} \\mathrm{T}$", ["203°", "203 T"], ["23°"]),
    ("S.A. = 3318.31 units^2", ["3318.31", "3318.3", "3318.307", "3318.31 square units"], ["3318", "3319"]),
    ("S.A. $=3318.31 \\mathrm{~units}^{2}$", ["3318.31"], ["331.8"]),
    ("Surface Area $=113.1 \\mathrm{~cm}^{2}$", ["36\\pi", "113.1", "113.10", "113.097"], ["113.2", "11.31"]),
    ("13Â°", ["13", "13°"], ["14"]),
    ("13掳", ["13°"], ["14"]),
    ("13âˆ˜", ["13°"], ["14"]),
    ("13$^\\circ$", ["13°", "13"], ["14"]),
    ("x=5\ny=3", ["x=5, y=3", "x = 5 and y = 3", "5, 3"], ["5", "3", "x=3, y=5"]),
    ("$\\begin{aligned} A &=\\frac{1}{2} \\times 6 \\times 5 \\\\ &=15 \\end{aligned}$", ["15", "15 cm^2"], ["30"]),
    ("Area $=15 \\mathrm{~cm}^2$\n", ["15"], ["16"]),
    ("$x=8.6 \\mathrm{~cm}$", ["8.6", "8.602", "\\sqrt{74}", "8.60"], ["8.7", "8.5", "9"]),
    ("$2 \\sqrt{29}$", ["2\\sqrt{29}", "\\sqrt{116}"], ["10.77 m", "29"]),
    ("18.9 \\mathrm{~m}", ["18.9", "18.9 m", "18.87"], ["18.8", "19"]),
    ("14.2", ["14.2", "14.21", "14.16"], ["14.3", "14"]),
    ("-0.5", ["-0.5", "-1/2", "-\\frac{1}{2}"], ["0.5", "-0.6"]),
    ("5", ["5", "5.0"], ["5.2", "4.9"]),
    ("$\\frac{3}{4}$", ["0.75", "3/4"], ["0.7", "0.8"]),
    ("$68.0^{\\circ}$", ["68°", "68.0°", "68"], ["67"]),
    ("7.5", ["7.5", "\\frac{15}{2}"], ["7", "8"]),
    ("$4.1 \\mathrm{~cm}$ (to one decimal place)", ["4.1", "4.12 cm"], ["4.2"]),
    ("Perimeter $=32 \\mathrm{~cm}$", ["32", "32 cm", "P = 32"], ["32 m", "64"]),
    ("$y=x^2-4$", ["x^2-4", "y=x^2-4"], ["y=x^2+4"]),
    ("length = 12 mm", ["12", "12 mm"], ["12 cm"]),
    ("\\theta=26^{\\circ} 34^{\\prime}", ["26^\\circ 34'", "26°34′"], ["26"]),
]


@pytest.mark.parametrize(("gold", "right", "wrong"), CASES, ids=[gold[:30] for gold, _, _ in CASES])
def test_a_gold_takes_what_rounds_to_it_and_nothing_else(gold: str, right: list[str], wrong: list[str]) -> None:
    item = BenchmarkItem("1", "Find it.", gold, "maths")
    for answers, verdict in ((right, "right"), (wrong, "wrong")):
        for answer in answers:
            assert score_response(item, f"\\boxed{{{answer}}}").verdict == verdict, answer


def test_golds_of_a_pool_are_exact() -> None:
    grader = open_grader("math", options=GradingOptions())
    verdicts = [grade.verdict for grade in grader.grade([GradeItem("0.52", "0.5"), GradeItem("288\\pi", "904.78")])]
    grader.close()
    assert verdicts == ["wrong", "wrong"]


def test_the_decimals_of_a_gold_are_those_of_its_number() -> None:
    golds = {"904.78": 2, "x=8.6 cm": 1, "113.10 cm^2": 2, "5": None, "3/4": None, "2\\sqrt{2}": None, "1.5, 2.5": None}
    assert {gold: decimals_of(gold) for gold in golds} == golds
    assert rounding_tolerance("5") == 0
    assert rounding_tolerance("0.00") == 0
    assert plain_value("") == ""


def test_a_remark_on_rounding_is_left_out_and_a_bracket_of_the_formula_is_not() -> None:
    assert plain_value("3.14 (2 d.p.)") == "3.14"
    assert plain_value("sqrt(41)") == "sqrt(41)"
    assert plain_value("3(12)") == "3(12)"
