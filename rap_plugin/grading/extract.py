"""Answer extraction, as plain functions for graders, benchmark tasks and user code."""

from rap_plugin.grading.answers import (
    TAIL_CHARS,
    Answer,
    extract_answer_tag,
    extract_boxed,
    final_answer,
    find_answer,
    well_formatted,
)
from rap_plugin.grading.choices import extract_choice, letters_only, match_option
from rap_plugin.grading.options import LETTERS, mentions_letters, parse_options
from rap_plugin.grading.text import normalize_text

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
