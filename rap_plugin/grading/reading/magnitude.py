"""Numbers that nobody can write out, 9**9**9 among them: told from the text, without computing them."""

from __future__ import annotations

import math
import re

MAX_DIGITS = 10_000
"""Digits of a power in a gold answer; a computer algebra system writes them all out."""

MAX_FACTORIAL = 3_000
MAX_TERMS = 1_000_000
MAX_DEPTH = 8
"""Powers above powers; what is deeper is endless for our purpose."""

_GROUP = r"\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\}|\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)|[\d.]+"
_TERM = rf"(?:{_GROUP})(?:\^(?:{_GROUP})){{0,8}}"
_POWER = re.compile(rf"(?P<base>\d[\d.]{{0,30}}|[)}}])\^[+-]?(?P<exponent>{_TERM})")
_SCIENTIFIC = re.compile(r"\d\.?[eE][+-]?0*(?P<digits>\d+)")
_FACTORIAL = re.compile(rf"(?P<of>{_GROUP})!")
_FACTORIALS = re.compile(r"!{3}")
_GAMMA = re.compile(rf"\\Gamma(?P<of>{_GROUP})")
_BINOMIAL = re.compile(rf"\\[dt]?binom(?P<of>{_GROUP})")
_SERIES = re.compile(rf"\\(?:sum|prod)_(?:{_GROUP}|\w)\^(?P<to>{_TERM})")
_LETTER = re.compile(r"\\?[A-Za-z]+")


def too_large(text: str) -> str:
    """Why a gold answer is a number that cannot be written out; empty where it is not, as far as its text shows."""
    plain = re.sub(
        r"\\(?:left|right|,|;|!|cdot|times)|\s|\$", lambda found: "*" if found[0] in (r"\cdot", r"\times") else "", text
    )
    plain = plain.replace("**", "^")
    for found in _POWER.finditer(plain):
        base = _value(found["base"]) if found["base"][0].isdigit() else 10.0
        if base > 1 and _value(found["exponent"]) * math.log10(base) > MAX_DIGITS:
            return f"the gold answer has a power of more than {MAX_DIGITS:,} digits"
    if any(len(found["digits"]) > 9 or int(found["digits"]) > MAX_DIGITS for found in _SCIENTIFIC.finditer(plain)):
        return f"the gold answer has a power of more than {MAX_DIGITS:,} digits"
    if _FACTORIALS.search(plain):
        return "the gold answer has a factorial of a factorial of a factorial"
    for pattern in (_FACTORIAL, _BINOMIAL, _GAMMA):
        if any(_value(found["of"]) > MAX_FACTORIAL for found in pattern.finditer(plain)):
            return f"the gold answer has a factorial or binomial of a number above {MAX_FACTORIAL:,}"
    if any(_value(found["to"]) > MAX_TERMS for found in _SERIES.finditer(plain)):
        return f"the gold answer has a sum or product of more than {MAX_TERMS:,} terms"
    return ""


def _value(text: str, depth: int = 0) -> float:
    """About the value of products and powers of numbers; 0 with letters in it, infinite above 1e18."""
    bare = text.strip("{}()").lstrip("+-")
    if _LETTER.search(bare):
        return 0.0
    if depth > MAX_DEPTH:
        return math.inf
    product = 1.0
    for factor in re.split(r"[*+]", bare):
        base, power, exponent = factor.partition("^")
        try:
            value = float(base.strip("{}()") or 0)
        except ValueError:
            return 0.0  # a difference or a fraction, which makes nothing endless
        if power and value > 1:
            exponent_value = _value(exponent, depth + 1)
            value = value**exponent_value if exponent_value * math.log10(value) < 18 else math.inf
        product *= value
    return product
