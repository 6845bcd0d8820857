"""Equality of two formulas by math-verify. Imported in worker processes only: it can hang, and it is slow
to import."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from math_verify import parse, verify
from math_verify.parser import LatexExtractionConfig
from sympy import Basic, Expr, N, Tuple
from sympy.sets.sets import Set as SympySet

from rap_plugin.grading.reading.formulas import align, split_approximation
from rap_plugin.grading.reading.notation import to_latex

# One fixed reading of one boxed formula. The plain-expression reader is left out: it goes through sympy's
# parse_expr, which evaluates Python.
_READING = [LatexExtractionConfig(boxed_match_priority=0)]
_DIGITS = 18
_SLACK = 1e-6
_ZERO = 1e-12

logging.getLogger("math_verify").setLevel(logging.ERROR)
logging.getLogger("latex2sympy2_extended").setLevel(logging.ERROR)


def read_formula(text: str) -> Any | None:
    """The sympy object of a formula in plain notation or LaTeX, or None when it cannot be parsed."""
    latex = to_latex(text)
    if not latex:
        return None
    # The deadline is the parent's, by killing this process; math-verify's own would be signals.
    found = parse(rf"\boxed{{{latex}}}", _READING, fallback_mode="no_fallback", parsing_timeout=None)
    return found[0] if found else None


def _is_number(value: Any) -> bool:
    return isinstance(value, Expr) and not value.free_symbols and value.is_number is True


def _numbers_equal(gold: Any, said: Any, rtol: float) -> bool | None:
    """Equality of two closed forms by value, relative to the gold; None when they have no finite value."""
    a, b = N(gold.doit(), _DIGITS), N(said.doit(), _DIGITS)
    if not (a.is_number and b.is_number and a.is_finite and b.is_finite):
        return None
    if gold.is_Integer and said.is_Integer and rtol == 0:
        return bool(gold == said)
    # A gold of 0 has no relative scale: sin(pi) is 0 up to rounding.
    return bool(abs(a - b) <= (max(rtol, _SLACK) * abs(a) if a != 0 else _ZERO))


def same_formula(gold: Any, said: Any, rtol: float) -> bool:
    """Whether two parsed formulas are equal: closed forms by value, all else by math-verify."""
    if _is_number(gold) and _is_number(said):
        equal = _numbers_equal(gold, said, rtol)
        if equal is not None:
            return equal
    # A set and an inequality can be the same answer: x > 2 and (2, oo).
    if isinstance(gold, Tuple) and isinstance(said, SympySet):
        return bool(verify(gold, said, strict=False, timeout_seconds=None))
    return bool(verify(gold, said, strict=True, allow_set_relation_comp=True, timeout_seconds=None))


def compare(request: Mapping[str, Any]) -> dict[str, Any]:
    """One request of the `math` grader: {gold, said, rtol} -> {verdict, reason}."""
    replies = [
        _compare(str(request["gold"]), part, float(request["rtol"]))
        for part in split_approximation(str(request["said"])) or [str(request["said"])]
    ]
    return next((reply for reply in replies if reply["verdict"] == "right"), replies[0])


def _compare(gold_text: str, said_text: str, rtol: float) -> dict[str, Any]:
    aligned = align(gold_text, said_text)
    if aligned is None:
        return {"verdict": "wrong", "reason": "another variable"}
    gold = read_formula(aligned[0])
    if gold is None:
        return {"verdict": "ungradable", "reason": "the gold answer cannot be read as mathematics"}
    said = read_formula(aligned[1])
    if said is None:
        return {"verdict": "wrong", "reason": "the answer cannot be read as mathematics"}
    if not isinstance(gold, Basic) and type(gold) is not type(said) and not hasattr(gold, "shape"):
        return {"verdict": "wrong", "reason": "another kind of object"}
    if same_formula(gold, said, rtol):
        return {"verdict": "right", "reason": ""}
    return {"verdict": "wrong", "reason": "another value"}
