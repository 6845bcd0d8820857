"""Options that mean something by themselves: yes and no, all or none of the above, "cannot be determined"."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from rap_plugin.grading.reading.base import Reading, contradictory, read
from rap_plugin.grading.reading.option_texts import mentions, words_key
from rap_plugin.grading.reading.plain import Sentence
from rap_plugin.grading.reading.yes_no import verdict_of

CONCLUDES = re.compile(
    r"^\W*(?:\w+[\s,]+){0,3}?(?:so|therefore|thus|hence|conclu\w+|finally|overall|in summary|consequently|accordingly|the answer"
    r"|answer|the correct (?:answer|option|choice)|this means)\b|∴|因此|所以|答案",
    re.IGNORECASE,
)
DOUBT = re.compile(
    r"\b(?:or|either|maybe|perhaps|possibly|might|(?-i:may)|could|cannot|can't|can not|unsure|not sure|unclear|no idea|unable"
    r"|not enough|insufficient|^\W*if|assuming|whether|depends|depending|between|unless)\b|\?\W*$",
    re.IGNORECASE,
)
CANNOT_TELL = re.compile(
    r"\b(?:(?:not enough|insufficient|lack of|no) (?:\w+ )?(?:information|info|data|evidence)|(?:information|data) (?:\w+ ){0,4}insufficient"
    r"|(?:cannot|can not|can't|could not|couldn't) be (?:determined|told|known|inferred|decided|concluded)"
    r"|(?:impossible|not possible|no way) to (?:tell|determine|say|know|decide|conclude)|(?:cannot|can't|unable to) (?:determine|tell|say)"
    r"|(?:is|are) (?:insufficient|undetermined|indeterminate|unknown))\b|不能确定|无法确定",
    re.IGNORECASE,
)
_OPEN_OPTION = re.compile(
    r"\b(?:insufficient|not enough|cannot|can't|can not|impossible|not possible|unable|unknown|undetermined|indeterminate)\b|不能确定|无法确定",
    re.IGNORECASE,
)
_BLIND = re.compile(
    r"\b(?:see|view|access|process|open|display|analy[sz]e|interpret|look at|provide[ds]?|attach\w*|upload\w*|without|no|visible|share"
    r"|any|blurry|missing|as an ai|language model)\b[^.]{0,60}\b(?:image|picture|figure|photo|diagram|file|chart|graph|visual|video)s?\b"
    r"|\b(?:image|picture|figure|photo|diagram)s?\b[^.]{0,60}\b(?:not|n't|missing|blurry|unclear|unavailable|cut off)\b"
    r"|\b(?:as an ai|language model|sorry|apologi[sz]e|unfortunately|please provide|more context)\b",
    re.IGNORECASE,
)
_POLAR = ({"yes", "no"}, {"true", "false"}, {"correct", "incorrect"}, {"right", "wrong"}, {"是", "否"}, {"对", "错"})
_NONE_OPTION = re.compile(
    r"none (?:of (?:the above|these|them|the options|the others?))|no correct \w+|以上都不对", re.IGNORECASE
)
_ALL_OPTION = re.compile(r"all (?:of (?:the above|these|them))|以上都对", re.IGNORECASE)
_SAYS_NONE = re.compile(
    r"\bnone of (?:the|these|them)\b[^.]{0,30}\b(?:is|are|fits?|match\w*|works?)\b[^.]{0,20}|\bno (?:option|answer|statement|choice)s? (?:is|are) (?:correct|right|true)\b",
    re.IGNORECASE,
)
_SAYS_ALL = re.compile(
    r"\b(?:all (?:of )?(?:the|these|them)\b[^.]{0,30}|every (?:option|answer|statement|choice) )(?:is|are) (?:correct|right|true)\b",
    re.IGNORECASE,
)


def polar_option(parts: Sequence[Sentence], options: Mapping[str, str], question: str) -> Reading[str] | None:
    """For options such as Yes and No: what the response says to the question itself."""
    by_text = {words_key(text): letter for letter, text in options.items() if text}
    pair = next((pair for pair in _POLAR if pair <= set(by_text)), None)
    if pair is None:
        return None
    # Beside "cannot be determined" a statement counts where nothing is left open.
    third = [text for text in options.values() if words_key(text) not in pair]
    open_third = len(third) == 1 and pair == {"yes", "no"} and bool(_OPEN_OPTION.search(third[0]))
    stated = not third or (open_third and not any(CANNOT_TELL.search(p.text) or DOUBT.search(p.text) for p in parts))
    verdict = verdict_of(parts, question, statements=bool(question) and stated)
    if verdict is None or verdict.outcome != "read":
        return None
    names = {
        "yes": ("yes", "true", "correct", "right", "是", "对"),
        "no": ("no", "false", "incorrect", "wrong", "否", "错"),
    }
    others = {letter: text for letter, text in options.items() if words_key(text) not in pair}
    if any(mentions(part.text, others)[1] for part in parts) or (
        others and any(CANNOT_TELL.search(p.text) for p in parts)
    ):
        return contradictory("it takes up other options, too", verdict.span)
    letter = next(by_text[name] for name in names[verdict.value or ""] if name in pair)
    return read(letter, verdict.span, "yes or no")


def all_or_none(parts: Sequence[Sentence], options: Mapping[str, str], question: str) -> Reading[str] | None:
    """The option "none of the above" or "all of the above" in other words."""
    for option_words, says in ((_NONE_OPTION, _SAYS_NONE), (_ALL_OPTION, _SAYS_ALL)):
        named = [letter for letter, text in options.items() if option_words.search(text)]
        part = parts[-1]
        said = says.search(part.text) or option_words.fullmatch(part.text.strip(" ."))
        if len(named) == 1 and said and not re.search(r"\bnot\b|n't\b", said.group()) and not DOUBT.search(part.text):
            return read(named[0], (part.start, part.end), "all or none of the options")
    return None


def cannot_tell(parts: Sequence[Sentence], options: Mapping[str, str]) -> Reading[str] | None:
    """The option "cannot be determined", chosen in other words. A response that cannot see the image chooses nothing."""
    open_options = [letter for letter, text in options.items() if _OPEN_OPTION.search(text)]
    if len(open_options) != 1 or any(_BLIND.search(part.text) for part in parts):
        return None
    for part in (parts[-1], parts[0]) if len(parts) <= 3 else (parts[-1],):
        if len(parts) > 3 and not CONCLUDES.search(part.text):
            continue
        if CANNOT_TELL.search(part.text):
            return read(open_options[0], (part.start, part.end), "it cannot be told")
    return None
