"""Numbers that no float holds are numbers of a response like others: no rule breaks over them."""

from __future__ import annotations

import pytest

from rap_plugin.grading.extract import read_final_answer, read_formula, read_number
from rap_plugin.grading.reading.base import RULE_ERROR

HUGE = (
    "It is 1e999 cm, i.e. 5",
    "<answer>5a½the answer is :4=$.1e999}",
    "It takes 1e999 hours and 30 minutes.",
    "x = 1e-999 m, that is 0",
    "5 m = 1e400 cm",
)


@pytest.mark.parametrize("response", HUGE)
@pytest.mark.parametrize("question", ["", "How many hours?"])
def test_a_number_that_no_float_holds_breaks_no_rule(response: str, question: str) -> None:
    for reading in (read_final_answer(response), read_formula(response), read_number(response, question)):
        assert not reading.reason.startswith(RULE_ERROR)
