"""Mathematical expressions in a sentence, whole: "12\\pi cm^2" and not 12, "(2, -1)" and not 2."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from rap_plugin.grading.reading.compound_units import find_compounds
from rap_plugin.grading.reading.quantities import read_quantity, read_unit

MAX_TOKENS = 400
"""A longer sentence is not scanned."""
MAX_BRACKET = 60
"""Tokens between a bracket and the one that closes it."""

_ARGUMENT = r"\{(?:[^{}]|\{[^{}]{0,40}\}){1,60}\}"
_TOKEN = re.compile(
    r"(?P<ordinal>\d{1,9}(?:st|nd|rd|th)\b)"
    r"|(?P<number>\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d{1,3}(?: \d{3})+(?![\d.,])|\d+(?:\.\d+)?|\.\d+)"
    rf"|(?P<symbol>\\frac\s?(?:{_ARGUMENT}\s?{_ARGUMENT}|\d\s?\d)|\\sqrt\s?(?:\[\d\])?\s?(?:{_ARGUMENT}|\d+|[A-Za-z]\b)|(?:√|(?<![A-Za-z])sqrt)\s?(?:\([^()]{{1,60}}\)|\d+(?:\.\d+)?|[A-Za-z]\b)"
    r"|\\(?:pi|infty|emptyset)(?![A-Za-z])|(?<![A-Za-z])pi(?![A-Za-z])|(?<![A-Za-z])infinity\b)"
    rf"|(?P<power>\^\s?(?:{_ARGUMENT}|\(-?\w{{1,9}}\)|-?\w+)|_\{{?\w{{1,3}}\}}?)"
    r"|(?P<relation>\\(?:leq?|geq?|ne|approx|in)(?![A-Za-z])|<=|>=|!=|[<>=])"
    r"|(?P<postfix>%|°(?!\s?[CF]\b)|!(?!=))"
    r"|(?P<operator>\\(?:times|cdot|pm|cup|cap)(?![A-Za-z])|[-+*/:])"
    r"|(?P<open>\\langle|\\\{|[(\[{])|(?P<close>\\rangle|\\\}|[)\]}])|(?P<comma>[,;])"
    r"|(?P<word>\\?[A-Za-z]+(?:'[a-z]+)?)|(?P<other>\S)"
)
_CLOSES = {"(": ")]", "[": ")]", "{": "}", r"\{": r"\}", r"\langle": r"\rangle"}
_UNIT = re.compile(
    r"\s?(?P<unit>°\s?[CF]\b|(?:(?:square|cubic|sq\.?)\s)?[A-Za-zΩµ]{1,12}(?:\s?\^\s?\{?-?[1-4]\}?)?(?:\s(?:squared|cubed))?"
    r"(?:\s?(?:/|per\s)\s?[A-Za-z]{1,8}(?:\s?\^\s?\{?[1-4]\}?)?)?)(?![A-Za-z])"
)
_CURRENCY = re.compile(r"(?:\\?\$|[€£¥])\s?-?$")


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression at text[start:end], with its unit."""

    text: str
    start: int
    end: int
    plain: bool
    """a number with or without a unit"""
    unit: str = ""


def find_expressions(text: str) -> list[Expression]:
    """The expressions of a sentence in the notation of `clean_math`, in order."""
    compounds = find_compounds(text)
    tokens = list(_TOKEN.finditer(text))
    if len(tokens) > MAX_TOKENS:
        return []
    found: list[Expression] = []
    at = 0
    while at < len(tokens):
        inside = next((c for c in compounds if c[0] <= tokens[at].start() < c[1]), None)
        if inside:
            found.append(Expression(inside[2], inside[0], inside[1], plain=False))
            while at < len(tokens) and tokens[at].start() < inside[1]:
                at += 1
            continue
        end = _run(text, tokens, at)
        if end > at:
            expression = _expression(text, tokens[at].start(), tokens[end - 1].end(), tokens[at:end])
            if expression is not None:
                found.append(expression)
        at = max(end, at + 1)
    return found


def _kind(tokens: list[re.Match[str]], at: int) -> str:
    return (tokens[at].lastgroup or "") if 0 <= at < len(tokens) else ""


def _glued(tokens: list[re.Match[str]], at: int) -> bool:
    """Whether a token follows the one before it without a space."""
    return 0 < at < len(tokens) and tokens[at - 1].end() == tokens[at].start()


