"""An option stated in its own words or by its value, without its letter: "The glove is made of kevlar."."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from rap_plugin.grading.reading.base import Reading, contradictory, read
from rap_plugin.grading.reading.comparatives import on_asked_side
from rap_plugin.grading.reading.number_tokens import number_tokens
from rap_plugin.grading.reading.option_texts import is_formula, match_option, mentions, ordinal_option, words_key
from rap_plugin.grading.reading.phrases import CONCLUSION, PREMISE
from rap_plugin.grading.reading.plain import Sentence
from rap_plugin.grading.reading.quantities import read_quantity, same_quantity
from rap_plugin.grading.reading.special_options import (
    CANNOT_TELL,
    CONCLUDES,
    DOUBT,
    all_or_none,
    cannot_tell,
    polar_option,
)

_TAIL = re.compile(
    r"(?:\b(?:is|are|was|were|equals?|be|becomes?|gives?|yields?|reads?|says|shows?|called|as|of|to|by|in|at|namely|meaning"
    r"|makes?(?: up)?|has|have|had|totals?|costs?|measures?|leaves?|so|thus|hence|therefore|get|find|obtain)\b|\bi\.e\.|[:=≈→]|为|是|等于),?\s*",
    re.IGNORECASE,
)
_ANSWER_IS = re.compile(
    r"\b(?:answer|correct (?:option|choice)|right (?:option|choice)|best (?:option|choice)|conclusion)\b[^.:\n]{0,40}?(?:\bis\b|\bwould be\b|\bshould be\b|\bmust be\b|[:=])(?!\s*not\b)\s*",
    re.IGNORECASE,
)
_REASON = re.compile(
    r",\s|;|\s\(|\.\s|\b(?:since|because|as|not|rather than|and not|which|due to|for|given)\b", re.IGNORECASE
)
_DENIED = re.compile(
    r"\b(?:not|never|neither|nor|no|without|unlike|rather than|instead of|other than|except|isn t|aren t|wasn t|doesn t|don t"
    r"|didn t|cannot|can t|against|wrong|incorrect|false|excluded|eliminated|ruled out)\s(?:\w+\s){0,3}$"
)
_DENIED_TAIL = re.compile(r"(?:\bnot|\bnever|n['’]t|\bno)\s+(?:(?!but\b|rather\b|so\b)[\w-]+\s+){0,3}$", re.IGNORECASE)
_DENIES_LATER = re.compile(r"\b(?:but|yet|and) (?:it |they )?(?:is|are|was|were|does|do|has|have)(?: not| n t)\b")
_DENIES_AFTER = re.compile(
    r"^\s?(?:\w+\s){0,2}?(?:is|are|was|were|does|do|can|would|seems)?\s?(?:not|n t|never|wrong|incorrect|false|out|excluded"
    r"|eliminated|ruled out|impossible|unlikely|fails?)\b"
)
_LIKELY = re.compile(
    r"\b(?:(?:most|very|more) )?(?:likely|probably|also|therefore|immediately|directly) ", re.IGNORECASE
)
_CONTRAST = re.compile(r",?\s(?:(?:and |but )?not|rather than|instead of)\b")
_BESIDES = re.compile(r",?\s+\b(?:because|since|unlike|whereas|as opposed to|compared (?:to|with))\b", re.IGNORECASE)
_UNLIKE = re.compile(
    r"^\W*(?:unlike|compared (?:to|with)|as opposed to|while|although|though|even though|at first|initially|between \S+ and \S+\s)[^.;]*?(?:,\s+(?:but\s+)?(?=[^,]*$)|(?<=\d)\s+(?=\D))",
    re.IGNORECASE,
)
_VARIABLE = re.compile(
    r"\b(?:what is|what's|find|solve for|determine|calculate|compute|value of|求)\s*(?:the value of\s*)?\$?([a-zA-Z])\$?\s*(?:[?.,]|$)",
    re.IGNORECASE,
)
_OTHER_VARIABLE = re.compile(r"(?<![A-Za-z\\])([a-zA-Z])\s*(?:=|≈|\bis\b|\bequals\b)")
_BOUND_WORDS = re.compile(r"\b(?:more|less|fewer|greater|at least|at most)\b", re.IGNORECASE)
_BOUND = re.compile(r"\b(?:(?:more|less|fewer|greater) than|at (?:least|most))\s+\$?\d", re.IGNORECASE)
_UNITS = re.compile(r"\s(?:square |cubic |sq\.? )?units?\W*$", re.IGNORECASE)
_ASIDE = re.compile(r"\s\([^()]{3,200}\)")
_POINTED = re.compile(
    r"\s*(?:(?:this|that|it|which)(?:'s| is| was| must be| has to be| would be)\s+(?:a |an |the )?(?P<after>.{1,100})|(?P<before>.{1,100}?),? it (?:is|must be|has to be))$",
    re.IGNORECASE,
)
_SUBJECT = re.compile(r"^(?:they|it|he|she)\s+(?:(?:would|will)\s+)?(?:(?:be|is|are)\s+)?", re.IGNORECASE)
_LISTED = re.compile(r"^\W*(?:\d{1,2}[.)]|[-*]\s)")
_COMMON_WORDS = (
    "the and what which who how are was were this that these those image picture following does with from for"
)
_COMMON = frozenset(_COMMON_WORDS.split())
MAX_SENTENCE = 600


def stated_option(
    parts: Sequence[Sentence], response: str, options: Mapping[str, str], question: str = ""
) -> Reading[str] | None:
    """The option that a response states without naming its letter; None when it states none."""
    if not any(options.values()) or not parts:
        return None
    polar = polar_option(parts, options, question)
    if polar is not None:
        return polar
    for rule in (_compared, all_or_none, _ruled_out):
        settled = rule(parts, options, question)
        if settled is not None:
            return settled
    parts = _about_variable(parts, question)
    cannot = cannot_tell(parts, options)
    if cannot is not None:
        return cannot
    last, first = parts[-1], parts[0]
    pointed = {found for part in parts[-40:] if (found := _pointed_at(part.text, options))}
    if len(pointed) == 1 and _pointed_at(last.text, options):
        return read(pointed.pop(), (last.start, last.end), "an option pointed at")
    closing = _stated_in(last, response, options)
    if closing and (len(parts) == 1 or CONCLUDES.search(last.text)):
        return read(closing, (last.start, last.end), "an option stated in words")
    stated = [(part, found) for part in parts[-40:] if (found := _stated_in(part, response, options))]
    concluding = [(part, found) for part, found in stated if CONCLUDES.search(part.text)]
    if concluding:
        part, found = concluding[-1]
        if len({letter for _, letter in concluding}) > 1 and concluding[-1][0] is not last:
            return contradictory("several options stated", (part.start, part.end))
        return read(found, (part.start, part.end), "an option stated in a conclusion")
    alone = [whole for part in parts[:40] if (whole := match_option(part.text.strip(" .!*"), options))]
    if len(alone) == 1 and len(parts) > 1 and match_option(first.text.strip(" .!*"), options) and not pointed:
        return read(alone[0], (first.start, first.end), "an option by itself, then why")
    opening = _stated_in(first, response, options)
    if opening and len(parts) > 1:
        others = {letter for _, letter in stated if letter != opening}
        if not others:
            return read(opening, (first.start, first.end), "an option stated first")
    others = {letter for part, letter in stated if letter != closing and part is not last}
    if closing and not _LISTED.match(last.text):
        if not others or _answers(last.text, question) > max(
            _answers(p.text, question) for p, _ in stated if p is not last
        ):
            return read(closing, (last.start, last.end), "an option stated last")
        return contradictory("several options stated", (last.start, last.end))
    return None


def _compared(parts: Sequence[Sentence], options: Mapping[str, str], question: str) -> Reading[str] | None:
    """For "Which one is larger?": the option that the last sentence puts on that side of a "than"."""
    for part in (parts[-1], parts[0]):
        said = on_asked_side(part.text, question)
        found = mentions(said, options)[1] if said and not DOUBT.search(part.text) else []
        if len({mention.letter for mention in found}) == 1:
            return read(found[0].letter, (part.start, part.end), "a comparison")
    return None


def _ruled_out(parts: Sequence[Sentence], options: Mapping[str, str], question: str) -> Reading[str] | None:
    """The one option that is left when a response says of each of the others that it is not the answer."""
    if len(options) < 3 or not all(options.values()) or len(parts) > 40:
        return None
    denied: set[str] = set()
    for part in parts:
        words, found = mentions(part.text, options) if len(part.text) <= MAX_SENTENCE else ("", [])
        if len({m.letter for m in found}) > 1 or any(not _denied(words, mention) for mention in found):
            return None
        denied |= {mention.letter for mention in found}
    left = [letter for letter in options if letter not in denied]
    if len(left) != 1:
        return None
    return read(left[0], (parts[-1].start, parts[-1].end), "all other options are ruled out")


def _about_variable(parts: Sequence[Sentence], question: str) -> Sequence[Sentence]:
    """Without the sentences that give another variable than the one asked for: "x = 5" where y is asked."""
    asked = _VARIABLE.search(question)
    if asked is None:
        return parts
    name = asked.group(1)
    kept = [part for part in parts if not (given := _OTHER_VARIABLE.findall(part.text)) or name in given]
    about = [part for part in kept if name in _OTHER_VARIABLE.findall(part.text)]
    return about or kept or parts


def _answers(text: str, question: str) -> int:
    """How many of the question's words a sentence takes up."""
    return len(_content(text) & _content(question.split("\n")[0]))


