"""Equality of two formulas by math-verify. Imported in worker processes only: it can hang, and it is slow
to import."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from latex2sympy2_extended import NormalizationConfig
from math_verify import parse, verify
from math_verify.parser import LatexExtractionConfig
from sympy import And, Basic, ConditionSet, Eq, Expr, FiniteSet, N, Or, Symbol, Tuple
from sympy.core.relational import Relational
from sympy.sets.sets import Set as SympySet

from rap_plugin.grading.reading.formulas import align, split_approximation
from rap_plugin.grading.reading.notation import clean_math, to_latex

# One fixed reading of one boxed formula. The plain-expression reader is left out: it goes through sympy's
# parse_expr, which evaluates Python. Units are taken off before (`formulas.align`): math-verify's own list has letters and
# words that are variables elsewhere, and reads "3ab" and "6t" as 3 and 6.
_NORMAL = NormalizationConfig(basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="all")
_READING = [LatexExtractionConfig(boxed_match_priority=0, normalization_config=_NORMAL)]
_DIGITS = 18
_SLACK = 1e-6
_ZERO = 1e-12

logging.getLogger("math_verify").setLevel(logging.ERROR)
logging.getLogger("latex2sympy2_extended").setLevel(logging.ERROR)


@dataclass(frozen=True)
class Conditions:
    """Several conditions: all of them hold ("m > -1 and m ≠ 0"), or any ("x < 1 or x > 2")."""

    parts: tuple[Any, ...]
    all_hold: bool


_OR, _AND = (re.compile(rf"\s(?:{words})(?![A-Za-z])\s?") for words in (r"or|\\lor|\\vee", r"and|\\land|\\wedge"))
_CONDITION = re.compile(r"[<>]|\\(?:leq?|geq?|neq?|lt|gt)(?:slant)?(?![A-Za-z])|!=")
_NEITHER = re.compile(r"([A-Za-z])\s?\\neq?\s?\\pm\s?([\w\\{}.]{1,20})")
MOST_CONDITIONS = 4


def _conditions_of(text: str) -> Conditions | None:
    """The conditions of a text that is nothing but several of them; None for another one."""
    clean = _NEITHER.sub(r"\1 \\ne \2 and \1 \\ne -\2", clean_math(text))
    for connective, all_hold in ((_OR, False), (_AND, True)):
        parts = connective.split(clean)
        if 2 <= len(parts) <= MOST_CONDITIONS and all(map(_CONDITION.search, parts)):
            read = tuple(read_formula(part) for part in parts)
            names = {symbol for part in read if isinstance(part, Basic) for symbol in part.free_symbols}
            if names and all(isinstance(part, (Relational, And)) for part in read):
                return Conditions(read, all_hold)
    return None


def _listed_conditions(value: Any) -> Any:
    """The conditions of "m > -1, m ≠ 0", which all hold; another value as it is."""
    listed = isinstance(value, FiniteSet) and len(value.args) > 1 and all(isinstance(p, Relational) for p in value.args)
    return Conditions(value.args, True) if listed and not any(isinstance(p, Eq) for p in value.args) else value


def _one_way(part: Any) -> Any:
    return part.canonical if isinstance(part, Relational) else part


def _as_set(value: Any) -> Any | None:
    """The real numbers that conditions leave, or a set itself; None for what is no set. Raises NotImplementedError where sympy
    cannot solve them: then the response is ungradable, not wrong."""
    if isinstance(value, SympySet) and not isinstance(value, FiniteSet):
        return value
    if isinstance(value, (Relational, And)):
        value = Conditions((value,), True)
    if not isinstance(value, Conditions) or len({s for part in value.parts for s in part.free_symbols}) != 1:
        return None
    found = (And if value.all_hold else Or)(*value.parts).as_set()
    if found.has(ConditionSet):
        raise NotImplementedError(f"the conditions {value.parts} cannot be solved")
    return found


def read_formula(text: str) -> Any | None:
    """The sympy object of a formula in plain notation or LaTeX, or None when it cannot be parsed."""
    if (conditions := _conditions_of(text)) is not None:
        return conditions
    latex = to_latex(text)
    if not latex:
        return None
    # The deadline is the parent's, by killing this process; math-verify's own would be signals.
    found = parse(rf"\boxed{{{latex}}}", _READING, fallback_mode="no_fallback", parsing_timeout=None)
    return _one_symbol_a_name(found[0]) if found else None


def _one_symbol_a_name(value: Any) -> Any:
    # The parser makes "i" behind a root a symbol of another kind than elsewhere, so that the two are different.
    others = [symbol for symbol in getattr(value, "free_symbols", ()) if symbol.is_real is not True]
    return value.xreplace({symbol: Symbol(symbol.name, real=True) for symbol in others}) if others else value


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
    gold, said = _listed_conditions(gold), _listed_conditions(said)
    if isinstance(gold, Conditions) or isinstance(said, Conditions):
        left, right = _as_set(gold), _as_set(said)
        if left is not None or right is not None:
            return bool(left == right)
        both = isinstance(gold, Conditions) and isinstance(said, Conditions) and gold.all_hold == said.all_hold
        return both and {*map(_one_way, gold.parts)} == {*map(_one_way, said.parts)}
    # math-verify takes {1, 2} for 1 < x < 2.
    if any(isinstance(one, FiniteSet) and isinstance(other, And) for one, other in ((gold, said), (said, gold))):
        return False
    # A set and an inequality can be the same answer: x > 2 and (2, oo).
    if isinstance(gold, Tuple) and isinstance(said, SympySet):
        return bool(verify(gold, said, strict=False, timeout_seconds=None))
    if verify(gold, said, strict=True, allow_set_relation_comp=True, timeout_seconds=None):
        return True
    # |x| <= 2 and -2 <= x <= 2
    ranges = all(isinstance(one, (Relational, And)) and not isinstance(one, Eq) for one in (gold, said))
    return ranges and (left := _as_set(gold)) is not None and bool(left == _as_set(said))


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
    if not isinstance(gold, (Basic, Conditions)) and type(gold) is not type(said) and not hasattr(gold, "shape"):
        return {"verdict": "wrong", "reason": "another kind of object"}
    if same_formula(gold, said, rtol):
        return {"verdict": "right", "reason": ""}
    return {"verdict": "wrong", "reason": "another value"}
