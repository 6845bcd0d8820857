"""MM-Eureka (arXiv 2503.07365): messages, `answer`, images in `image_urls` or inside the messages."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rap_plugin.samples.formats.base import ColumnChoice, Format, Row, RowProblem
from rap_plugin.samples.formats.messages import looks_like_messages, problem_of, read_messages
from rap_plugin.samples.formats.options import asked
from rap_plugin.samples.formats.values import gold_of, good_values, images_of, source_of
from rap_plugin.samples.sample import IMAGE, RawSample

OWN_INSTRUCTION = re.compile(r"\A.{0,2000}?</answer>.{0,300}?\bQuestion:\s*", re.DOTALL)
"""It stands in front of "Question:" and asks for <answer></answer> in place of a box."""

MESSAGES = ("conversations", "message", "messages")


def detect(columns: Sequence[str], first_rows: Sequence[Row]) -> bool:
    """Messages and an answer, with `image_urls` or, in the later release, messages as JSON text in `message`."""
    names = set(columns)
    if "answer" not in names or not names & set(MESSAGES) or not ("image_urls" in names or "message" in names):
        return False
    return any(looks_like_messages(value) for name in MESSAGES for value in good_values(first_rows, name))


def read(row: Row, columns: ColumnChoice) -> RawSample:
    """One row: {id, conversations, answer, image_urls} or {id, message: "<JSON>", answer}."""
    name = columns.question or next((name for name in MESSAGES if row.get(name)), None)
    if name is None or not row.get(name):
        raise RowProblem(f"no messages (columns {', '.join(MESSAGES)})")
    references = images_of(row, columns.images or "image_urls")
    question, images = problem_of(read_messages(row[name]), references)
    answer = columns.answer or "answer"
    question = asked(question, row.get(answer), row, len(images))
    return RawSample(question, gold_of(row, answer), images, source_of(row))


def without_own_instruction(question: str) -> str:
    """The question behind MM-Eureka's own instruction, with every `<image>` that stood in front of it."""
    bare = OWN_INSTRUCTION.sub("", question)
    return IMAGE * (question.count(IMAGE) - bare.count(IMAGE)) + bare


MM_EUREKA = Format(
    "mm-eureka",
    "MM-Eureka JSONL: conversations or message, answer, image_urls",
    detect,
    read,
    without_own_instruction=without_own_instruction,
)
