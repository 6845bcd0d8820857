"""The mathematical answer of a response, and comparisons that need no computer algebra system."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from rap_plugin.grading.reading.answers import Answer, find_answer, first_sentence, strip_marks
from rap_plugin.grading.reading.base import Reading, never_raises, read, unread
from rap_plugin.grading.reading.formula_in_sentence import formula_in
from rap_plugin.grading.reading.normalised import normalize_text
from rap_plugin.grading.reading.notation import clean_math, squash
from rap_plugin.grading.reading.number_in_sentence import COMPUTED
from rap_plugin.grading.reading.quantities import Quantity, read_quantity, read_unit, same_quantity

MAX_ANSWER_CHARS = 2_000
"""A longer answer is compared as a string only."""

MAX_SENTENCES = 20
"""How many sentences of a line are looked through for a formula, the last ones."""

MAX_FORMS = 6
"""In how many forms one answer is compared."""

MAX_NESTING = 40
"""Brackets within brackets; a deeper answer is not read."""

_MATH_SPAN = re.compile(r"(?<!\\)\$([^$]{1,2000})(?<!\\)\$|\\\((.{1,2000}?)\\\)", re.DOTALL)
_WORD = re.compile(r"(?<![\\A-Za-z{])[A-Za-z]{3,}")
_FUNCTION_WORDS = (
    "sqrt sin cos tan cot sec csc arcsin arccos arctan log exp max min gcd lcm inf infinity and mod det "
    "theta alpha beta gamma lambda pmatrix bmatrix vmatrix matrix cases array begin end frac"
)
_MATH_WORDS = frozenset(_FUNCTION_WORDS.split())
_REASON = re.compile(r"\s*(?:,\s+|\s\(|\bbecause\b|\bsince\b|\bas\b)")
_NEXT_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
_AGAIN = re.compile(
    r"\b(?:i\.\s?e\.?|that is|or|which is|in other words|equivalently|namely)\s|\(|≈|\\approx", re.IGNORECASE
)
_SEVERAL_UNITS = re.compile(r"\d\s?(?:[A-Za-z]{1,11}|['′°])\.?,?\s?(?:and\s)?\d")
_DOUBT = re.compile(r"\b(?:could|might|may) be\b", re.IGNORECASE)
# "x = 5 or x = -5, but since lengths are positive, x = 5"
_INSTEAD = re.compile(r",\s+but\s", re.IGNORECASE)
_SHORT_SENTENCE = re.compile(r"(?:so |thus )?(?:it is|it's|we get|is)\s(?=.{0,80}[\d√π\\])", re.IGNORECASE)
_PLACE = re.compile(r"\s*,?\s*\b(?:at|when|where|for|if)\s*", re.IGNORECASE)
_ASSIGNED = re.compile(r"\s*[A-Za-z]\s?=")
_HEDGE = re.compile(r"\bor\b|\beither\b", re.IGNORECASE)
_NAME = re.compile(
    r"(?:[A-Za-z\\][A-Za-z\\ '°]{0,60}|\\angle ?[A-Za-z0-9]{1,5}|[A-Za-z]\w?_?\{?\w{0,6}\}?)"
    r"(?:\([A-Za-z](?:, ?[A-Za-z])?\))?'{0,2}"
)
_TRAILING_UNIT = re.compile(r"(?<=[\s}\d)])((?:(?:square|cubic|sq)\s)?[A-Za-z]{2,12}(?:\s?\^\s?\{?[23]\}?)?)$")
_NUMBER_FORM = re.compile(r"(?:[^A-Za-z\\=<>|;\u4e00-\u9fff]|\\(?:sqrt|frac|pi|times|cdot|pm)(?![A-Za-z]))*")
"""What a number in closed form is written with; it holds no letter."""
_COUNTED = re.compile(r"(?<=[\w)}])\s(?:[a-z]{2,12}\s)?[a-z]{4,20}$")
_SUBSCRIPT = re.compile(r"(?<=[A-Za-z)])_\s?\{?\s?(\w{1,3})\s?\}?")
_ARROW = re.compile(r"\\(?:long)?rightarrow(?![A-Za-z])|\\to(?![A-Za-z])|[⟶→]|->")
_UNIT_WORDS = re.compile(
    r"\s(?:(?:square|cubic|sq\.?)\s)?(?:units?|(?:centi|milli|kilo)?met(?:er|re)s?|inch(?:es)?|feet|yards?|miles?|degrees?|radians?|(?:milli)?lit(?:er|re)s?)(?:\s(?:squared|cubed))?\W*$",
    re.IGNORECASE,
)
_CLOSING_BRACKET = re.compile(
    r"(?:\b(?:is|are|at|be|equals|by)\b|[:=])\s+(?:[A-Z]\s?)?([(\[]\s?[^()\[\]]{1,80},[^()\[\]]{1,80}[)\]]|\\?\{[^{}]{1,80},[^{}]{1,80}\})[\s.]*$"
)
_POINT = re.compile(r"[A-Z]\s?\([^()]{1,80},[^()]{1,80}\)")
_POINTS = re.compile(r"(?:[A-Z]\s?\([^()]{1,80},[^()]{1,80}\)(?:\s?[,;]\s?|\sand\s|\sor\s)?){2,8}")
_POINT_NAME = re.compile(r"(?<![A-Za-z\\])[A-Z]\s?(?=\()")
_CONNECTIVE = re.compile(r"\s(?:or|and)\s")
_EQUALS = re.compile(r"(?<![<>!:=\\])=(?!=)|\\approx(?![A-Za-z])|\\equiv(?![A-Za-z])")
_RELATION = re.compile(r"[<>]|\\(?:le|ge|lt|gt|leq|geq|ne|neq|in|subset)(?![A-Za-z])|!=")
_FIGURE_NAME = re.compile(r"(?:\\(?:angle|triangle|overline|odot|widehat|overset|square) ?\{?)?[A-Z]{2,6}'?\}?")
_FIGURE_NOUNS = "[Tt]he|angle|triangle|segment|side|line|chord|arc|radius|diameter|quadrilateral"
_STATED_FIGURE = re.compile(
    rf"\b(?:is|are|equals)\s+(?:the\s+)?((?:(?:{_FIGURE_NOUNS})\s+)?(?:\\(?:angle|triangle)\s?|[∠△]\s?)?[A-Z]{{2,6}})\W*$"
)
_DIRECTED = re.compile(r"arrow|\bray\b|\bvec", re.IGNORECASE)
_WORDS_ONLY = re.compile(r"[^\W\d_][^\d_=+*/^\\<>{}$|]*")
_BRACKETS = {"(": ")", "[": "]", "{": "}"}


def nesting(text: str) -> int:
    """Depth of the deepest bracket; parsers take exponential time or overflow on deep ones."""
    depth = deepest = 0
    for char in text:
        if char in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in ")]}":
            depth -= 1
    return deepest


def is_words(gold: str) -> bool:
    """Whether a gold answer is words (or the name of a figure, "ABC") and not mathematics."""
    text = clean_math(gold)
    if _FIGURE_NAME.fullmatch(text):
        return True
    words = re.findall(r"[^\W\d_]+", text)
    return (
        bool(_WORDS_ONLY.fullmatch(text))
        and any(len(word) >= 3 for word in words)
        and not any(word.lower() in _MATH_WORDS or word.lower() == "pi" for word in words)
    )


def answer_as_math(answer: Answer) -> str:
    """The mathematics in an answer: the text itself when it is nothing else, else the formula that its sentence gives.
    "" where it gives none, or one value "or" another."""
    text = answer.text.strip()
    if answer.how == "boxed" or read_quantity(text) is not None:
        return text
    prose = is_sentence(text) or bool(_SHORT_SENTENCE.match(text) or COMPUTED.match(text))
    if _AGAIN.search(text) or (prose and _SEVERAL_UNITS.search(text.replace("$", ""))):
        forms = formula_in(last_sentence(text))
        if forms and r"\approx" in forms:
            return forms  # "3/4, i.e. 75%"
    if not prose:
        return text
    if _MATH_SPAN.search(text):
        return _last_formula(text)
    bare = _UNIT_WORDS.sub("", text)
    if bare != text and not is_sentence(bare):
        return text  # "288π cubic centimetres"
    if (closing := _CLOSING_BRACKET.search(text)) and not _DOUBT.search(text):
        return closing.group(1)  # "The vertex is (2, -1)."
    lead = _REASON.split(text, maxsplit=1)[0]
    if answer.how == "phrase" and lead and not is_sentence(lead):
        instead = _INSTEAD.search(text) if _HEDGE.search(lead) else None
        return formula_in(text[instead.end() :]) or lead if instead else lead
    return formula_of_text(text) or ""


def formula_of_text(text: str) -> str | None:
    """`formula_in` of the last sentence that holds mathematics."""
    for part in reversed(_NEXT_SENTENCE.split(text)[-MAX_SENTENCES:]):
        found = formula_in(part)
        if found is not None or re.search(r"\d", part):
            return found
    return None


def last_sentence(text: str) -> str:
    """The last sentence of a line."""
    return _NEXT_SENTENCE.split(text)[-1]


def _last_formula(text: str) -> str:
    """The last formula between dollar signs, with the unit that follows it; "" where formulas are alternatives."""
    formulas = list(_MATH_SPAN.finditer(text))
    if len(formulas) > 1 and _is_place(text, *formulas[-2:]):
        formulas.pop()
    contents = [match.group(1) or match.group(2) for match in formulas]
    if _HEDGE.search(_MATH_SPAN.sub(" ", text)) and len({squash(content) for content in contents}) > 1:
        return ""
    with_unit = strip_marks(contents[-1] + " " + first_sentence(text[formulas[-1].end() :]))
    return with_unit if read_quantity(with_unit) else contents[-1]


def _is_place(text: str, value: re.Match[str], formula: re.Match[str]) -> bool:
    """Whether a formula says where the value right before it is taken: "$-2$ at $x = 1$", but not "$x^2$ has its minimum at $x = 0$"."""
    between = text[value.end() : formula.start()]
    return bool(_PLACE.fullmatch(between)) and bool(_ASSIGNED.match(formula.group(1) or formula.group(2)))


@never_raises
def read_formula(response: str) -> Reading[str]:
    """The mathematics that a response gives as its answer, as it is written."""
    answer = find_answer(response)
    said = answer_as_math(answer)
    return read(said, (answer.start, answer.end), answer.how) if said else unread("no answer found")


def is_sentence(text: str) -> bool:
    """Whether a text holds words of a language, and not formulas alone."""
    words = [word.lower() for word in _WORD.findall(clean_math(text))]
    return any(word not in _MATH_WORDS for word in words)


def split_name(text: str) -> tuple[str | None, str]:
    """("x", "5") for "x = 5", ("BC", "2+3 = 5" cut to "5"); (None, text) when the left side is not a name."""
    parts = _EQUALS.split(text)
    if len(parts) < 2 or _CONNECTIVE.search(text) or _RELATION.search(text) or re.search(r"[,;]|\\begin", parts[0]):
        return None, text
    first, last = parts[0].strip(), parts[-1].strip()
    if any("," in part for part in parts[1:-1]) or ("," in last and len(parts) > 2) or not last:
        return None, text
    if _NAME.fullmatch(first) or (first == "" and len(parts) == 2):
        return first, last
    return None, text


def _equation_value(text: str) -> str:
    """The last part of a computation "2+3 = 5" (no letters to the left), else the text."""
    parts = _EQUALS.split(text)
    if len(parts) > 1 and "," not in text and not re.search(r"(?<!\\)\b[A-Za-z]\b", " ".join(parts[:-1])):
        return parts[-1].strip()
    return text


def _split_number(text: str) -> tuple[str, str]:
    """("2\\sqrt{3}", "m") of "2\\sqrt{3}m": a number in closed form, and what stands behind it."""
    match = _NUMBER_FORM.match(text)
    end = match.end() if match else 0
    return text[:end], text[end:]


def _without_unit(text: str) -> str:
    """Without the unit behind a formula ("12\\pi cm^2", "5\\sqrt{2} m/s") and the label before a point ("A(3, -4)"). One-letter
    units and words that are no unit go behind a number alone, and not next to it: elsewhere they may be variables."""
    if _POINT.fullmatch(text):
        return text[1:].lstrip()
    if read_quantity(text) is not None:
        return text
    number, rest = _split_number(text)
    # Chinese puts no space before a unit.
    apart = number.endswith(" ") or not rest[:1].isascii()
    if rest and apart and read_unit(rest) is not None:
        return number.rstrip()
    unit = _TRAILING_UNIT.search(text)
    if unit and read_unit(unit.group(1)):
        return text[: unit.start()].rstrip()
    # "2n+1 matchsticks": so many letters are no product.
    counted = _COUNTED.search(text)
    return text[: counted.start()] if counted and not _MATH_WORDS & {*counted.group().split()} else text


def split_approximation(text: str) -> list[str]:
    """["1/3", "0.333"] of "1/3 \\approx 0.333"; [] where the left side is a name, as in "x \\approx 3.14"."""
    parts = [part.strip() for part in re.split(r"\\approx(?![A-Za-z])", clean_math(text))]
    return parts if 2 <= len(parts) <= MAX_FORMS and all(parts) and not _NAME.fullmatch(parts[0]) else []


def align(gold: str, said: str) -> tuple[str, str] | None:
    """Both sides without the name that one of them gives ("x = 5" and "5"); None when two one-letter names
    differ, which is another answer."""
    gold, said = _without_unit(clean_math(gold)), _without_unit(clean_math(said))
    if bool(_POINTS.fullmatch(gold)) != bool(_POINTS.fullmatch(said)):
        gold, said = (_POINT_NAME.sub("", side) if _POINTS.fullmatch(side) else side for side in (gold, said))
    number, rest = _split_number(said)
    if number.strip() and rest and not _split_number(gold)[1] and read_quantity(said) is None and read_unit(rest):
        said = number  # behind a number where the gold is one, "2\\sqrt{3}m" has a unit
    (gold_name, gold_value), (said_name, said_value) = split_name(gold), split_name(said)
    if gold_name is not None and said_name is not None:
        names = gold_name.replace(" ", ""), said_name.replace(" ", "")
        if names[0] != names[1] and all(len(name) == 1 for name in names):
            return None
        return gold_value, said_value
    if gold_name is not None and "=" not in said:
        return gold_value, said
    if said_name is not None and "=" not in gold:
        return gold, said_value
    return (gold, said) if "=" in gold else (gold, _equation_value(said))


def split_list(text: str) -> tuple[str, list[str]] | None:
    """(brackets, items) of "(1, 2)", "[0, 1)", "{1, 2}", "1, 2"; brackets are "" for a bare list.
    None when the text is not a flat list of two or more."""
    text = clean_math(text).replace(r"\{", "{").replace(r"\}", "}")
    text = _CONNECTIVE.sub(", ", text)
    brackets = ""
    if text[:1] in _BRACKETS and text[-1:] in (")", "]", "}"):
        brackets, text = text[0] + text[-1], text[1:-1]
    items = [item.strip() for item in re.split(r",(?!\d{3}(?!\d))\s*|,\s+|;\s*", text)]
    return (brackets, items) if len(items) > 1 and all(items) else None


def quick_compare(gold: str, said: str, rtol: float = 0.0) -> bool | None:
    """Whether an answer equals the gold where the reading is certain: the same string, two quantities, two
    flat lists of quantities. None: ask the computer algebra system."""
    if squash(gold) == squash(said):
        return True
    either = split_approximation(said)
    if either:
        # "1/3 ≈ 0.333" answers with both.
        verdicts = [quick_compare(gold, part, rtol) for part in either]
        return True if True in verdicts else None if None in verdicts else False
    aligned = align(gold, said)
    if aligned is None:
        return False
    gold, said = aligned
    if squash(gold) == squash(said):
        return True
    one, other = read_quantity(gold), read_quantity(said)
    if one is not None and other is not None:
        return same_quantity(one, other, rtol)
    return _quick_lists(gold, said, rtol)


def _quick_lists(gold: str, said: str, rtol: float) -> bool | None:
    left, right = split_list(gold), split_list(said)
    if left is None or right is None:
        return None
    named, also_named = [split_name(item) for item in left[1]], [split_name(item) for item in right[1]]
    by_name, also_by_name = dict(named), dict(also_named)
    if None not in by_name and by_name.keys() == also_by_name.keys():
        # "x = 5, y = 3": a value belongs to its name.
        verdicts = [quick_compare(by_name[name], also_by_name[name], rtol) for name in by_name]
        return False if False in verdicts else None if None in verdicts else True
    ours = [read_quantity(value) for _, value in named]
    theirs = [read_quantity(value) for _, value in also_named]
    if None in ours or None in theirs:
        return None
    kinds = {left[0], right[0]}
    unordered = kinds <= {"", "{}"}
    if (None in by_name) != (None in also_by_name) and (_several_unknowns(by_name) or _several_unknowns(also_by_name)):
        names = [name for name, _ in (named if None not in by_name else also_named)]
        values, others = (ours, theirs) if None not in by_name else (theirs, ours)
        # "a = 3, b = -4" is 3, -4 and not -4, 3; a point lists its coordinates by their names.
        order = sorted(range(len(names)), key=lambda at: str(names[at])) if "()" in kinds else range(len(names))
        return _same_in_order([values[at] for at in order], others, rtol)
    if not unordered and len(kinds - {""}) > 1:
        # [0,1) against (0,1), {1,2} against (1,2): other objects, unless the system sees them otherwise.
        return None
    if unordered:
        return _same_quantities(ours, theirs, rtol)
    return _same_in_order(ours, theirs, rtol)


def _same_in_order(ours: Sequence[Quantity | None], theirs: Sequence[Quantity | None], rtol: float) -> bool:
    pairs = zip(ours, theirs, strict=False)
    same = all(a is not None and b is not None and same_quantity(a, b, rtol) for a, b in pairs)
    return len(ours) == len(theirs) and same


def _several_unknowns(values: Mapping[str | None, str]) -> bool:
    """Whether all have names, and not those of one unknown's solutions, x1 and x2."""
    return None not in values and len({re.sub(r"[\d_{}\s]", "", str(name)) for name in values}) > 1


