"""Plain pools: a question, an answer and images, under whatever names."""

from __future__ import annotations

from collections.abc import Sequence

from rap_plugin.errors import Option, RapError
from rap_plugin.samples.formats.base import ColumnChoice, Format, Row
from rap_plugin.samples.formats.columns import (
    ANSWERS,
    IMAGES,
    QUESTIONS,
    find_column,
    further_columns,
    looks_like_images,
    missing_answer,
)
from rap_plugin.samples.formats.messages import looks_like_messages, problem_of, read_messages
from rap_plugin.samples.formats.values import (
    gold_of,
    good_values,
    images_of,
    in_places,
    question_of,
    source_of,
    with_options,
)
from rap_plugin.samples.sample import IMAGE, RawSample


def detect(columns: Sequence[str], first_rows: Sequence[Row]) -> bool:
    """Always: this is the last resort, and `choose` says what is missing."""
    return True


def choose(columns: Sequence[str], first_rows: Sequence[Row], choice: ColumnChoice) -> ColumnChoice:
    """Completes the user's columns: usual names first, then, for images, what the values are."""

    def is_text(name: str) -> bool:
        values = good_values(first_rows, name)
        return not values or any(isinstance(value, str) for value in values)

    def named_images(name: str) -> bool:
        return looks_like_images(good_values(first_rows, name), by_name=True)

    def holds_images(name: str) -> bool:
        return looks_like_images(good_values(first_rows, name), by_name=False)

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
    images = (
        choice.images
        or find_column(columns, IMAGES, named_images, taken)
        or find_column(columns, columns, holds_images, taken)
    )
    questions = good_values(first_rows, question)
    if images is None and questions and all(isinstance(text, str) and IMAGE in text for text in questions):
        raise RapError(
            f"the questions have {IMAGE} placeholders, but no column is recognised as their images; "
            f"columns: {', '.join(columns)}; name it with ",
            Option("pool.images"),
        )
    counted = images if choice.images is None else None
    return ColumnChoice(question, answer, images, further_columns(columns, counted) if counted else ())


def read(row: Row, columns: ColumnChoice) -> RawSample:
    """One row of the chosen columns."""
    assert columns.question is not None
    assert columns.answer is not None
    images = tuple(image for name in (columns.images, *columns.further_images) for image in images_of(row, name))
    value = row.get(columns.question)
    if looks_like_messages(value):
        question, images = problem_of(read_messages(value), images)
    else:
        question = question_of(row, columns.question)
    gold = gold_of(row, columns.answer)
    return RawSample(in_places(with_options(question, gold, row)), gold, images, source_of(row))


PLAIN = Format("plain", "question, answer and images under any column names", detect, read, choose)
