"""Where the answer stands in a response, and the format of a thought and a box."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rap_plugin.grading.extract import TAIL_CHARS, extract_boxed, find_answer, well_formatted
from tests.grading.test_extract import PIECES


@settings(max_examples=100, deadline=None)
@given(st.lists(PIECES, max_size=30).map("".join), st.sampled_from(["7", "x+1", r"\frac{1}{2}", "C"]))
def test_a_box_at_the_end_is_found_behind_any_text(before: str, answer: str) -> None:
    # A trailing backslash would escape the box itself.
    assert extract_boxed(before + " \\boxed{" + answer + "}") == answer


def test_answers_are_looked_for_in_the_last_part_only() -> None:
    assert extract_boxed(r"\boxed{5}" + "." * (TAIL_CHARS - 20)) == "5"
    assert extract_boxed(r"\boxed{5}" + "." * TAIL_CHARS) is None


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("<SUMMARY>corners grow</SUMMARY><CONCLUSION>C</CONCLUSION>", "C"),
        ("<think>A?</think><|begin_of_box|>C<|end_of_box|>", "C"),
        ("<|begin_of_box|>A<|end_of_box|> no, <|begin_of_box|>C<|end_of_box|>", "C"),
        ("<answer>A</answer> or \\boxed{C}", "C"),
        ("\\boxed{A} or <answer>C</answer>", "C"),
    ],
)
def test_the_last_box_or_tag_of_any_family_counts(response: str, answer: str) -> None:
    found = find_answer(response)
    assert found.text == answer
    assert response[found.start : found.end] == answer


@pytest.mark.parametrize(
    ("response", "well"),
    [
        (r"<think>a</think> so \boxed{5}", True),
        ("  <think>a</think>\n\\boxed{\\frac{1}{2}} cm.\n", True),
        (r"<think>a</think>\boxed{5} trailing", True),
        (r"\boxed{5}", False),
        (r"<think>a</think>5", False),
        (r"<think>a \boxed{5}</think>", False),
        (r"<think>a \boxed{5}", False),
        (r"Hm. <think>a</think>\boxed{5}", False),
        (r"<think>a</think>\boxed{5", False),
        (r"<think>a</think>\boxed{}", False),
        ("", False),
    ],
)
def test_the_format_is_a_thought_then_a_box(response: str, well: bool) -> None:
    assert well_formatted(response) is well