def _content(text: str) -> set[str]:
    return {word for word in re.findall(r"[a-z]{3,}", text.lower()) if word not in _COMMON}


def _stated_in(part: Sentence, response: str, options: Mapping[str, str]) -> str | None:
    """The one option that a sentence states, without doubt or denial around it."""
    if len(part.text) > MAX_SENTENCE:
        return None
    if part.text.endswith("?"):
        return None
    ordinal = ordinal_option(part.text, options)
    if CANNOT_TELL.search(part.text) and not match_option(part.text, options):
        return None
    raw = _raw(response, part)
    answered = _answered_option(raw, options)
    if answered is not None:
        return answered
    premise = PREMISE.match(part.text)
    if premise and not match_option(raw, options):
        # "If the trees died, the population would decrease": what is stated stands after the premise.
        return _stated_in(Sentence(part.text[premise.end() :], part.start + premise.end()), response, options)
    main = _main_clause(raw)
    if main and (found_there := _stated_in(Sentence(main, 0), main, options)):
        return found_there
    if _BOUND.search(part.text) and not any(_BOUND_WORDS.search(option) for option in options.values()):
        return match_option(raw, options)
    if DOUBT.search(part.text):
        whole = match_option(raw, options) or match_option(part.text, options)
        clause = part.text[part.text.rfind(";") + 1 :] if ";" in part.text else re.split(r"\bbut\b", part.text)[-1]
        if whole or clause == part.text or DOUBT.search(clause):
            return whole or _completed_option(part.text, options)
        return _stated_in(Sentence(clause.strip(), part.end - len(clause.lstrip())), response, options)
    tail = _tail_option(raw, options) or _tail_option(part.text, options) or _last_formula(raw, options)
    if tail is None and _ends_elsewhere(part.text, options):
        return None
    text = _LIKELY.sub("", part.text)
    words, found = mentions(text, options)
    if not found:
        named = {
            letter: _singular(option) for letter, option in options.items() if re.fullmatch(r"[A-Za-z]{4,}", option)
        }
        words, found = mentions(_singular(text), named)
    if not found:
        # "They would decrease" is stated by "the snakes would decrease".
        words, found = mentions(text, _predicates(options))
    kept = [m for m in found if not _denied(words, m)]
    letters = {m.letter for m in kept}
    if tail is not None and (
        not letters - {tail}
        or len(letters) == len(options)
        or re.search(r"[=≈]|\b(?:so|therefore|thus|hence)\b", raw)
        or is_formula(options[tail])
    ):
        return tail
    if len(letters) == 1:
        return kept[0].letter
    if len(letters) > 1 and _ASIDE.search(part.text):
        # "Walking: 25% (car: 30%, bus: 45%)"
        without = _ASIDE.sub("", raw)
        return _stated_in(Sentence(without, 0), without, options)
    if len(letters) > 1:
        # "Tom and Ann are the same height" for the option "They are the same height".
        ending = [a for a, text in _predicates(options).items() if words.rstrip().endswith(words_key(text))]
        return ending[0] if len(ending) == 1 else None
    return ordinal if not letters else None