def _same_quantities(ours: list[Quantity | None], theirs: list[Quantity | None], rtol: float) -> bool:
    """Whether two lists hold the same quantities, in any order."""
    left = [other for other in theirs if other is not None]
    for one in ours:
        same = next((other for other in left if one is not None and same_quantity(one, other, rtol)), None)
        if same is None:
            return False
        left.remove(same)
    return not left


def same_subscripts(gold: str, said: str) -> bool:
    """Whether two texts differ in how they write subscripts and arrows alone: "H_2O" and "H2O"."""
    return "_" in gold + said and _lowered(gold) == _lowered(said)


def _lowered(text: str) -> str:
    return _ARROW.sub("→", _SUBSCRIPT.sub(r"\1", squash(text)))


def is_figure(gold: str) -> bool:
    """Whether a gold is the name of a figure: "ABC", "∠ABC"."""
    return bool(_FIGURE_NAME.fullmatch(clean_math(gold)))


def same_words(gold: str, answer: Answer) -> bool:
    """Comparison for golds that are words: names of figures keep their letters' order and case, but for a segment and an angle, which
    have two ends and no direction, and for a triangle."""
    if is_figure(gold):

        def bare(text: str) -> str:
            return re.sub(rf"\\[a-z]+|[{{}}\s∠△.]|\b(?:{_FIGURE_NOUNS})\b", "", clean_math(text))

        stated = _STATED_FIGURE.search(clean_math(answer.text))
        ours, theirs = bare(gold), bare(stated.group(1) if stated else answer.text)
        if ours == theirs:
            return True
        if r"\triangle" in clean_math(gold):
            return sorted(ours) == sorted(theirs)
        turned = len(ours) == 2 or r"\angle" in clean_math(gold)
        return turned and not _DIRECTED.search(gold) and ours == theirs[::-1]
    return normalize_text(gold) == normalize_text(answer.text)
