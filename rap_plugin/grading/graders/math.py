"""`math`: equal as mathematics. What is certain is decided here, the rest by math-verify in workers."""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version

from rap_plugin.grading.base import GradeItem, GradingOptions
from rap_plugin.grading.building import Ask, Opinion, gold_is_empty, grader
from rap_plugin.grading.reading.answers import Answer, find_answer
from rap_plugin.grading.reading.compound_units import compound_forms
from rap_plugin.grading.reading.formulas import (
    MAX_ANSWER_CHARS,
    MAX_NESTING,
    answer_as_math,
    formula_of_text,
    is_sentence,
    is_words,
    last_sentence,
    nesting,
    quick_compare,
    same_words,
    split_list,
    split_name,
)
from rap_plugin.grading.reading.golds import (
    number_of,
    plain_value,
    rounding_tolerance,
    rounds_to,
)
from rap_plugin.grading.reading.magnitude import too_large
from rap_plugin.grading.reading.numbers import read_number
from rap_plugin.grading.reading.quantities import read_quantity
from rap_plugin.grading.workers.processes import Reply


def library_versions() -> dict[str, str]:
    """Versions of what decides in the workers: another one may decide otherwise."""
    found = {}
    for package in ("math-verify", "latex2sympy2_extended", "sympy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found


def check_math_gold(gold: str, question: str = "") -> str | None:
    """None when a gold answer can be compared as mathematics, else why not."""
    return _check_gold(gold)


@lru_cache(maxsize=2048)
def _check_gold(gold: str) -> str | None:
    if len(gold) > MAX_ANSWER_CHARS:
        return f"the gold answer is {len(gold)} characters long, more than {MAX_ANSWER_CHARS}"
    if nesting(gold) > MAX_NESTING:
        return f"the gold answer nests brackets deeper than {MAX_NESTING}"
    return gold_is_empty(gold) or too_large(gold) or None


def _said(item: GradeItem, answer: Answer, gold: str) -> str:
    """The mathematics of the answer. For a gold that is a number, prose with plain numbers is read as benchmarks read it."""
    said = answer_as_math(answer)
    prose = not answer.marked and is_sentence(answer.text)
    if not prose or read_quantity(answer.text) or not read_quantity(gold):
        return said
    known = read_quantity(split_name(said)[1]) or read_quantity(said.rsplit("=", 1)[-1])
    reading = read_number(item.response, item.question)
    number = reading.value
    # A dollar sign opens a formula or a price, which the number reader tells apart.
    if known is None and "$" not in answer.text and (said or formula_of_text(answer.text) == ""):
        listed = split_list(said)
        elsewhere = reading.span is not None and reading.span[1] <= item.response.rfind(last_sentence(answer.text))
        # "There are 3 bars. Their values are 58, 59 and 63." answers with 3.
        if number is None or not (listed and listed[0] == "" and elsewhere):
            return said
    if number is None or (known and number.value in (known.value, known.value.numerator)):
        return said  # 7 is a part of "7 out of 20"
    return number.text


def compare_math(item: GradeItem, rtol: float) -> Opinion | Ask:
    """The opinion of the `math` grader, or the comparison that only a worker can decide."""
    answer = find_answer(item.response)
    unusable = check_math_gold(item.gold)
    if unusable:
        return Opinion("ungradable", answer.text, unusable)
    gold = compound_forms(item.gold).split(r" \approx ")[0] or plain_value(item.gold)
    if len(answer.text) > MAX_ANSWER_CHARS:
        return Opinion("wrong", answer.text, f"the answer is {len(answer.text)} characters long")
    if is_words(gold):
        same = same_words(gold, answer)
        return Opinion("right" if same else "wrong", answer.text, "" if same else "another text")
    said = _said(item, answer, gold) or (answer.text if plain_value(answer.text) == gold else "")
    if not said:
        return Opinion("wrong", "", "no answer found")
    value = compound_forms(said) or plain_value(said)
    if nesting(value) > MAX_NESTING:
        return Opinion("wrong", said, "brackets nested too deeply")
    rtol = rtol if item.rtol is None else item.rtol
    if item.rounded:
        rtol = max(rtol, rounding_tolerance(gold))
        if rounds_to(gold, value):
            return Opinion("right", said)
    equal = quick_compare(gold, value, rtol)
    if equal is None:
        # A formula has no unit to compare with the gold's.
        request = {"gold": number_of(gold) or gold, "said": value, "rtol": rtol}
        return Ask(request, said, lambda reply: _opinion_of(reply, said), pure=True)
    return Opinion("right" if equal else "wrong", said, "" if equal else "another value")


def _opinion_of(reply: Reply, said: str) -> Opinion:
    return Opinion(reply["verdict"], said, str(reply["reason"]))


@grader(
    "math",
    version=6,
    moved_by=("format_weight", "rtol", "timeout_s", "memory_mb"),
    facts=library_versions,
    check_gold=check_math_gold,
    worker={"kind": "math"},
)
def math(item: GradeItem, options: GradingOptions) -> Opinion | Ask:
    """Mathematical equality, tolerant where a person would be; see docs/grading.md."""
    return compare_math(item, options.rtol)
