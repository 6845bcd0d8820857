"""Which option did a response choose? Read, never guessed."""

from __future__ import annotations

import re
from collections.abc import Mapping

from rap_plugin.grading.reading.answers import (
    find_answer,
    find_phrases,
    first_sentence,
    split_thought,
    strip_marks,
    tail,
)
from rap_plugin.grading.reading.base import Reading, never_raises, read, unread
from rap_plugin.grading.reading.normalised import normalize_text, unwrap_text_commands
from rap_plugin.grading.reading.quantities import read_quantity, same_quantity
from rap_plugin.grading.reading.question_options import LETTERS

_WRAPPING = re.compile(r"\\(?:boxed|fbox)\b|\\[()\[\]]|\\(?:left|right)\b|[$*_`{}\"“”]")
_LABEL = re.compile(r"^(?:the\s+)?(?:correct\s+)?(?:option|choice|answer)s?\b[\s:：]{0,3}(?:is\s+)?", re.IGNORECASE)
_ONE = re.compile(r"[(\[（]?\s?([A-Ja-j])\s?[)\]）]?\s?[.:,)]?")
# The pronoun I is no letter of a list.
_LISTED = r"(?:[(\[][A-J][)\]]|[A-HJ])(?![A-Za-z0-9'’])"
_SEVERAL = re.compile(rf"{_LISTED}(?:\s?(?:,\s?and\b|,|;|&|\+|\s?\band\b)\s?{_LISTED}){{1,9}}\.?")
_GROUPED = re.compile(r"^[(\[]([A-J][^()\[\]]{1,40})[)\]]\.?$")
_RUN = re.compile(r"[A-J]{2,10}")
_LEAD = re.compile(
    r"[(\[（]?([A-J])(?:[)\]）]\s?[.:：,;\-–—]?|\s?[.:：;)]|\s[\-–—]|,)?"
    r"(?P<tail>\s+(?:because|since|as|is|for|which|due|given|given that)\b|\s*$|\s|(?<=[.:：;)])\S)"
)
_SEPARATED = re.compile(r"[)\]）]?(?:\s?[.:：;,]|\s[\-–—]|\s+(?:because|since|as|which|due|given)\b)")
_TOKEN = re.compile(
    r"[(\[（](?P<paren>[A-J])[)\]）]"
    r"|\b(?:[Oo]ption|[Cc]hoice|[Aa]nswer)\s{1,3}(?P<named>[A-J])(?![A-Za-z0-9_'’])"
    r"|(?<![A-Za-z0-9_'’\\.])(?P<bare>[A-J])(?![A-Za-z0-9_'’])"
)
_STRONG = re.compile(
    r"[(（](?P<paren>[A-J])[)）]"
    r"|\*\*[(（]?(?P<bold>[A-J])[)）]?[.:)]?(?:\s[^*\n]{0,200})?\*\*"
    r"|\b(?:[Oo]ption|[Cc]hoice|[Aa]nswer)\s{1,3}(?P<named>[A-J])(?![A-Za-z0-9_'’])"
    r"|\b(?:choose|select|pick|chose|selected|go with|going with|[Ii]t is|[Ii]t's|must be|should be)\s(?P<verb>[A-J])"
    r"(?=[\s]*(?:[.,;!]|$|\n|because\b|since\b))"
    r"|^[ \t]{0,4}(?P<line>[A-J])[.):](?=\s|$)",
    re.MULTILINE,
)
_NEGATED = re.compile(
    r"(?:\bnot|n't|\brather than|\binstead of|\bexclud\w+|\belimin\w+)\s+(?:option\s+|choice\s+)?[(\[]?$"
)
_CONCLUDES = re.compile(
    r"\b(?:so|therefore|thus|hence|conclu\w+|finally|final|correct|actually|overall|instead|wait|correction)\b",
    re.IGNORECASE,
)
_DOUBT = re.compile(r"\b(?:not|neither|cannot|can't|isn't|aren't|doesn't|no idea|unsure|either|or)\b", re.IGNORECASE)
_OR = re.compile(r"\bor\b|\beither\b", re.IGNORECASE)
_ARTICLE_FOLLOWS = re.compile(r"\s+(?!because\b|since\b|as\b|is\b|and\b|or\b|for\b|which\b|due\b|given\b)[a-z]")


