"""Option letters in a text: which letters stand there as names of options, and which are words, names or units."""

from __future__ import annotations

import re
from functools import lru_cache

from rap_plugin.grading.reading.normalised import unwrap_text_commands
from rap_plugin.grading.reading.question_options import LETTERS

MAX_ALONE = 200
"""Characters of a text that can be letters and nothing else, with what is written around them."""

_WRAPPING = re.compile(r"\\(?:boxed|fbox)\b|\\[()\[\]]|\\(?:left|right)\b|[$*_`{}\"“”]")
_LABEL = re.compile(
    r"^(?:(?:the|my|your)\s+)?(?:(?:final|correct|right|best)\s+)*(?:options?|choices?|answers?|letters?|选项|答案)(?![A-Za-z])"
    r"(?:\s+(?:option|choice|letter|is)\b)*[\s:：]{0,3}(?:(?:is|are)\s+)?",
    re.IGNORECASE,
)
_ONE = re.compile(r"[(\[（【]?\s?([A-Ja-j])\s?[)\]）】]?\s?[.:,)。]?")
# The pronoun I is no letter of a list.
_LISTED = r"(?:[(\[]\s?[A-J]\s?[)\]]|[A-HJ])(?![A-Za-z0-9'’])"
_SEVERAL = re.compile(rf"{_LISTED}(?:\s?(?:,\s?and\b|[,，、;]|&|\+|和|\s?\band\b)\s?{_LISTED}){{1,9}}\.?")
_SMALL = re.compile(r"[a-hj](?:\s?[,，、;]\s?[a-hj]){1,9}\.?")
_GROUPED = re.compile(r"^[(\[]([A-J][^()\[\]]{1,40})[)\]]\.?$")
_LISTS = re.compile(r"^(?:the\s+)?(?:options|choices|letters)\s+are\b", re.IGNORECASE)
_RUN = re.compile(r"[A-J]{2,10}")
_WIDE = str.maketrans(
    {chr(0xFF21 + n): chr(0x41 + n) for n in range(26)} | {chr(0xFF41 + n): chr(0x61 + n) for n in range(26)}
)

_LETTER_CLASS = "(?-i:[A-J])"
_EDGE = rf"(?![A-Za-z0-9'&/°²³^_]|\s?[&/=<>+*^](?!\s*{_LETTER_CLASS}\b\s*(?:[.,;]|$))|-\w|\.\d)"
ONE = (
    rf"(?:[(\[]\s?{_LETTER_CLASS}\s?[)\]]"
    rf"|(?<![A-Za-z0-9'&/\\.^_(\[∠△⊙⌒-])(?<![&/=<>+*^]\s){_LETTER_CLASS}{_EDGE})"
)
"""An option's letter in a plain text: "(B)", "[B]", "B" as a word; not the B of "R&D", "N/A", "B-spline", "AB"."""

_NAMES = r"(?:options?|choices?|answers?|letters?|alternatives?|选项)"
GROUP = (
    rf"(?:(?:both|either|neither|the|{_NAMES})[\s:]+|选项\s?){{0,3}}"
    rf"(?:[(\[]\s?{_LETTER_CLASS}(?:\s?(?:,\s?(?:and\s)?|\sand\s|&)\s?{_LETTER_CLASS}){{1,9}}\s?[)\]]|{ONE}(?:\s*(?:,\s*(?:and|or|nor)?|\band|\bor|\bnor|&|\+|和|或|及)\s*(?:{_NAMES}\s+)?{ONE}){{0,9}})"
)
"""One letter, or several joined by commas, "and" or "or"."""

_LETTER = re.compile(rf"(?<![A-Za-z]){_LETTER_CLASS}(?![A-Za-z])")
_OR = re.compile(r"\bor\b|\beither\b|或", re.IGNORECASE)
_AFTER_ARTICLE = re.compile(
    r"\s+(?!(?:rather|instead|not|nor|but|while|based|after|if|when|to|at|over|among|being|because|since|as|is|was|are|and|or|for|which|due|given|with|would|must|should|seems?|has|by|from|in|so|but"
    r"|that|fits?|match\w*|best|works?|only|cannot|can|does|looks?|appears?|shows?|completes?|represents?|comes|will"
    r"|on the|follows?|corresponds?|the)\b)[a-z]"
)


def letters_only(text: str, letters: str = LETTERS) -> str | None:
    """The letters of a text that holds nothing but letters: "C", "(C)", "c", "Option C.", "B, D", "BD".
    Sorted, without separators; None for anything else."""
    return _letters_only(text, letters) if len(text) <= MAX_ALONE else None


@lru_cache(maxsize=1024)
def _letters_only(text: str, letters: str) -> str | None:
    # Asked several times about the same line of one response.
    bare = " ".join(_WRAPPING.sub(" ", unwrap_text_commands(text.translate(_WIDE).replace("\\ ", " "))).split())
    if _LISTS.match(bare):
        return None
    bare = _GROUPED.sub(r"\1", _LABEL.sub("", bare).strip())
    one = _ONE.fullmatch(bare)
    if one:
        found = one.group(1).upper()
    elif _SEVERAL.fullmatch(bare):
        found = "".join(sorted(set(re.findall(r"[A-J]", bare.replace("and", "")))))
    elif _SMALL.fullmatch(bare):
        found = "".join(sorted(set(re.findall(r"[A-J]", bare.upper()))))
    elif _RUN.fullmatch(bare) and list(bare) == sorted(set(bare)):
        found = bare
    else:
        return None
    return found if all(letter in letters for letter in found) else None


def is_article(plain: str, position: int) -> bool:
    """Whether the bare "A" at a position is an article ("A dog is ..") or the bare "I" a pronoun."""
    letter, bare = plain[position], not plain[:position].rstrip(" ").endswith(("(", "["))
    return bare and (letter == "I" or (letter == "A" and bool(_AFTER_ARTICLE.match(plain, position + 1))))


def letters_in(group: re.Match[str], letters: str) -> tuple[str, bool]:
    """(the letters of a `GROUP` that count, sorted; whether they are alternatives joined by "or")."""
    plain = group.string
    found = set()
    for match in _LETTER.finditer(plain, group.start(), group.end()):
        position = match.start()
        if plain[position] in letters and not is_article(plain, position):
            found.add(plain[position])
    return "".join(sorted(found)), bool(_OR.search(group.group()))