def _pointed_at(text: str, options: Mapping[str, str]) -> str | None:
    """The option of a sentence that says no more than "That is Peru" or "Peru it is"."""
    clause = re.split(r"[;:,]\s+(?:so\s+)?", text.strip(" .!*"))[-1]
    match = _POINTED.match(clause)
    if DOUBT.search(text):
        return None
    if len(clause.split()) > 2 and (whole := match_option(clause, options)):
        return whole
    if match is None:
        return None
    return match_option(match["before"] or match["after"], options)


def _main_clause(text: str) -> str | None:
    """What a sentence comes to, without its reasons and what it sets that against; None where that is all of it."""
    concluding = list(CONCLUSION.finditer(text))
    if concluding:
        return text[concluding[-1].end() :]
    against = _UNLIKE.match(text)
    if against:
        return text[against.end() :]
    besides = _BESIDES.search(text)
    return text[: besides.start()] if besides and besides.start() > 0 else None


def _predicates(options: Mapping[str, str]) -> dict[str, str]:
    """What options say of "they" or "it": "decrease" for "They would decrease"."""
    return {letter: _SUBJECT.sub("", option) for letter, option in options.items() if _SUBJECT.match(option)}


def _completed_option(text: str, options: Mapping[str, str]) -> str | None:
    """The option of several words that a sentence says in full before it goes on: "It was a draw between A and B"."""
    words = words_key(text) + " "
    begun = [
        letter
        for letter, option in options.items()
        if len(option.split()) > 2 and words.startswith(words_key(option) + " ")
    ]
    rest = words[len(words_key(options[begun[0]])) :] if len(begun) == 1 else ""
    return begun[0] if re.match(r"\s(?:between|among|of|for|with|in|at|on|by)\b(?!.*\b(?:or|not)\b)", rest) else None