def _is_name(text: str, tokens: list[re.Match[str]], at: int) -> bool:
    """Whether a word is a variable (or a product of them) and no word of the language: "x" in "x = 5", "xy" in "6xy"."""
    word = tokens[at].group()
    if (
        len(word) <= 3
        and word.isalpha()
        and _glued(tokens, at)
        and _kind(tokens, at - 1) in ("number", "symbol", "close")
    ):
        return not read_unit(word) or (len(word) > 1 and read_unit(word) == "")
    if len(word) != 1 or not word.isalpha():
        functions = ("sin", "cos", "tan", "log", "ln", "theta", "alpha", "beta", "gamma", "lambda")
        return word.lstrip("\\") in functions and _kind(tokens, at - 1) == "operator"
    near = {_kind(tokens, at + 1), _kind(tokens, at - 1)} & {"operator", "relation", "power"}
    called = _kind(tokens, at + 1) == "open" and _glued(tokens, at + 1)
    return bool(near) or called


def _run(text: str, tokens: list[re.Match[str]], start: int) -> int:
    """Where the run of tokens ends that begins at `start` and is one expression; `start` where none begins."""
    at, last, operand, holds = start, start, False, False
    while at < len(tokens):
        kind, group = tokens[at].lastgroup or "", tokens[at].group()
        apart = at > start and not _glued(tokens, at)
        if kind in ("number", "symbol") or (kind == "word" and _is_name(text, tokens, at)):
            if operand and apart and not _continues(tokens, at):
                break
            holds = holds or kind != "word"
            operand, last = True, at + 1
        elif kind in ("power", "postfix") and operand and (not apart or kind == "power" or group in "°%"):
            if group == "!" and _kind(tokens, at + 1) not in ("relation", "operator"):
                break
            last = at + 1
        elif kind == "open" and not (operand and apart):
            end = _bracket(text, tokens, at)
            if end == at:
                break
            at, operand, holds, last = end - 1, True, True, end
        elif kind == "operator":
            sign = group in ("-", "+", r"\pm")
            if not (operand or sign):
                break
            if operand and not apart and group == ":" and not _glued(tokens, at + 1):
                break  # "The sum: 5"
            operand = False
        elif kind == "relation":
            if not operand and at > start:
                break
            operand = False
        else:
            break
        at += 1
    return last if holds else start


def _continues(tokens: list[re.Match[str]], at: int) -> bool:
    """Whether an operand after a space goes on with a product or a mixed number: "12 \\pi", "2 1/2"."""
    kind, before = _kind(tokens, at), _kind(tokens, at - 1)
    if kind == "symbol":
        return before in ("number", "symbol")
    fraction = kind == "number" and _kind(tokens, at + 1) == "operator" and tokens[at + 1].group() == "/"
    return fraction and before == "number" and _glued(tokens, at + 1) and _kind(tokens, at + 2) == "number"


def _bracket(text: str, tokens: list[re.Match[str]], at: int) -> int:
    """The end of a bracket that holds mathematics and nothing else; `at` for another one."""
    opened: list[str] = []
    for place in range(at, min(len(tokens), at + MAX_BRACKET)):
        kind, group = tokens[place].lastgroup or "", tokens[place].group()
        if kind == "open":
            opened.append(group)
        elif kind == "close":
            if group not in _CLOSES[opened.pop()]:
                return at
            if not opened:
                return place + 1 if place > at + 1 else at
        elif kind in ("ordinal", "other") or (kind == "word" and len(group) > 1 and not _is_name(text, tokens, place)):
            return at
    return at


def _expression(text: str, start: int, end: int, run: list[re.Match[str]]) -> Expression | None:
    if start and re.match(r"[A-Za-z_\\]", text[start - 1]):
        return None  # log2(8), A1
    body = text[start:end]
    currency = _CURRENCY.search(text[max(0, start - 4) : start])
    if body.startswith("(") and body.find(")") == len(body) - 1 and "," not in body:
        body, start, end = body[1:-1], start + 1, end - 1  # "(12)", "(75%)"
    scale = re.compile(r"\s(?:hundred|thousand|million|billion|trillion)\b").match(text, end)
    if scale:
        body, end = text[start : scale.end()], scale.end()
    unit = _UNIT.match(text, end)
    name = _unit_name(text, end, unit) if unit else ""
    one = Expression(body, start, end, read_quantity(body) is not None, name)
    if unit and name and not (body.endswith("°") and not unit["unit"].startswith("°")):
        one = replace(one, end=unit.end())
        if one.plain:
            whole = f"{body} {unit['unit']}"
            one = replace(one, text=whole if read_quantity(whole) else body)
        elif body.startswith("(") or "," in body:
            one = replace(one, unit="")
    if currency and one.plain:
        whole = text[start - len(currency.group()) : end]
        one = replace(one, text=whole, unit=name or "usd", start=start - len(currency.group()))
    return one


def _unit_name(text: str, end: int, unit: re.Match[str]) -> str:
    written = unit["unit"]
    if written in ("in", "a", "s") and re.match(r"\s[A-Za-z]", text[unit.end() :]):
        return ""
    for part in (written, written.split(" per")[0], written.split("/")[0]):
        name = read_unit(part)
        if name and name not in ("k",):
            return name
    return ""
