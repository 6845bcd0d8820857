"""Did a response say yes or no?"""

from __future__ import annotations

import re
from collections.abc import Sequence

from rap_plugin.grading.reading.answers import find_marked, find_phrases
from rap_plugin.grading.reading.base import Reading, contradictory, never_raises, read, unread
from rap_plugin.grading.reading.body import body_span, cut_box
from rap_plugin.grading.reading.plain import Sentence, plain_text, sentences
from rap_plugin.grading.reading.yes_no_statements import UNSURE, YesNo, called, statement

_YES = r"(?:yes|yep|yeah|yup|yea|aye|affirmative|absolutely|certainly|definitely|indeed|of course|surely|correct|true|right|sure)"
_NO = r"(?:no|nope|nah|nay|negative|false|incorrect|wrong|not really|not at all|not that i|not visible|not present|not shown|absolutely not|definitely not|certainly not|of course not)"
_LEAD = re.compile(
    rf"[\W_]{{0,40}}(?:(?:the |my )?(?:final |correct |short )?answer(?: here| to (?:this|the|your) question)?\s*(?:is|:|=|would be|must be|should be)\s*"
    rf"(?:therefore |clearly |a |an |simply |definitely )?|(?:well|so|therefore|thus|hence|okay|ok|hmm|final|conclusion|verdict|statement)\s?[,:]\s*"
    rf"|(?:i (?:would|'d) say|it is|it's|that is|that's|this is|the statement is|i think|i believe)\s+)?[\W_]{{0,40}}"
    rf"(?:(?P<no>{_NO})|(?P<yes>{_YES}))(?![\w-])(?!\s+(?:or|and|/)\s+(?:yes|no)\b)(?!\s*/)",
    re.IGNORECASE,
)
_NOT_A_VERDICT = re.compile(
    r"\W*(?:no (?:doubt|question|problem|idea|clue|matter|information|way to|answer|worries|need)|yes (?:or|and|/) no|no (?:or|and|/) yes"
    r"|right (?:now|hand|side|of|next|in|here|there|away|behind|above|below|corner|angle)|correct (?:me|answer|option)|sure, (?:i|let|here)|true (?:north|or)"
    r"|true/|yes/|no/|no\.\s?\d|certainly!? (?:i|let|here)|of course!? (?:i|let|here)|absolutely!? (?:i|let|here)|wrong (?:way|side))",
    re.IGNORECASE,
)
_CHINESE = re.compile(
    r"^\W{0,40}(?:(?:答案|回答|所以|因此)\s*[:,是为]*\s*)?(?:(?P<no>否定|否|不是|没有|沒有|不对|不正确|错|无|不存在|不能|并没有|不)|(?P<yes>是的?|有|对|正确|存在|可以))(?=\W|$|图|圖|这|在|片|只|一|任何)"
)
_SHORT: dict[YesNo, re.Pattern[str]] = {
    "yes": re.compile(
        r"\W*(?:y|(?:it seems|it appears|i think|i believe|i guess|i suppose) so|it (?:looks|seems) like it|it is|it does|they (?:are|do)|there (?:is|are)|i do|it has|they have)(?:,[^,]{0,60})?\W*",
        re.IGNORECASE,
    ),
    "no": re.compile(
        r"\W*(?:n|none|i (?:don't|do not) (?:think|believe) so|(?:it|that|this)(?:'s| is| does| has)? ?(?:not|n't)(?: there)?|it (?:isn't|doesn't|hasn't)|they (?:aren't|don't|are not)"
        r"|there (?:isn't|aren't|is not|are not|is none|are none)(?: any| one)?|i (?:don't|do not))\W*",
        re.IGNORECASE,
    ),
}
_WORD = re.compile(r"(?<![\w-])(yes|no)(?![\w-])(?!\s+(?:doubt|question|problem|matter|idea)\b)", re.IGNORECASE)
_QUOTED = re.compile(
    r"\b(?:answer|answer is|say|response:?|conclude|reply)\s*[:\"'(]*\s*(yes|no)\b(?!\s*(?:or|and|/)\s*(?:yes|no)\b)(?!\s+(?:\w+\s+)?(?:is|are|was|were|can|visible)\b)(?!\s+\w+\s+(?:in|on)\b)",
    re.IGNORECASE,
)
_DENIED_WORD = re.compile(r"\banswer\b[^.]{0,40}?(?:\bnot|n't)\s+[\"']?(yes|no)\b(?!\s*or\b)", re.IGNORECASE)
_FINAL = re.compile(
    r"\b(?:so|therefore|thus|hence|finally|final|conclu\w+|overall|in summary|actually|wait|instead)\b", re.IGNORECASE
)
_BLIND = re.compile(
    r"\b(?:can't|cannot|can not|unable to|couldn't|could not|don't|do not|not able to)\s+(?:\w+\s+){0,2}?(?:see|view|access|open|process|analy[sz]e|display)"
    r"\s+(?:\w+\s+){0,2}?(?:image|picture|photo|file|attachment|video)s?\b(?!\s+of)|\b(?:as an ai|language model|sorry|i apologi[sz]e|can't help)\b",
    re.IGNORECASE,
)