def _singular(text: str) -> str:
    return re.sub(r"(?<=[a-z]{3})(?<![su])s\b", "", text)


def _ends_elsewhere(text: str, options: Mapping[str, str]) -> bool:
    """Whether options are numbers and the last of several numbers in a sentence is none of theirs: "110 - 30 is 80"."""
    tokens = list(number_tokens(text))
    if len({token.quantity.value for token in tokens}) < 2:
        return False
    values = [value for option in options.values() if (value := read_quantity(option)) is not None]
    if all(1500 <= value.value <= 2100 for value in values):
        # Years: "in 2014, with 45 units".
        tokens = [token for token in tokens if 1500 <= token.quantity.value <= 2100] or tokens
    last = tokens[-1].quantity
    return len(values) == len(options) and not any(same_quantity(value, last) for value in values)


def _raw(response: str, part: Sentence) -> str:
    """The sentence as it was written, with the brackets that close what it opens."""
    end = part.end
    while end < len(response) and response[end] in "})]$*":
        end += 1
    return response[part.start : end]


def _answered_option(text: str, options: Mapping[str, str]) -> str | None:
    """The option whose text follows "the answer is"."""
    for match in list(_ANSWER_IS.finditer(text))[-1:]:
        for head in (text[match.end() :], _REASON.split(text[match.end() :], maxsplit=1)[0]):
            if found := match_option(head.strip(" .!$*:\"'\n`"), options):
                return found
    return None


def _tail_option(text: str, options: Mapping[str, str]) -> str | None:
    """The option that stands after the last "is", "=", ":" of a sentence."""
    for match in list(_TAIL.finditer(text))[-4:]:
        tail = text[match.end() :].strip(" .!。$*\n`")
        if not tail:
            continue
        if found := match_option(tail, options) or match_option(_CONTRAST.split(tail, maxsplit=1)[0], options):
            return None if _DENIED_TAIL.search(text[: match.end()]) else found
    return None


def _last_formula(text: str, options: Mapping[str, str]) -> str | None:
    """The option that is the formula at a sentence's end: "so the region has area 16 - 4π"."""
    if not any(is_formula(option) for option in options.values()):
        return None
    words = _UNITS.sub("", text).rstrip(" .!。$*").split(" ")
    for count in range(min(12, len(words) - 1), 0, -1):
        before = words[-count - 1]
        found = match_option(" ".join(words[-count:]).strip("$"), options)
        if found and is_formula(options[found]) and re.search(r"[A-Za-z]{2,}\W?$|[=:]$", before):
            return found
    return None


def _denied(words: str, mention: object) -> bool:
    start, end = mention.start, mention.end  # type: ignore[attr-defined]
    after = words[end - 1 : end + 60]
    return bool(
        _DENIED.search(words[max(0, start - 40) : start + 1])
        or _DENIES_AFTER.match(after)
        or _DENIES_LATER.search(after)
    )
