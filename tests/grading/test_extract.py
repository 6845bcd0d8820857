"""No text at all makes an extraction raise."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from rap_plugin.grading.extract import (
    extract_answer_tag,
    extract_boxed,
    extract_choice,
    final_answer,
    letters_only,
    match_option,
    mentions_letters,
    normalize_text,
    parse_options,
    well_formatted,
)
from rap_plugin.grading.reading.notation import clean_math, to_latex
from rap_plugin.grading.reading.quantities import read_quantity

# Pieces of which hostile and ordinary responses are made.
MARKS = [r"\boxed{", r"\frac{", "<answer>", "</answer>", "<think>", "</think>", "Answer: ", "the answer is "]
WORDS = ["final answer\n", " or ", " and ", "not ", "**", "option ", "√", "½", "\ud800"]
PIECES = st.sampled_from([*"{}()[]$\\^_ \n.,:*A BCI15-", *MARKS, *WORDS])


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=60).map("".join))
def test_no_text_makes_an_extraction_raise(text: str) -> None:
    options = parse_options(text)
    assert (
        extract_choice(text, options) in {None, *options} or not options or len(extract_choice(text, options) or "") > 1
    )
    for function in (
        extract_boxed,
        extract_answer_tag,
        final_answer,
        normalize_text,
        clean_math,
        to_latex,
        letters_only,
    ):
        function(text)
    read_quantity(text)
    match_option(text, options)
    mentions_letters(text)
    well_formatted(text)