def _bare_text(text: str) -> str:
    text = _WRAPPING.sub(" ", unwrap_text_commands(text.replace("\\ ", " ")))
    return " ".join(text.split())


def _letters_of(text: str) -> str:
    return "".join(sorted(set(re.findall(r"[A-J]", text))))


def letters_only(text: str, letters: str = LETTERS) -> str | None:
    """The letters of a text that holds nothing but letters: "C", "(C)", "c", "Option C.", "B, D", "BD".
    Sorted, without separators; None for anything else."""
    bare = _LABEL.sub("", _bare_text(text)).strip()
    bare = _GROUPED.sub(r"\1", bare)
    one = _ONE.fullmatch(bare)
    if one:
        found = one.group(1).upper()
    elif _SEVERAL.fullmatch(bare):
        found = _letters_of(bare.replace("and", ""))
    elif _RUN.fullmatch(bare) and list(bare) == sorted(set(bare)):
        found = bare
    else:
        return None
    return found if all(letter in letters for letter in found) else None


def match_option(text: str, options: Mapping[str, str]) -> str | None:
    """The one option whose text is this text, word for word or as the same number and unit."""
    said = normalize_text(text)
    if not said:
        return None
    same = [letter for letter, option in options.items() if option and normalize_text(option) == said]
    if not same:
        quantity = read_quantity(text)
        if quantity is not None:
            known = ((letter, read_quantity(option)) for letter, option in options.items())
            same = [letter for letter, other in known if other and same_quantity(other, quantity)]
    return same[0] if len(same) == 1 else None


def _option_inside(text: str, options: Mapping[str, str]) -> str | None:
    """The one option whose words stand in a sentence without doubt or negation around them."""
    rest = f" {normalize_text(text)} "
    found = []
    # Longest first, and found words are taken out: "set A" also stands in "neither set A nor set B".
    for letter, option in sorted(options.items(), key=lambda kv: (-len(kv[1]), kv[0])):
        words = f" {normalize_text(option)} "
        if len(words) >= 4 and words in rest:
            found.append(letter)
            rest = rest.replace(words, "  ")
    return found[0] if len(found) == 1 and not _DOUBT.search(rest) else None


def _chosen_letters(text: str, letters: str) -> list[str]:
    """Letters that a sentence names as choices; the article "A", the pronoun "I" and negated ones left out."""
    found: list[str] = []
    for match in _TOKEN.finditer(text):
        letter = match.group(match.lastgroup or 0)
        if letter not in letters or _NEGATED.search(text[max(0, match.start() - 40) : match.start()]):
            continue
        if match.lastgroup == "bare":
            if letter == "I" or (letter == "A" and _ARTICLE_FOLLOWS.match(text, match.end())):
                continue
            # "angle B", "point C" name things of the figure.
            if re.search(
                r"(?:angle|point|line|side|segment|figure|vertex|grade|vitamin)s?\s$", text[: match.start()], re.I
            ):
                continue
        if letter not in found:
            found.append(letter)
    return found


def _read_marked(text: str, options: Mapping[str, str], letters: str) -> str | None:
    """The choice in a text that the response marks as its answer."""
    exact = letters_only(text, letters)
    if exact:
        return exact
    bare = _LABEL.sub("", _bare_text(text)).strip()
    by_text = match_option(strip_marks(bare), options) or match_option(strip_marks(text), options)
    if by_text:
        return by_text
    sentence = first_sentence(bare)
    several = _SEVERAL.match(sentence)
    if several:
        return None if _OR.search(sentence) else _letters_of(several.group().replace("and", ""))
    lead = _LEAD.match(bare)
    if lead and lead.group(1) in letters:
        letter, after = lead.group(1), bare[lead.end(1) :]
        rest = after.lstrip(" ).:：;,-–—]）")
        option = normalize_text(options.get(letter, ""))
        if option and normalize_text(rest).startswith(option):
            return letter
        separated = bool(_SEPARATED.match(after))
        others = [found for found in _chosen_letters(first_sentence(rest), letters) if found != letter]
        article = letter in "AI" and not separated and _ARTICLE_FOLLOWS.match(after)
        if not article and not _OR.search(first_sentence(rest)) and (separated or not others):
            return letter
    chosen = _chosen_letters(sentence, letters)
    if len(chosen) == 1:
        return chosen[0]
    return None if chosen else _option_inside(sentence, options)


