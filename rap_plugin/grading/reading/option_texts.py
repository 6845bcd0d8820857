"""The texts of options: which one a piece of text is, and which ones a sentence mentions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from rap_plugin.grading.reading.normalised import normalize_text
from rap_plugin.grading.reading.notation import clean_math
from rap_plugin.grading.reading.number_tokens import word_tokens
from rap_plugin.grading.reading.quantities import Quantity, find_quantities, read_quantity, same_quantity

_OPERATORS = re.compile(
    r"[=<>^√π|±∥⊥≅~]|\\(?!angle|triangle)[a-zA-Z]{2,}|(?<![A-Za-z]{2})\s?[-+*/](?=\s?(?:[\d(\\]|[A-Za-z]\b))|\d\s?/\s?\d"
)
_SQUASH = re.compile(r"[\s{}\\$]|\\(?:left|right|,|;|!)|(?:\.$)")
# "Set A" and "a set": the letter is a name, the article is nothing.
_NAMED_A = re.compile(r"(?<=[A-Za-z0-9] )A\b|^A$")
_NAMED = "letteraaa"
# "∠A" and "angle A" are one name.
_FIGURE = re.compile(r"∠|\\angle\b|△|∆|\\triangle\b")
_FIGURES = {"∠": "angle", "\\angle": "angle"}
_SIGNS = {"le": "<=", "leq": "<=", "leqslant": "<=", "ge": ">=", "geq": ">=", "geqslant": ">=", "lt": "<", "gt": ">", "ne": "!=", "neq": "!="}  # fmt: skip
_RELATION_SIGN = re.compile(r"\\(leqslant|geqslant|leq|geq|neq|le|ge|lt|gt|ne)(?![A-Za-z])")
_RELATION = re.compile(r"([^<>=!]+)(<=|>=|!=|<|>|=)([^<>=!]+)")
_IN_WORDS = (
    (re.compile(r"\s+is (?:greater|larger|bigger|more|longer|higher) than or equal to\s+", re.IGNORECASE), ">="),
    (re.compile(r"\s+is (?:less|smaller|shorter|lower) than or equal to\s+", re.IGNORECASE), "<="),
    (re.compile(r"\s+is (?:greater|larger|bigger|more|longer|higher) than\s+", re.IGNORECASE), ">"),
    (re.compile(r"\s+is (?:less|smaller|shorter|lower) than\s+", re.IGNORECASE), "<"),
    (re.compile(r"\s+(?:equals|is equal to|is the same as)\s+", re.IGNORECASE), "="),
)
_ANGLE_NAME = re.compile(r"\bangle\s+(?=\w{1,4}\b)", re.IGNORECASE)
_VERB_OR_END = r"\s+(?:is|was|has|had|won|wins|does|did|shows?)\b|\W*$"
_MINUS = re.compile(r"^\W*(?:negative|minus)\s+(?=\w)", re.IGNORECASE)
_VERDICTS = frozenset({"yes", "no", "true", "false", "right", "wrong", "correct", "incorrect"})
"""Options that a sentence can hold without choosing them; see `yes_no.verdict_of`."""
_CHINESE_UNIT = re.compile(r"(?<=[\d.])\s?[\u4e00-\u9fff]{1,4}$")
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")


@lru_cache(maxsize=4096)
def words_key(text: str) -> str:
    """The words of a text, folded, without articles; a name such as the A of "Set A" stays."""
    text = _FIGURE.sub(lambda m: f" {_FIGURES.get(m.group().strip(), 'triangle')} ", text).strip()
    key = normalize_text(_NAMED_A.sub(_NAMED, text))
    return key.replace(_NAMED, "a") if _NAMED in key else key


@lru_cache(maxsize=4096)
def formula_key(text: str) -> str:
    """A formula with its operators and signs, in one notation, without white space and braces."""
    text = (
        re.sub(r"\{\s+|\s+(?=\})", lambda m: m.group().strip(), clean_math(text))
        .replace("\\sqrt", "√")
        .replace("sqrt", "√")
        .replace("**", "^")
        .replace("\\cdot", "*")
    )
    text = text.replace("\\times", "*").replace("\\frac", "frac").replace("°", "")
    text = _RELATION_SIGN.sub(lambda m: _SIGNS[m.group(1)], text)
    text = re.sub(r"√\s?\(([^()]*)\)|√\s?\{([^{}]*)\}", lambda m: "√" + (m.group(1) or m.group(2) or ""), text)
    text = re.sub(r"frac\s?\{([^{}]*)\}\s?\{([^{}]*)\}", r"(\1)/(\2)", text)
    text = re.sub(r"\((\w+)\)", r"\1", text)
    return _one_way(_SQUASH.sub("", text).replace("*√", "√").casefold())


def _one_way(relation: str) -> str:
    """ "y>x" as "x<y" and "b=a" as "a=b": a relation said from its other side is the same."""
    found = _RELATION.fullmatch(relation)
    if found is None:
        return relation
    left, sign, right = found.groups()
    if sign in (">", ">="):
        return f"{right}{sign.replace('>', '<')}{left}"
    return relation if sign in ("<", "<=") else sign.join(sorted((left, right)))


def _in_signs(text: str) -> str:
    """ "x is greater than y" as "x > y"."""
    for words, sign in _IN_WORDS:
        text = words.sub(f" {sign} ", text)
    return _ANGLE_NAME.sub("∠", text)


@lru_cache(maxsize=4096)
def is_formula(text: str) -> bool:
    """Whether a text holds operators or LaTeX, so that its words alone do not say what it is."""
    return bool(_OPERATORS.search(text))


@lru_cache(maxsize=4096)
def _quantity(text: str) -> Quantity | None:
    # "4.40 metres" answers "4.40米": a unit in another language is left out.
    text = _CHINESE_UNIT.sub("", text)
    if _MINUS.match(text):
        positive = _quantity(_MINUS.sub("", text))
        return replace(positive, value=-positive.value) if positive else None
    quantity = read_quantity(text)
    if quantity is None and (words := next(word_tokens(text[:60]), None)) and words.start == 0:
        quantity = read_quantity(f"{words.quantity.value} {text[words.end :].strip()}".strip())
    return quantity


def key_of(options: Mapping[str, str]) -> Callable[[str], str]:
    """How texts are compared with these options: as formulas, with their signs, or as words."""
    return formula_key if any(is_formula(option) for option in options.values()) else words_key


def match_option(text: str, options: Mapping[str, str]) -> str | None:
    """The one option whose text is this text: the same formula, word for word, or the same number and unit."""
    if not text.strip() or len(text) > 2_000:
        return None
    key = formula_key if is_formula(text) else key_of(options)
    formulas = key is formula_key
    said = key(text)
    same = [letter for letter, option in options.items() if option and said and key(option) == said]
    if not same and len(text) <= 100 and any(is_formula(option) for option in options.values()):
        said = formula_key(_in_signs(text))
        same = [a for a, option in options.items() if is_formula(option) and formula_key(option) == said]
    if not same and formulas and not is_formula(text):
        words = words_key(text)
        same = [a for a, option in options.items() if option and not is_formula(option) and words_key(option) == words]
    if not same:
        quantity = _quantity(text)
        if quantity is not None:
            known = ((letter, _quantity(option)) for letter, option in options.items())
            same = [letter for letter, other in known if other and same_quantity(other, quantity)]
    return same[0] if len(same) == 1 else None


@dataclass(frozen=True, slots=True)
class Mention:
    """An option's text inside a sentence, at words start..end of it."""

    letter: str
    start: int
    end: int


