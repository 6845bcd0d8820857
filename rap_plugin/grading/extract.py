"""Answer extraction, as plain functions for graders, benchmark tasks and user code."""

from rap_plugin.grading.reading.answers import (
    Answer,
    extract_answer_tag,
    extract_boxed,
    final_answer,
    find_answer,
    read_final_answer,
    well_formatted,
)
from rap_plugin.grading.reading.base import Reading
from rap_plugin.grading.reading.body import TAIL_CHARS
from rap_plugin.grading.reading.chosen_option import extract_choice, read_option
from rap_plugin.grading.reading.formulas import read_formula
from rap_plugin.grading.reading.normalised import normalize_text
from rap_plugin.grading.reading.numbers import read_number
from rap_plugin.grading.reading.option_letters import letters_only
from rap_plugin.grading.reading.option_texts import match_option
from rap_plugin.grading.reading.question_options import LETTERS, mentions_letters, parse_options
from rap_plugin.grading.reading.yes_no import read_yes_no

__all__ = [
    "LETTERS",
    "TAIL_CHARS",
    "Answer",
    "Reading",
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
    "read_final_answer",
    "read_formula",
    "read_number",
    "read_option",
    "read_yes_no",
    "well_formatted",
]
