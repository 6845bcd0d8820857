"""MathVista testmini (arXiv 2310.02255): choices, integers, decimals and lists over figures of 28 sources."""

from __future__ import annotations

from rap_plugin.evaluation.benchmarks.base import (
    Benchmark,
    HubSource,
    Part,
    Row,
    RowProblem,
    group,
    image_of,
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


def read(row: Row, part: str) -> BenchmarkItem:
    """A choice's gold is the option's text and becomes its letter (the first of two options with the same text); a decimal's counts to the row's precision."""
    question, gold = text_of(row, "question"), text_of(row, "answer")
    unit, options = maybe_text(row, "unit"), texts_of(row, "choices")
    precision = int(float(row.get("precision") or 0))
    kind: Kind = "number"
    if unit:
        question += f" (Unit: {unit})"
    if row.get("question_type") == "multi_choice":
        if gold not in options or len(options) > len(LETTERS):
            raise RowProblem(f"the gold answer {gold[:40]!r} is none of the choices")
        kind, gold = "choice", LETTERS[options.index(gold)]
        question += "\nChoices:\n" + "\n".join(f"({a}) {text}" for a, text in zip(LETTERS, options, strict=False))
    else:
        options = ()
        form = FORMS.get(maybe_text(row, "answer_type"), "")
        question += " " + form.format(precision=precision, s="" if precision == 1 else "s") if form else ""
        if row.get("answer_type") not in ("integer", "float"):
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