def mentions(sentence: str, options: Mapping[str, str]) -> tuple[str, list[Mention]]:
    """(the sentence's words, the options whose words or number stand in it). Of options whose words overlap the
    longest counts: "set A" also stands in "neither set A nor set B"."""
    for option in options.values():
        if option.endswith(" A") and len(option) < 40:
            # "set a is larger": its letter, and no article
            sentence = re.sub(rf"(?i:\b{re.escape(option)}\b)(?={_VERB_OR_END})", option, sentence)
    words = f" {words_key(sentence)} "
    rest = words
    found: list[Mention] = []
    for letter, option in sorted(options.items(), key=lambda pair: (-len(pair[1]), pair[0])):
        if not option or is_formula(option) or words_key(option) in _VERDICTS:
            continue
        key = f" {words_key(option)} "
        position = rest.find(key) if len(key) >= 3 else -1
        while position >= 0:
            found.append(Mention(letter, position, position + len(key)))
            rest = rest[:position] + " " + "\0" * (len(key) - 2) + " " + rest[position + len(key) :]
            position = rest.find(key)
    if not found:
        found = _mentioned_values(sentence, options)
    return words, sorted(found, key=lambda mention: mention.start)


def _mentioned_values(sentence: str, options: Mapping[str, str]) -> list[Mention]:
    values = {letter: quantity for letter, option in options.items() if (quantity := _quantity(option)) is not None}
    if not values:
        return []
    found = []
    for text, end in find_quantities(sentence):
        said = _quantity(text)
        same = [letter for letter, value in values.items() if said is not None and same_quantity(value, said)]
        if len(same) == 1:
            found.append(Mention(same[0], end - len(text), end))
    return found


def ordinal_option(text: str, options: Mapping[str, str]) -> str | None:
    """The option that "the second option" or "the last choice" names."""
    match = re.search(rf"\b({'|'.join(_ORDINALS)}|last)\s+(?:option|choice|answer|alternative)\b", text, re.IGNORECASE)
    if match is None or not options:
        return None
    name = match.group(1).lower()
    place = len(options) - 1 if name == "last" else _ORDINALS.index(name)
    return list(options)[place] if place < len(options) else None
