"""Chat pools as OpenRLHF takes them: a column of messages, a label, and images beside or inside the messages."""

from __future__ import annotations

from collections.abc import Sequence

from rap_plugin.errors import Option, RapError
from rap_plugin.samples.formats import plain
from rap_plugin.samples.formats.base import ColumnChoice, Format, Row, RowProblem
from rap_plugin.samples.formats.columns import ANSWERS, IMAGES, find_column, find_images, missing_answer, plain_name
from rap_plugin.samples.formats.messages import looks_like_messages, problem_of, read_messages
from rap_plugin.samples.formats.row_images import images_of_row
from rap_plugin.samples.formats.values import gold_of, good_values, source_of
from rap_plugin.samples.sample import RawSample

MESSAGES = (
    "messages",
    "prompt",
    "input",
    "context_messages",
    "conversations",
    "conversation",
    "message",
    "chat",
    "question",
)


def detect(columns: Sequence[str], first_rows: Sequence[Row]) -> bool:
    """A column of messages."""
    return _messages_column(columns, first_rows) is not None


def choose(columns: Sequence[str], first_rows: Sequence[Row], choice: ColumnChoice) -> ColumnChoice:
    """Completes the user's columns with the usual names."""
    question = choice.question or _messages_column(columns, first_rows)
    if question is None:
        raise RapError(f"no column of messages; columns: {', '.join(columns)}; name one with ", Option("pool.question"))
    filled = [name for name in columns if good_values(first_rows, name)]
    answer = (
        choice.answer
        or find_column(filled, ANSWERS, exclude=(question,))
        or find_column(columns, ANSWERS, exclude=(question,))
    )
    if answer is None:
        raise missing_answer(columns)
    usual = [name for name in columns if plain_name(name) in map(plain_name, IMAGES)]
    images = choice.images or find_images(usual, first_rows, (question, answer))
    return ColumnChoice(question, answer, images, images_given=choice.images is not None)


def read(row: Row, columns: ColumnChoice) -> RawSample:
    """One conversation; a row may also hold a plain text where the others hold messages."""
    assert columns.question is not None
    if row.get(columns.question) is None:
        raise RowProblem(f"the messages are empty (column {columns.question!r})")
    if isinstance(row[columns.question], str):
        return plain.read(row, columns)
    assert columns.answer is not None
    question, images = problem_of(read_messages(row[columns.question]), images_of_row(row, columns))
    return RawSample(question, gold_of(row, columns.answer), images, source_of(row))


def _messages_column(columns: Sequence[str], first_rows: Sequence[Row]) -> str | None:
    def holds_messages(name: str) -> bool:
        return any(looks_like_messages(value) for value in good_values(first_rows, name))

    return find_column(columns, MESSAGES, holds_messages)


CHAT = Format("chat", "chat messages (OpenRLHF): messages or prompt, label or answer, images", detect, read, choose)
