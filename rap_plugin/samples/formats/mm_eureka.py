"""MM-Eureka (arXiv 2503.07365): messages, `answer`, images in `image_urls` or inside the messages."""

from __future__ import annotations

from collections.abc import Sequence

from rap_plugin.samples.formats.base import ColumnChoice, Format, Row, RowProblem
from rap_plugin.samples.formats.messages import looks_like_messages, problem_of, read_messages
from rap_plugin.samples.formats.values import gold_of, good_values, images_of, source_of
from rap_plugin.samples.sample import RawSample

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
    return RawSample(question, gold_of(row, columns.answer or "answer"), images, source_of(row))


MM_EUREKA = Format("mm-eureka", "MM-Eureka JSONL: conversations or message, answer, image_urls", detect, read)
