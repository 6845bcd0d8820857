"""`math`: equal as mathematics. What is certain is decided here, the rest by math-verify in workers."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version

from rap_plugin.grading.base import GradeItem, GradingOptions
from rap_plugin.grading.building import Ask, Opinion, gold_is_empty, grader
from rap_plugin.grading.reading.answers import Answer, find_answer
from rap_plugin.grading.reading.bare_numbers import is_time, number_alone, time_of
from rap_plugin.grading.reading.compound_units import compound_forms
from rap_plugin.grading.reading.formula_in_sentence import gives_no_value
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
    same_subscripts,
    same_words,
    split_list,
    split_name,
)
from rap_plugin.grading.reading.golds import (
    is_ratio,
    number_of,
    plain_value,
    ratio_in,
    relation_sign,
    rounding_tolerance,
    rounds_to,
)
from rap_plugin.grading.reading.item_labels import gives_labels, labels_of_gold
from rap_plugin.grading.reading.magnitude import too_large
from rap_plugin.grading.reading.notation import clean_math, squash
from rap_plugin.grading.reading.numbers import read_number
from rap_plugin.grading.reading.quantities import read_quantity
from rap_plugin.grading.workers.processes import Reply

_RADIANS = re.compile(r"\\pi|\\?arc(?:sin|cos|tan)|\\(?:sin|cos|tan)\s?\^\s?\{?\s?-1")

_BOUND = re.compile(r"[<>≤≥]|\\(?:leq?|geq?|neq?|lt|gt)|\bthan\b|\bnot\b")
"""A gold that is a bound itself."""

MAX_SIGN_CHARS = 12
"""A longer gold is no relation sign alone."""


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


def _value_of(said: str, text: str, gold: str) -> str:
    """What is compared with the gold: the value that `said` states, or what the text gives of the gold's own kind."""
    value = compound_forms(said) or plain_value(said)
    if ":" in gold and is_time(gold):
        return time_of(text) or ratio_in(text) or value
    if ":" in gold and is_ratio(gold) and not is_ratio(value):
        return ratio_in(text) or value
    if read_quantity(gold) and not read_quantity(split_name(value)[1]):
        return number_alone(text) or ratio_in(text).replace(":", "/") or value
    return value


def compare_math(item: GradeItem, rtol: float) -> Opinion | Ask:
    """The opinion of the `math` grader, or the comparison that only a worker can decide."""
    answer = find_answer(item.response)
    unusable = check_math_gold(item.gold)
    if unusable:
        return Opinion("ungradable", answer.text, unusable)
    if len(answer.text) <= MAX_ANSWER_CHARS and (labels := labels_of_gold(item.gold)) is not None:
        same = gives_labels(answer.text, labels)
        return Opinion("right" if same else "wrong", answer.text, "" if same else "other items")
    gold = compound_forms(item.gold).split(r" \approx ")[0] or plain_value(item.gold)
    if len(answer.text) > MAX_ANSWER_CHARS:
        return Opinion("wrong", answer.text, f"the answer is {len(answer.text)} characters long")
    if len(gold) <= MAX_SIGN_CHARS and (sign := relation_sign(gold)) and len(squash(gold)) <= len(sign) + 1:
        same = relation_sign(answer.text) == sign
        return Opinion("right" if same else "wrong", answer.text, "" if same else "another relation")
    if is_words(gold):
        same = same_words(gold, answer)
        return Opinion("right" if same else "wrong", answer.text, "" if same else "another text")
    if answer.how != "boxed" and gives_no_value(answer.text) and not _BOUND.search(gold):
        return Opinion("wrong", answer.text, "what it is not, or a bound")
    said = _said(item, answer, gold) or (answer.text if plain_value(answer.text) == gold else "")
    value = _value_of(said, answer.text, gold)
    said = said or (answer.text if value else "")
    if not said:
        return Opinion("wrong", "", "no answer found")
    if same_subscripts(gold, value):
        return Opinion("right", said)
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
        request = {"gold": _for_worker(gold, value), "said": _for_worker(value, gold), "rtol": rtol}
        return Ask(request, said, lambda reply: _opinion_of(reply, said), pure=True)
    return Opinion("right" if equal else "wrong", said, "" if equal else "another value")


def _for_worker(text: str, other: str) -> str:
    """One side without its unit, percents as fractions, degrees in radians where the other side has a multiple of pi."""
    quantity, parts = read_quantity(text), clean_math(text).split(":")
    if len(parts) > 2 and all(part.strip() for part in parts):
        # Read as a division, 1:2:√3 would be 1:√3:2.
        return "(" + ", ".join(rf"\frac{{{part}}}{{{parts[0]}}}" for part in parts[1:]) + ")"
    if quantity and quantity.percent:
        return rf"\frac{{{quantity.value.numerator}}}{{{100 * quantity.value.denominator}}}"
    if quantity and quantity.unit == "deg" and _RADIANS.search(clean_math(other)) and "°" not in clean_math(other):
        return rf"\frac{{{quantity.value.numerator}\pi}}{{{180 * quantity.value.denominator}}}"
    return number_of(text) or text


def _opinion_of(reply: Reply, said: str) -> Opinion:
    return Opinion(reply["verdict"], said, str(reply["reason"]))


@grader(
    "math",
    version=8,
    moved_by=("format_weight", "rtol", "timeout_s", "memory_mb"),
    facts=library_versions,
    check_gold=check_math_gold,
    worker={"kind": "math"},
)
def math(item: GradeItem, options: GradingOptions) -> Opinion | Ask:
    """Mathematical equality, tolerant where a person would be; see docs/grading.md."""
    return compare_math(item, options.rtol)