@never_raises
def read_yes_no(response: str, question: str = "") -> Reading[str]:
    """ "yes" or "no" as the response's final answer says it; unread when it says neither, contradictory when it says
    both. The question tells which of two objects in a sentence was asked about."""
    plain = plain_text(response)
    marked = find_marked(response)
    if marked is not None:
        parts = list(sentences(plain[marked.start : marked.end], marked.start))
        found = verdict_of(parts, question)
        return found if found is not None else unread(f"the {marked.how} says neither", (marked.start, marked.end))
    body = body_span(response, plain)
    if body is None:
        return unread("the thought was cut off")
    if cut_box(response, *body):
        return unread("the box was cut off", body)
    parts = list(sentences(plain[body[0] : body[1]], body[0]))
    phrases = [phrase for phrase in find_phrases(response[: body[1]]) if phrase.start >= body[0]]
    if phrases:
        said = [(phrase, word) for phrase in phrases if (word := _lead_word(phrase.text)) is not None]
        lead = _lead_word(parts[0].text) if parts else None
        words = {word for _, word in said} | ({lead} if lead else set())
        if said:
            phrase, word = said[-1]
            span = (phrase.text_start, phrase.text_start + len(phrase.text))
            if len(words) == 1 or phrase.final or _FINAL.search(plain[max(0, phrase.start - 40) : phrase.start]):
                return read(word, span, "answer phrase")
            return contradictory("two answers", span)
    found = verdict_of(parts, question)
    return found if found is not None else unread("neither yes nor no")


def verdict_of(parts: Sequence[Sentence], question: str = "", *, statements: bool = True) -> Reading[str] | None:
    """The yes or no of a response's sentences: the word that it opens or closes with, else what it states. Without
    `statements` only those count that call something true or false."""
    if not parts:
        return None
    first, last = _lead_word(parts[0].text), _lead_word(parts[-1].text)
    if first is None and len(parts) > 1 and len(parts[0].text.split()) <= 3:
        first = _lead_word(parts[1].text) if last is None else None
    closing = _closing_word(parts[-1].text)
    last = last or (closing if len(parts) > 1 else None)
    if first and last and first != last:
        return contradictory("it opens with one and closes with the other", (parts[-1].start, parts[-1].end))
    if first or last:
        part = parts[0] if first else parts[-1]
        return read(str(first or last), (part.start, part.end), "opening word" if first else "closing word")
    if any(_BLIND.search(part.text) for part in parts):
        return None
    stated = [
        (part, word)
        for part in parts
        if (word := (statement(part.text, question) if statements else called(part.text))) is not None
    ]
    words = {word for _, word in stated}
    if len(words) == 1:
        return read(stated[-1][1], (stated[-1][0].start, stated[-1][0].end), "statement")
    if len(words) == 2:
        part, word = stated[-1]
        if _FINAL.search(part.text):
            return read(word, (part.start, part.end), "its conclusion")
        return contradictory("it states both", (part.start, part.end))
    if closing:
        return read(closing, (parts[-1].start, parts[-1].end), "the only one of the two words")
    return None


def _lead_word(text: str) -> YesNo | None:
    """The yes or no that a sentence opens with."""
    if _NOT_A_VERDICT.match(text):
        return None
    lead = _LEAD.match(text) or _CHINESE.match(text)
    if lead is None:
        return next((word for word, pattern in _SHORT.items() if pattern.fullmatch(text)), None)
    rest = text[lead.end() : lead.end() + 40]
    if re.match(r"\s+(?:answer|option|choice|image|picture)\b", rest) and not lead["no"]:
        return None
    if lead["yes"] and lead["yes"].lower() in ("right", "correct", "true", "sure") and re.match(r"\s+\w", rest):
        return None
    if (
        lead["no"]
        and lead["no"].lower() == "no"
        and re.match(
            r"\s+(?!there|it|this|that|the|i|they|he|she|we|these|those|because|since|as)\w", rest, re.IGNORECASE
        )
    ):
        return None  # "No skis": a count, and not a word on the question
    return "yes" if lead["yes"] else "no"


def _closing_word(text: str) -> YesNo | None:
    """The yes or no that a sentence gives as the answer."""
    if UNSURE.search(text) and not _QUOTED.search(text):
        return None
    denied = _DENIED_WORD.search(text)
    if denied:
        return "no" if denied.group(1).lower() == "yes" else "yes"
    quoted = _QUOTED.findall(text)
    words = {word.lower() for word in quoted}
    if not words:
        stands = [m for m in _WORD.finditer(text) if m.group(1).lower() == "yes" or _alone(text, m)]
        words = {m.group(1).lower() for m in stands}
    if len(words) != 1:
        return None
    return "yes" if words.pop() == "yes" else "no"


def _alone(text: str, match: re.Match[str]) -> bool:
    return bool(re.match(r"\W*$|\s*[,.;:!)]", text[match.end() :]))
