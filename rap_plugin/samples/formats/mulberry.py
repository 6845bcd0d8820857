"""Mulberry (arXiv 2412.18319): problems with a worked answer, in its SFT and its search release."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rap_plugin.samples.formats.base import ColumnChoice, Format, Row, RowProblem
from rap_plugin.samples.formats.columns import ANSWERS, find_column
from rap_plugin.samples.formats.messages import Message, answer_of, looks_like_messages, problem_of, read_messages
from rap_plugin.samples.formats.values import gold_of, gold_text, good_values, images_of, question_of, source_of
from rap_plugin.samples.sample import RawSample

MESSAGES = ("messages", "conversations")
_FINAL = re.compile(r"the final answer is[ \t]*:?", re.IGNORECASE)
_MARKED = re.compile(r"<answer>|\\boxed\s?\{", re.IGNORECASE)
_ANSWER = re.compile(r"^[ \t#*]*answer[ \t*]*:", re.IGNORECASE | re.MULTILINE)
_SAID = re.compile(
    r"(?:(?:so|thus|hence|therefore),? )?the (?:correct )?(?:answer|option|choice) is:? (?P<answer>\S(?:(?!\. ).)*?)\.?",
    re.IGNORECASE,
)
"""A last line that says it in a sentence, as MathV360K has it."""
_CONCLUSION = re.compile(r"<conclusion>(.*?)</conclusion>", re.IGNORECASE | re.DOTALL)


def detect(columns: Sequence[str], first_rows: Sequence[Row]) -> bool:
    """Conversations that end with the assistant's answer, an image column, and no column of gold answers."""
    names = set(columns)
    if find_column(columns, ANSWERS) or "reward_model" in names or not names & {"images", "image"}:
        return False
    found = [value for name in MESSAGES for value in good_values(first_rows, name)]
    return any(looks_like_messages(value) and _ends_with_answer(value) for value in found)


def read(row: Row, columns: ColumnChoice) -> RawSample:
    """{messages, images} or {image, question, conversations}: the gold answer is the end of the assistant's message."""
    name = next((name for name in MESSAGES if row.get(name)), None)
    images_column = columns.images or ("images" if "images" in row else "image")
    images = images_of(row, images_column)
    messages = read_messages(row[name]) if name else []
    if columns.question is not None or isinstance(row.get("question"), str):
        question = question_of(row, columns.question or "question")
    elif messages:
        question, images = problem_of(messages, images)
    else:
        raise RowProblem(f"no messages (columns {', '.join(MESSAGES)})")
    gold = gold_of(row, columns.answer) if columns.answer is not None else _gold(messages)
    return RawSample(question, gold, images, source_of(row))


def _gold(messages: Sequence[Message]) -> str:
    if not messages or messages[-1].role != "assistant":
        raise RowProblem("the conversation does not end with the assistant's answer", "ungradable_gold")
    gold = gold_text(final_answer(answer_of(messages)))
    if not gold:
        what = 'the assistant\'s message says nowhere what its answer is (a last line "Answer: ..", <answer> or \\boxed{..})'
        raise RowProblem(what, "ungradable_gold")
    return gold


def final_answer(text: str) -> str:
    """The line behind the last "The final answer is:" or line-leading "Answer:"; what a last line "The answer is .." says; else the
    text, if one line or if it marks its answer (`<answer>`, a box). Of LLaVA-CoT's four parts its conclusion alone is read."""
    concluded = _CONCLUSION.findall(text) if text.lower().count("<conclusion>") == 1 else []
    text = concluded[0] if len(concluded) == 1 else text
    for marker in (_FINAL, _ANSWER):
        ends = [match.end() for match in marker.finditer(text)]
        if ends:
            return text[ends[-1] :].strip(" \t\n*").partition("\n")[0].strip(" \t\r*")
    stripped = text.strip()
    said = _SAID.fullmatch(stripped.rpartition("\n")[2].strip())
    if said is not None and not _MARKED.search(stripped):
        return said["answer"]
    return "" if "\n" in stripped and not _MARKED.search(stripped) else stripped


def _ends_with_answer(value: object) -> bool:
    try:
        return read_messages(value)[-1].role == "assistant"
    except RowProblem:
        return False


MULBERRY = Format("mulberry", "Mulberry: messages ending with the answer, images", detect, read)
