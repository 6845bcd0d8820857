"""Numbers written in Chinese characters: 二十四米, 百分之三十五, 三点五."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

_DIGITS = {char: value for value, char in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_TENS = {"十": 10, "百": 100, "千": 1000}
_MYRIADS = {"万": 10**4, "亿": 10**8}
_NUMERAL = rf"[{''.join([*_DIGITS, *_TENS, *_MYRIADS])}]{{1,20}}(?:点[{''.join(_DIGITS)}]{{1,10}})?"
_MEASURES = "个只条辆本位名张棵头块岁年月天米元件种扇座把台架朵颗瓶杯盏层间人次倍度秒升斤吨厘公毫千平小分"
# 一 alone is in many words; a numeral is one where something is counted, or where it stands for itself.
_NUMBER = re.compile(
    rf"百分之(?P<percent>{_NUMERAL})"
    rf"|(?P<counted>{_NUMERAL})(?=[{_MEASURES}])"
    rf"|(?:^|(?<=[\s是为有共约:：=（(]))(?P<alone>{_NUMERAL})(?=\W|$)"
)


def chinese_numbers(text: str) -> Iterator[tuple[Fraction, bool, tuple[int, int]]]:
    """(value, whether it is in percent, its place) of every number in Chinese characters."""
    for match in _NUMBER.finditer(text):
        value = _value_of(match["percent"] or match["counted"] or match["alone"])
        if value is not None:
            yield value, match["percent"] is not None, match.span()


def _value_of(numeral: str) -> Fraction | None:
    """The value; None where characters stand side by side that make no number, such as 一二."""
    whole, _, decimals = numeral.partition("点")
    total = section = 0
    digit: int | None = None
    for char in whole:
        if char in _DIGITS:
            if digit:
                return None
            digit = _DIGITS[char]
        elif char in _TENS:
            section += (1 if digit is None else digit) * _TENS[char]
            digit = None
        else:
            total = (total + section + (digit or 0)) * _MYRIADS[char]
            section, digit = 0, None
    digits = "".join(str(_DIGITS[char]) for char in decimals)
    return Fraction(total + section + (digit or 0)) + Fraction(int(digits or 0), 10 ** len(digits))