def _from_phrases(text: str, options: Mapping[str, str], letters: str) -> list[str]:
    """The choices of all "the answer is ..": one when they agree or the last one is marked as final."""
    read = [(phrase, _read_marked(phrase.text, options, letters)) for phrase in find_phrases(text)]
    known = [(phrase, choice) for phrase, choice in read if choice]
    if not known:
        return []
    last, choice = known[-1]
    before = text[max(0, last.start - 60) : last.start]
    if last.final or _CONCLUDES.search(before):
        return [choice]
    return sorted({choice for _, choice in known})


def _from_plain(text: str, options: Mapping[str, str], letters: str) -> str | None:
    """The choice of a text without any mark."""
    stripped = text.strip()
    lines = [line.strip() for line in stripped.splitlines() if line.strip()]
    if not lines:
        return None
    if len(lines) == 1 and len(stripped) <= 300 and len(first_sentence(stripped)) >= len(stripped) - 4:
        choice = _read_marked(stripped, options, letters)
        if choice:
            return choice
    strong = [
        match.group(match.lastgroup or 0)
        for match in _STRONG.finditer(stripped)
        if not _NEGATED.search(stripped[max(0, match.start() - 40) : match.start()])
    ]
    named = {letter for letter in strong if letter in letters}
    if len(named) == 1 and not _OR.search(lines[-1]):
        return named.pop()
    last = lines[-1][-2000:]
    if letters_only(last, letters):
        # A last line that is a letter and nothing else concludes, whatever was discussed before.
        return letters_only(last, letters)
    sentences = [part for part in re.split(r"(?<=[.!?])\s+", last) if part]
    if named:
        chosen = _chosen_letters(sentences[-1], letters)
        concludes = _CONCLUDES.search(sentences[-1]) and not _OR.search(sentences[-1])
        return chosen[0] if len(chosen) == 1 and concludes else None
    return _option_inside(sentences[-1], options) if len(sentences[-1]) <= 300 else None


@never_raises
def read_option(response: str, options: Mapping[str, str] | None = None, letters: str = LETTERS) -> Reading[str]:
    """The option that a response chooses: a letter, or several sorted and joined, "BD".

    `options` maps upper-case letters to texts (see `parse_options`); with it, letters outside it do not count and an
    answer in the option's own words does.
    """
    choice = _chosen(response, options, letters)
    return unread("no choice found") if choice is None else read(choice, None, "")


def extract_choice(response: str, options: Mapping[str, str] | None = None, letters: str = LETTERS) -> str | None:
    """The letters that `read_option` reads, or None."""
    return read_option(response, options, letters).value


def _chosen(response: str, options: Mapping[str, str] | None, letters: str) -> str | None:
    """The option letter that a response chooses, or None when it chooses none.

    `options` maps upper-case letters to texts (see `parse_options`); with it, letters outside it do not
    count and an answer in the option's own words does. Several letters come sorted and joined: "BD".
    A refusal, a hedge ("A or B"), and two different answers of which none is marked as final give None.
    The last \\boxed{} or <answer> wins over everything else, then "the answer is ..", then the plain text.
    """
    known = dict(options or {})
    allowed = "".join(known) if known else letters
    answer = find_answer(response)
    if answer.how in ("boxed", "tag"):
        return _read_marked(answer.text, known, allowed)
    _, rest = split_thought(tail(response))
    phrased = _from_phrases(rest, known, allowed)
    if phrased:
        # Phrases that disagree are a hedge: the text around them cannot mend it.
        return phrased[0] if len(phrased) == 1 else None
    return _from_plain(rest, known, allowed)
