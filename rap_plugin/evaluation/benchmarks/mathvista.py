"""MathVista testmini (arXiv 2310.02255): choices, integers, decimals and lists over figures of 28 sources."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rap_plugin.evaluation.benchmarks.base import (
    Benchmark,
    HubSource,
    Part,
    Row,
    RowProblem,
    gold_letter,
    group,
    image_of,
    integer_of,
    is_number,
    mapping_of,
    maybe_text,
    text_of,
    texts_of,
)
from rap_plugin.evaluation.item import BenchmarkItem, Kind
from rap_plugin.evaluation.measures import where
from rap_plugin.grading.extract import LETTERS

FORMS = {
    "integer": "(The answer is an integer.)",
    "float": "(Give the answer as a number with {precision} decimal place{s}.)",
    "list": "(Give the answer as a list, as in [1, 2, 3].)",
}
TASKS = (
    "figure question answering",
    "geometry problem solving",
    "math word problem",
    "textbook question answering",
    "visual question answering",
)


def _letter(gold: str, choices: Sequence[str]) -> str:
    if len(choices) > len(LETTERS):
        raise RowProblem(f"{len(choices)} choices are more than the {len(LETTERS)} letters that can be read")
    try:
        return LETTERS[choices.index(gold)] if gold in choices else gold_letter(gold, choices)
    except RowProblem:
        raise RowProblem(f"the gold answer {gold[:40]!r} is none of the choices") from None


def read(row: Row, part: str) -> BenchmarkItem:
    """A choice's gold is the option's text and becomes its letter (the first of two options with the same text); a decimal's counts to the row's precision."""
    question, gold = text_of(row, "question"), text_of(row, "answer")
    unit, options = maybe_text(row, "unit"), texts_of(row, "choices")
    if not gold or gold.lower() in ("nan", "none"):
        raise RowProblem("the gold answer is empty")
    form = maybe_text(row, "answer_type")
    given, precision = integer_of(row, "precision"), 0
    if form == "float":
        precision = len(gold.partition(".")[2]) if given is None else given
    kind: Kind = "number"
    if unit:
        question += f" (Unit: {unit})"
    if re.fullmatch("multi.choice", maybe_text(row, "question_type")):
        kind, gold = "choice", _letter(gold, options)
        question += "\nChoices:\n" + "\n".join(f"({a}) {text}" for a, text in zip(LETTERS, options, strict=False))
    else:
        options = ()
        asked = FORMS.get(form, "").format(precision=precision, s="" if precision == 1 else "s")
        question += f" {asked}" if asked else ""
        gold = re.sub(r"^([+-]?\d+)\.0+$", r"\1", gold) if form == "integer" else gold
        if form not in ("integer", "float") or not is_number(gold):
            kind = "maths"
    metadata = mapping_of(row, "metadata")
    names = ("task", "category", "context", "grade", "source", "skills")
    return BenchmarkItem(
        id=text_of(row, "pid", "id"),
        question=question,
        gold=gold,
        kind=kind,
        options=options,
        precision=precision,
        groups=group({name: metadata.get(name) for name in names} | {"question_type": row.get("question_type")}),
        image=image_of(row, "decoded_image", "image"),
    )


MATHVISTA = Benchmark(
    name="mathvista",
    title="MathVista (testmini)",
    paper="2310.02255",
    dataset="MathVista",
    parts=(Part("", 1000),),
    sources=(HubSource("AI4Math/MathVista", "testmini"),),
    read=read,
    measures=tuple(where("task", task) for task in TASKS),
    files="testmini",
)
