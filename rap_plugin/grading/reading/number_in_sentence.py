"""The one number that a sentence gives for a question, among thresholds, labels, years and steps."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import islice, pairwise

from rap_plugin.grading.reading.number_tokens import NumberToken, number_tokens, with_compounds, word_tokens
from rap_plugin.grading.reading.precision import asked_unit
from rap_plugin.grading.reading.quantities import Quantity, read_quantity

NEAR = 200
"""Characters before and after a number that say what it is."""

MAX_NUMBERS = 200
"""A sentence with more of them states none: every number is looked at with its neighbours."""

_EQUALS = re.compile(r"(?:=|≈|\bequals\b|\bis equal to\b|\\approx|\\simeq|≃)\s*")
_REASON_GIVEN = re.compile(r"\d[^.]{0,12},?\s(?:since|because)\b", re.IGNORECASE)
MAX_WORD = 300
"""Characters without a space in which no prose is looked for."""
_LABEL = re.compile(
    r"\b(?P<noun>step|figure|fig\.?|option|choice|question|problem|equation|eq\.?|table|row|column|page|part|method|case|chapter|group|week|day|class"
    r"|grade|section|station|angle|point|line|level|stage|round|quarter|phase|series|plot|item|number|no\.|model|version|note|rule|type|team|player|bar|∠)\s?#?\(?$",
    re.IGNORECASE,
)
_THRESHOLD = re.compile(
    r"\b(?:below|above|less than|more than|greater than|fewer than|lower than|higher than|smaller than|larger than|bigger than|older than"
    r"|younger than|longer than|shorter than|at least|at most|over|under|exceed(?:s|ing|ed)?|than|beyond|up to|within|out of|of the|per|every|each"
    r"|approach(?:es|ing)?|after|before|since|until|when|where|if|for)\s*(?:or equal to\s*)?(?:x|n|t|y|the value)?\s*=?\s*\$?$"
    r"|\bat\s+\$?[a-z]\s*=\s*\$?$",
    re.IGNORECASE,
)
_YEAR_BEFORE = re.compile(
    r"\b(?:in|for|of|year|during|from|to|by|since|until|and|between)\s*(?:the year\s*)?$", re.IGNORECASE
)
_SAYS = re.compile(
    r"(?:\b(?:is|are|was|were|be|equals?|equal to|totals?|costs?|spends?|spent|pay|paid|measures?|reads?|shows?|becomes?|remains?|gives?|gets?|yields?"
    r"|has|have|had|there(?:'s| is| are)|of|with|by|to|at|makes?|contains?|leaves?|receives?|see|count|answer)\b|[:→])"
    r"\s*(?:(?:about|approximately|around|roughly|exactly|only|just|nearly|almost|still|equal to|therefore|then|now|a total of|the|a|an|at|approx\.?|indeed|also|~)\s*)*[\W_]{0,6}$",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r"\b(?:between|either|anywhere from|ranging from|ranges from)\s*\W*$", re.IGNORECASE)
_UNSURE = re.compile(
    r"\b(?:cannot|can't|can not|could not|couldn't|unable|not possible|impossible|insufficient|not enough|no way|not sure|unsure|unclear|sorry"
    r"|as an ai|don't know|do not know|need more|please provide|without (?:the|more|seeing|any)|does not exist|undefined|infinite)\b|\?\W*$",
    re.IGNORECASE,
)
_NONE = re.compile(
    r"^\W*(?:none|zero|nothing|nobody|no one|no-one)\b(?!\s+of\s+(?:these|the above|the options|those))|\b(?:there (?:is|are|was|were)|there's|i (?:can )?(?:see|count|find)|we (?:see|have)|shows?|contains?|has|have|has got)\s+"
    r"(?:no|not any|none|zero|nobody)\b|\b(?:there (?:are|is)|(?:do|does|did|can))(?:n't| not) (?:\w+ )?any\b|^\W*no \w+(?: \w+){0,4} (?:are|is|have|has|were|remain|can)\b|没有",
    re.IGNORECASE,
)
_COUNTS = re.compile(r"\bhow many\b|\bnumber of\b|\bcount\b|多少|几", re.IGNORECASE)
_COUNTED_THING = re.compile(r"\bhow many (?:of the )?([a-z]{3,20})\b", re.IGNORECASE)
_ASKS_PERCENT = re.compile(r"\b(?:what|how many|which) per ?cent|\bpercentage\b|\bin (?:%|per ?cent)", re.IGNORECASE)
_ASKS_VARIABLE = re.compile(r"\b(?:value of|find|solve for|what is)\s+\$?([a-zA-Z])\$?\s*(?:[?.,]|$)", re.IGNORECASE)
_GIVEN_APART = re.compile(r",\s|;\s|\band\b")
_RESULT = re.compile(r"\b(?:total|difference|sum|answer|result|gap)\s*[:=]\s*\W*$", re.IGNORECASE)
_ASKS_YEAR = re.compile(r"\b(?:which|what) (?:\w+ )?year\b|^\W*when\b", re.IGNORECASE)
_RANGE = re.compile(r"\bfrom\W*$", re.IGNORECASE)
_RATIO = re.compile(r"(?<![\d.:])(\d{1,9}(?:\.\d{1,9})?)\s?:\s?(\d{1,9}(?:\.\d{1,9})?)(?![\d:])")
_NOT_BUT = re.compile(r"^\W*(?:(?:it is|there are|there is) )?not\s+[\w.,]{1,20}\s*,?\s*but\s+", re.IGNORECASE)
_BOLD = re.compile(r"\*\*([^*\n]{1,120})\*\*|__([^_\n]{1,120})__")
_CLAUSE = re.compile(
    r"[,;]\s+(?:and|while|whereas|but|so|which|with|since|because|as|where)\b|;|\bwhile\b|\bwhereas\b|\bbut\b|\bcompared (?:to|with)\b|\bbecause\b",
    re.IGNORECASE,
)
_AND = re.compile(r",\s|\band\b", re.IGNORECASE)
# What a sentence comes to, or puts in the place of what it said: "30 - 12, so 18", "3, no wait, 4".
_CONCLUDING = re.compile(
    r"(?:,|;|\band\b|\.\.\.?|-)\s*(?:\b(?:so|hence|thus|therefore|consequently|which (?:gives|makes|leaves)|giving|making|for a total of|in total|totall?ing|resulting in|no,? wait|wait,? no|wait|actually|sorry,? i mean|i mean|no),?)\s(?!(?:that|far|many|much)\b)",
    re.IGNORECASE,
)
# A computation in words, and then what it comes to: "3/4 of 60 is 45", "one half of 24, i.e. 12".
_OPERATION = (
    r"(?:(?:\d\s?/\s?\d{1,3}|%|\bper ?cent|\bhalf|\bthirds?|\bquarters?|\b(?:four|fif|six|seven|eigh|nin|ten|twelf)ths?)\s(?:\w{1,12}\s)?of"
    r"|\b(?:sum|product|difference|square|cube|square root|quotient|average|mean) (?:of|between)"
    r"|\b(?:twice|thrice|double|triple|(?:\w{3,6}|\d{1,3}) times)|\d (?:\w{1,12} )?(?:more|less|fewer) than)"
)
COMPUTED = re.compile(
    _OPERATION
    + r"\s[^.;?]{0,40}?\d[\w%$,.)]{0,12}?(?:\s\w{1,12}){0,3}(?:\s?(?:,\s|\(|[-–]\s)\(?(?:i\.\s?e\.|that is|that's|namely|or|so|which (?:is|equals|comes to))|\sis|\sequals|\scomes to|\s?=),?\s"
    r"(?=(?:(?:about|exactly|just|roughly|approximately)\s)?[-$€£\d\\])",
    re.IGNORECASE,
)
"""Everything up to what a computation in words comes to."""
_NO_ONE = re.compile(r"^\W*(?:no one|no-one|nobody)\b|\bthere (?:is|are) (?:no one|nobody)\b", re.IGNORECASE)
_FROM_TO = re.compile(r"\bfrom\b[^.,;]{0,30}\bto\b[^.,;A-Za-z]{0,16}", re.IGNORECASE)
_SINGLE = re.compile(r"\b(?:a|one|just|only)\s+(?:a\s+)?single\b|\b(?:only|just)\s+(?:a|an)\b", re.IGNORECASE)
_BOUND = re.compile(
    r"(?:\b(?:(?:more|less|fewer|greater|higher|lower) than|at (?:least|most)|no (?:more|fewer|less) than|up to)"
    r"|不到|不足|超过|少于|多于|大于|小于|[<>≤≥]|\\(?:leq?|geq?|lt|gt))\s*\$?$",
    re.IGNORECASE,
)
_RULED_OUT = re.compile(r"(?:\bnot|n't|\bnever)\s+(?:(?:equal to|exactly)\s+)?\\?\$?$", re.IGNORECASE)
_COMMON_WORDS = "the and what which who how many much are was were this that these those image picture does with from for figure graph chart there have has value"
_COMMON = frozenset(_COMMON_WORDS.split())


class AskedNumber:
    """What a question says about the number that it asks for."""

    def __init__(self, question: str) -> None:
        self.text = question[:4_000]
        self.counts = bool(_COUNTS.search(self.text))
        self.ratio = bool(re.search(r"\bratio\b", self.text, re.IGNORECASE))
        counted = _COUNTED_THING.search(self.text)
        self.thing = counted.group(1).lower().rstrip("s") if counted else ""
        self.percent = bool(_ASKS_PERCENT.search(self.text))
        self.year = bool(_ASKS_YEAR.search(self.text))
        tokens = [*number_tokens(self.text), *word_tokens(self.text)]
        variable = _ASKS_VARIABLE.search(self.text)
        name = re.escape(variable.group(1)) if variable else ""
        self._variable = re.compile(rf"(?<![A-Za-z\\]){name}\s*(?:=|≈|\bis\b|\bequals\b)") if variable else None
        self._counts = Counter(token.quantity.value for token in tokens)
        self.values = set(self._counts)
        self.words = content_words(self.text)

    def clause_of_variable(self, text: str) -> tuple[int, int] | None:
        """Of a sentence that gives several variables, the part that gives the one asked for: "x = 15, y = 5"."""
        if self._variable is None or len(text) > 400:
            return None
        apart = [match.span() for match in _GIVEN_APART.finditer(text)]
        starts, ends = [0, *(end for _, end in apart)], [*(start for start, _ in apart), len(text)]
        named = [pair for pair in zip(starts, ends, strict=True) if self._variable.search(text[slice(*pair)])]
        return named[-1] if named and apart else None

    def times(self, value: Fraction) -> int:
        """How often the question names a number."""
        return self._counts[value]


def content_words(text: str) -> set[str]:
    return {word.rstrip("s") for word in re.findall(r"[a-z]{3,}", text.lower()) if word not in _COMMON}


def _before(text: str, token: NumberToken) -> str:
    return text[max(0, token.start - NEAR) : token.start]


def number_in(text: str, asked: AskedNumber, *, answer: bool = False) -> NumberToken | str | None:
    """The one number that a sentence gives; why it gives none where it gives several; None where it gives nothing.
    `answer`: the text follows "the answer is", so that its first number counts."""
    own = None if answer else asked.clause_of_variable(text)
    if own is not None:
        found = number_in(text[own[0] : own[1]], asked)
        if found is not None:
            return found if isinstance(found, str) else _moved(found, own[0])
    instead = _NOT_BUT.match(text)
    if instead:
        found = number_in(text[instead.end() :], asked, answer=True)
        return _moved(found, instead.end()) if isinstance(found, NumberToken) else found
    concluding = (None if answer else _CONCLUDING.search(text)) or COMPUTED.search(text)
    if concluding:
        found = number_in(text[concluding.end() :], asked)
        if found is not None:
            return found if isinstance(found, str) else _moved(found, concluding.end())
    if _UNSURE.search(text) or max(map(len, text.split()), default=0) > MAX_WORD:
        return None
    if asked.ratio and len({ratio.group() for ratio in _RATIO.finditer(text)}) == 1:
        return _ratio_in(text)
    written = list(islice(number_tokens(text), MAX_NUMBERS + 1))
    spelled = list(islice(word_tokens(text), MAX_NUMBERS + 1))
    if max(len(written), len(spelled)) > MAX_NUMBERS:
        return "several numbers"
    words = [token for token in spelled if _counts_something(text, token, answer)]
    tokens = sorted([*written, *words], key=lambda token: token.start)
    if len(written) > 1:
        joined = with_compounds(text, tokens, asked_unit(asked.text))
        if joined is None:
            return "several units"
        tokens = joined
    tokens = _candidates(text, [token for token in tokens if not _is_no_count(_before(text, token), asked)], asked)
    if _is_range(text):
        return "alternatives"
    if asked.counts and _NO_ONE.search(text) and not written:
        return NumberToken(Quantity(Fraction(0), True, text="none"), 0, len(text), words=True)
    if asked.counts and _NONE.search(text) and all(_is_given(text, token, asked) for token in tokens):
        return NumberToken(Quantity(Fraction(0), True, text="none"), 0, len(text), words=True)
    digits = [token for token in tokens if not token.words]
    tokens = digits or tokens
    if not tokens:
        return (
            NumberToken(Quantity(Fraction(1), True, text="one"), 0, len(text), words=True)
            if asked.counts and _SINGLE.search(text)
            else None
        )
    counted = _counted_up_to(text, tokens)
    if counted is not None:
        return counted
    if all(_BOUND.search(_before(text, token)) for token in tokens):
        return None
    for token in tokens:
        before, after = _before(text, token), text[token.end : token.end + NEAR]
        if _RANGE.search(before) and re.match(r"\s*(?:to|-|–)\s*\$?\d", after):
            return "alternatives"
        aside = before.endswith("(")
        if not aside and re.match(r"\s?[-–~]\s?\d", after) and "=" not in text and not re.search(r"[-+*/×÷]\s", after):
            return "alternatives"
        if re.match(r"\s?\+(?!\s?[\d(A-Za-z$€£¥\\√])", after):
            return None  # "5+" is a bound
        if re.match(r"\s*or\b(?! so\b)", after) and not _same_again(token, after):
            return "alternatives"
    if _BETWEEN.search(_before(text, tokens[0])):
        return "alternatives"
    return _choose(text, tokens, asked, answer=answer)


def _ratio_in(text: str) -> NumberToken | None:
    """The ratio "1:2" as the number 1/2."""
    match = next(_RATIO.finditer(text))
    parts = [read_quantity(part) for part in match.groups()]
    if parts[0] is None or parts[1] is None or parts[1].value == 0:
        return None
    return NumberToken(Quantity(parts[0].value / parts[1].value, False, text=match.group()), *match.span())


def _moved(token: NumberToken, by: int) -> NumberToken:
    return replace(token, start=token.start + by, end=token.end + by)


def _same_again(token: NumberToken, after: str) -> bool:
    """ "0.57, or 57%" says one number twice."""
    other = next(number_tokens(after), None)
    if other is None:
        return False
    values = (token.quantity.value, other.quantity.value)
    return values[0] == values[1] or values[0] * 100 == values[1] or values[0] == values[1] * 100


def _candidates(text: str, tokens: list[NumberToken], asked: AskedNumber) -> list[NumberToken]:
    """Numbers that can be the answer: without labels, list marks, thresholds and what the question itself says, as
    long as others are left."""
    kept = [t for t in tokens if not _is_label(text, t, asked)]
    ranges = [match.span() for match in _FROM_TO.finditer(text)]
    rules: tuple[Callable[[NumberToken], bool], ...] = (
        lambda t: not any(start <= t.start < end for start, end in ranges),
        lambda t: not asked.percent or t.quantity.percent,
        lambda t: not _THRESHOLD.search(_before(text, t)),
        lambda t: t.quantity.value not in asked.values,
        lambda t: asked.year or not (_is_year(t) and _YEAR_BEFORE.search(_before(text, t))),
        lambda t: not asked.year or _is_year(t),
        lambda t: not asked.counts or (t.quantity.value.denominator == 1 and not t.quantity.percent),
    )
    for rule in rules:
        left = [t for t in kept if rule(t)]
        kept = left or kept
    return kept


def _is_no_count(before: str, asked: AskedNumber) -> bool:
    """Whether what stands before a number rules it out, or makes it a place in an order where a number of things is asked for."""
    return bool(_RULED_OUT.search(before)) or (asked.counts and before.endswith("第"))


def _is_given(text: str, token: NumberToken, asked: AskedNumber) -> bool:
    return token.quantity.value in asked.values or bool(_THRESHOLD.search(_before(text, token)))


def _is_range(text: str) -> bool:
    """ "Between 3 and 5" as the whole of what is said."""
    return bool(
        re.match(r"^\W*(?:it is |it's |somewhere |about |the \w+ is )?(?:somewhere )?between\b", text, re.IGNORECASE)
    )


def _is_label(text: str, token: NumberToken, asked: AskedNumber) -> bool:
    before, after = _before(text, token), text[token.end : token.end + 2]
    if not before.strip(" *#(") and re.match(r"[.)]\s", after):
        return True  # "1. The bars .."
    if re.search(r"[A-Za-z]\($", before) and after.startswith(")"):
        return True  # f(4)
    label = _LABEL.search(before)
    if label is None:
        return False
    noun = label["noun"].lower().rstrip(".")
    return not re.search(
        rf"\b(?:which|what|in which|in what)\s+(?:\w+\s+)?{re.escape(noun)}|\b{re.escape(noun)}\b[^?]*\bnumber\b",
        asked.text,
        re.I,
    )


def _is_year(token: NumberToken) -> bool:
    value = token.quantity.value
    return token.quantity.exact and value.denominator == 1 and 1500 <= value <= 2100 and "," not in token.quantity.text


def _counts_something(text: str, token: NumberToken, answer: bool) -> bool:
    """Whether a number in words is one: "one" is often a pronoun."""
    if token.quantity.value != 1 or len(text.split()) <= 3 or (answer and token.start < 12):
        return True
    before, after = _before(text, token), text[token.end : token.end + 5]
    counted = re.search(r"(?:\b(?:is|are|only|just|exactly|see|count|total of|answer|equals)\b|:)\s*\W*$", before, re.I)
    return bool(counted) and not re.match(r"\s+of\b|\s+that\b", after)


def _counted_up_to(text: str, tokens: list[NumberToken]) -> NumberToken | None:
    """The last number of a count from one: "1, 2, 3, 4"."""
    values = [token.quantity.value for token in tokens]
    listed = all(re.fullmatch(r"\s*(?:,|and|,\s*and)\s*", text[a.end : b.start]) for a, b in pairwise(tokens))
    return tokens[-1] if len(values) > 2 and listed and values == list(range(1, len(values) + 1)) else None


def _choose(text: str, tokens: list[NumberToken], asked: AskedNumber, *, answer: bool) -> NumberToken | str:
    equals = [match for match in _EQUALS.finditer(text) if not _REASON_GIVEN.search(text[: match.start()])]
    if equals:
        after = [t for t in tokens if t.start >= equals[-1].end() and t.start - equals[-1].end() <= 12]
        if after:
            return after[0]
    if len({t.quantity.value for t in tokens}) == 1 or _RESULT.search(_before(text, tokens[-1])):
        return tokens[-1]
    bold = bold_number(text)
    if bold is not None:
        return bold
    counted = [t for t in tokens if asked.thing and asked.thing in _thing_after(text, t)]
    if len({t.quantity.value for t in counted}) == 1 and not answer:
        return counted[-1]  # "6 fruits: 4 apples and 2 oranges" where apples are asked for
    total = [t for t in tokens if len(tokens) > 2 and 2 * t.quantity.value == sum(o.quantity.value for o in tokens)]
    if asked.counts and len(total) == 1:
        return total[0]  # "five people: three men and two women"
    if not answer and all(t.quantity.value in asked.values for t in tokens):
        again = [t for t in tokens if _times(tokens, t) > asked.times(t.quantity.value)]
        if again and len({t.quantity.value for t in again}) == 1:
            return again[-1]  # "9 dots in 3 groups, each with 3 dots" says 3 once more than the question
        return "several numbers of the question"
    if answer and tokens[0].start <= 40:
        return tokens[0]
    beside = [len(content_words(" ".join(text[t.start :].split()[:3])) & asked.words) for t in tokens]
    named = [t for t, count in zip(tokens, beside, strict=True) if count and count == max(beside)]
    if named and len(named) < len(tokens) and len({t.quantity.value for t in named}) == 1 and not answer:
        return named[-1]
    clause = _clause_of_question(text, tokens, asked, _CLAUSE)
    if len({t.quantity.value for t in clause}) > 1:
        clause = _clause_of_question(text, clause, asked, _AND)
    said = [t for t in clause if _SAYS.search(_before(text, t))]
    direct = [
        t
        for t in said
        if re.search(
            r"\b(?:is|are|was|were|equals?|there(?:'s| is| are))\b[^A-Za-z]*(?:\w+\s){0,2}\W*$", _before(text, t), re.I
        )
    ]
    for group in (clause, said, direct):
        if len({t.quantity.value for t in group}) == 1:
            return group[-1]
    return "several numbers"


def _thing_after(text: str, token: NumberToken) -> set[str]:
    """The one or two words after a number, which say what is counted."""
    clause = re.split(r"[,;:()]", text[token.start : token.start + NEAR], maxsplit=1)[0]
    return content_words(" ".join(clause.split()[:3]))


def _times(tokens: list[NumberToken], token: NumberToken) -> int:
    return sum(other.quantity.value == token.quantity.value for other in tokens)


def _clause_of_question(
    text: str, tokens: list[NumberToken], asked: AskedNumber, boundary: re.Pattern[str]
) -> list[NumberToken]:
    """The numbers of the clause that takes up most of the question's words."""
    bounds = [0, *[m.start() for m in boundary.finditer(text)], len(text)]
    scored = []
    for begin, end in pairwise(bounds):
        inside = [t for t in tokens if begin <= t.start < end]
        if inside:
            scored.append((len(content_words(text[begin:end]) & asked.words), inside))
    best = max(score for score, _ in scored)
    top = [inside for score, inside in scored if score == best]
    return top[0] if len(top) == 1 and best > 0 else tokens


def bold_number(text: str) -> NumberToken | None:
    """The number of the one bold passage that holds exactly one."""
    found = []
    for match in _BOLD.finditer(text):
        group = 1 if match.group(1) is not None else 2
        inside = list(number_tokens(match.group(group)))
        if len(inside) == 1:
            token = inside[0]
            offset = match.start(group)
            found.append(NumberToken(token.quantity, offset + token.start, offset + token.end))
    return found[-1] if found and len({t.quantity.value for t in found}) == 1 else None
