"""The value of a closed form ("6\\pi", "5\\sqrt{2}", "2\\frac{1}{2}", "8 + 4\\pi"), to see whether two forms say one number."""

from __future__ import annotations

import math
import re

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)|(?P<pi>\\?pi(?![A-Za-z]))"
    r"|(?P<frac>\\frac)|(?P<root>\\?sqrt(?![A-Za-z])|√)|(?P<mark>\\times|\\cdot|[-+*/^(){}!%°]))"
)
MAX_TOKENS = 60
MAX_DEPTH = 12


def closed_value(text: str) -> float | None:
    """The value of a closed form in the notation of `clean_math`; None for all else, and for what is no finite number."""
    tokens: list[tuple[str, str]] = []
    position, text = 0, text.strip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or len(tokens) == MAX_TOKENS:
            return None
        tokens.append((match.lastgroup or "", match.group().strip()))
        position = match.end()
    try:
        form = _Form(tokens)
        value = form.sum(0)
    except (ArithmeticError, ValueError, IndexError):
        return None
    return value if form.done and math.isfinite(value) else None


class _Form:
    """A descent through the tokens of one closed form, by rising precedence. Raises ValueError where they are none."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._at = 0

    @property
    def done(self) -> bool:
        return self._at == len(self._tokens)

    def _next(self, *wanted: str) -> str | None:
        if not self.done and self._tokens[self._at][1] in wanted:
            self._at += 1
            return self._tokens[self._at - 1][1]
        return None

    def sum(self, depth: int) -> float:
        if depth > MAX_DEPTH:
            raise ValueError("nested too deeply")
        sign = -1.0 if self._next("-") else 1.0
        self._next("+")
        value = sign * self._product(depth)
        while mark := self._next("+", "-"):
            value += (1 if mark == "+" else -1) * self._product(depth)
        return value

    def _product(self, depth: int) -> float:
        value = self._power(depth)
        while not self.done:
            kind, mark = self._tokens[self._at]
            if self._next("*", r"\times", r"\cdot"):
                value *= self._power(depth)
            elif self._next("/"):
                value /= self._power(depth)
            elif kind == "frac" and self._tokens[self._at - 1][0] == "number":
                value += self._power(depth)  # 2 1/2
            elif kind in ("pi", "root", "frac") or mark in ("(", "{"):
                value *= self._power(depth)
            else:
                break
        return value

    def _power(self, depth: int) -> float:
        base = self._operand(depth)
        while mark := self._next("!", "%", "°"):
            base = math.factorial(_small(base)) if mark == "!" else base / 100 if mark == "%" else base
        if not self._next("^"):
            return float(base)
        sign = -1.0 if self._next("-") else 1.0
        exponent = sign * self._operand(depth)
        if abs(exponent) > 100:
            raise ValueError("a power too large")
        result = base**exponent
        if isinstance(result, complex):
            raise ValueError("no real number")
        return float(result)

    def _operand(self, depth: int) -> float:
        kind, text = self._tokens[self._at]
        self._at += 1
        if kind == "number":
            return float(text.replace(",", ""))
        if kind == "pi":
            return math.pi
        if kind == "frac":
            return self._operand(depth + 1) / self._operand(depth + 1)
        if kind == "root":
            return math.sqrt(self._operand(depth + 1))
        if text in ("(", "{"):
            value = self.sum(depth + 1)
            if self._next(")" if text == "(" else "}"):
                return value
        raise ValueError("no operand")


def _small(value: float) -> int:
    if value != int(value) or not 0 <= value <= 100:
        raise ValueError("no factorial")
    return int(value)


def same_value(one: str, other: str, *, about: bool = False) -> bool | None:
    """Whether two closed forms say one number, to the decimals of the one that is written with decimals. `about`: one of
    them is said to be rounded, and may be an integer, as percent beside another form is. None where a form has no value."""
    a, b = closed_value(one), closed_value(other)
    if a is None or b is None:
        return None
    if math.isclose(a, b, rel_tol=1e-9):
        return True
    decimals = [len(found.group(1)) for text in (one, other) if (found := re.search(r"\.(\d+)[%°\s]*$", text))]
    percents = [one.strip()[-1:], other.strip()[-1:]].count("%")
    if decimals or about or percents == 1:
        percent = 0.01 if percents else 1.0
        step = percent * 0.5 * 10.0 ** -min(decimals or [0])
        # 3.14 for pi, and digits that were cut off.
        return abs(a - b) <= max(2 * step if decimals else step, 1e-3 * abs(a)) * (1 + 1e-9)
    return False
