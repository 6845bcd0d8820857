"""Answer extraction, as plain functions for graders, benchmark tasks and user code."""

from rap_plugin.grading.graders.text import normalize_text
from rap_plugin.grading.reading.answers import (
    TAIL_CHARS,
    Answer,
    extract_answer_tag,
    extract_boxed,
    final_answer,
    find_answer,
    well_formatted,
)
from rap_plugin.grading.reading.chosen_option import extract_choice, letters_only, match_option
from rap_plugin.grading.reading.question_options import LETTERS, mentions_letters, parse_options

__all__ = [
    "LETTERS",
    "TAIL_CHARS",
    "Answer",
    "extract_answer_tag",
    "extract_boxed",
    "extract_choice",
    "final_answer",
    "find_answer",
    "letters_only",
    "match_option",
    "mentions_letters",
    "normalize_text",
    "parse_options",
    "well_formatted",
]
