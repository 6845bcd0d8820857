"""What follows the thought, whatever marks a family of models gives it."""

from __future__ import annotations

import pytest

from rap_plugin.grading.reading.body import body_span


@pytest.mark.parametrize(
    ("response", "body"),
    [
        ("<think>A?</think>C", "C"),
        ("◁think▷A?◁/think▷C", "C"),
        ("<|begin_of_thought|>A?<|end_of_thought|>C", "C"),
        ("<reasoning>A?</reasoning>C", "C"),
        ("C", "C"),
        ("<think>A?", None),
        ("◁think▷A?", None),
        ("Sure, I can help with that.\nC\n\nI hope this helps!", "C"),
        ("I see five people: three men and two women.", "I see five people: three men and two women."),
    ],
)
def test_the_answer_is_looked_for_after_the_thought_and_before_courtesies(response: str, body: str | None) -> None:
    span = body_span(response, response)
    assert (response[slice(*span)].strip() if span else None) == body
