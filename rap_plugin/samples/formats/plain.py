"""Plain pools: a question, an answer and images, under whatever names."""

from __future__ import annotations

from collections.abc import Sequence

from rap_plugin.errors import Option, RapError
from rap_plugin.samples.formats.base import ColumnChoice, Format, Row
from rap_plugin.samples.formats.columns import (
    ANSWERS,
    QUESTIONS,
    find_column,
    find_images,
    further_columns,
    missing_answer,
    plain_name,
)
from rap_plugin.samples.formats.messages import looks_like_messages, problem_of, read_messages
from rap_plugin.samples.formats.options import asked, counts_options
from rap_plugin.samples.formats.row_images import images_of_row
from rap_plugin.samples.formats.values import (
    gold_of,
    good_values,
    question_of,
    source_of,
)
from rap_plugin.samples.sample import IMAGE, RawSample


def detect(columns: Sequence[str], first_rows: Sequence[Row]) -> bool:
    """Always: this is the last resort, and `choose` says what is missing."""
    return True


def choose(columns: Sequence[str], first_rows: Sequence[Row], choice: ColumnChoice) -> ColumnChoice:
    """Completes the user's columns: usual names first, then, for images, what the values are."""

    def is_text(name: str) -> bool:
        values = good_values(first_rows, name)
        firsts = [value[0] if isinstance(value, (list, tuple)) and len(value) == 1 else value for value in values]
        return not values or any(isinstance(value, (str, bytes)) for value in firsts)

    given = [name for name in (choice.question, choice.answer, choice.images) if name is not None]
    question = choice.question or find_column(columns, QUESTIONS, is_text, given)
    if question is None:
        raise RapError(
            f"cannot tell which column holds the questions; columns: {', '.join(columns)}; name the columns with ",
            Option("pool.question"),
            ", ",
            Option("pool.answer"),
            " and ",
            Option("pool.images"),
        )

    def is_filled(name: str) -> bool:
        return bool(good_values(first_rows, name))

    taken = (*given, question)
    answer = (
        choice.answer or find_column(columns, ANSWERS, is_filled, taken) or find_column(columns, ANSWERS, exclude=taken)
    )
    if answer is None:
        raise missing_answer(columns)
    taken = (question, answer)
    images = choice.images or find_images(columns, first_rows, taken)
    questions = good_values(first_rows, question)
    if images is None and questions and all(isinstance(text, str) and IMAGE in text for text in questions):
        raise RapError(
            f"the questions have {IMAGE} placeholders, but no column is recognised as their images; "
            f"columns: {', '.join(columns)}; name it with ",
            Option("pool.images"),
        )
    counted = images if choice.images is None else None
    return ColumnChoice(
        question,
        answer,
        images,
        further_columns(columns, counted) if counted else (),
        _further_question(columns, question) if choice.question is None else None,
        counts_options(first_rows, answer),
        choice.images is not None,
    )


def read(row: Row, columns: ColumnChoice) -> RawSample:
    """One row of the chosen columns."""
    assert columns.question is not None
    assert columns.answer is not None
    images = images_of_row(row, columns)
    value = row.get(columns.question)
    if looks_like_messages(value):
        question, images = problem_of(read_messages(value), images)
    else:
        question = question_of(row, columns.question)
        further = row.get(columns.further_question) if columns.further_question is not None else None
        question = f"{question}\n{further}" if isinstance(further, str) and further.strip() else question
    gold = gold_of(row, columns.answer)
    question = asked(question, row.get(columns.answer), row, len(images), columns.counted)
    return RawSample(question, gold, images, source_of(row))


def _further_question(columns: Sequence[str], question: str) -> str | None:
    """Alpaca's `input` beside its `instruction`."""
    return find_column(columns, ("input",)) if plain_name(question) == "instruction" else None


PLAIN = Format("plain", "question, answer and images under any column names", detect, read, choose)
