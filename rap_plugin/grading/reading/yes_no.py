"""Did a response say yes or no?"""

from __future__ import annotations

import re
from typing import Literal

from rap_plugin.grading.reading.answers import find_answer
from rap_plugin.grading.reading.base import Reading, never_raises, read, unread

_LEAD = re.compile(r"[\W_]*(yes|no)\b(?!\s+(?:or|and)\s+(?:yes|no)\b)(?!-)", re.IGNORECASE)
_WORD = re.compile(r"(?<![\w-])(yes|no)(?![\w-])", re.IGNORECASE)
_DENIES = re.compile(
    r"\bthere (?:is|are|was|were) no\b|\bthere (?:is|are) (?:not|n't)\b|\bthere (?:isn't|aren't|isn’t|aren’t)\b"
    r"|\b(?:does|do) not (?:contain|show|appear|include|feature|depict)\b|\b(?:is|are) not (?:visible|present|shown)\b"
    r"|\bno \w+(?: \w+)? (?:is|are|can be) (?:visible|present|shown|seen)\b"
    r"|\b(?:doesn't|don't) (?:contain|show|appear|include|feature|depict)\b|\b(?:isn't|aren't) (?:visible|present)\b",
    re.IGNORECASE,
)
_AFFIRMS = re.compile(
    r"\bthere (?:is|are) (?:indeed )?(?:an?|one|two|three|some|several|many)\b"
    r"|\b(?:is|are) (?:clearly |indeed )?(?:visible|present)\b",
    re.IGNORECASE,
)
_UNSURE = re.compile(
    r"\b(?:cannot|can't|can not|unable|not sure|unsure|unclear|hard to|difficult to|impossible|whether|might|may"
    r"|could)\b",
    re.IGNORECASE,
)


@never_raises
def read_yes_no(response: str, question: str = "") -> Reading[str]:
    """ "yes" or "no" as the response's final answer says it, unread when it says neither or both.

    A marked answer counts first (box, tag, "the answer is"); then the word that the answer opens with; then the
    only one of the two words in it; then a plain statement ("There is no dog in the image.").
    """
    answer = find_answer(response)
    if answer.how == "line":
        # Several lines without a mark: the verdict opens the text or closes it.
        whole = response.rsplit("</think>", 1)[-1].strip()
        first, last = _LEAD.match(whole), _LEAD.match(answer.text)
        if first and not (last and last.group(1).lower() != first.group(1).lower()):
            return read(_as_word(first.group(1)), None, "opening word")
    word = _read(answer.text)
    return unread("neither yes nor no") if word is None else read(word, None, answer.how)


def _read(text: str) -> Literal["yes", "no"] | None:
    lead = _LEAD.match(text)
    if lead:
        return _as_word(lead.group(1))
    words = {found.lower() for found in _WORD.findall(text)}
    denied, affirmed = bool(_DENIES.search(text)), bool(_AFFIRMS.search(text))
    if _UNSURE.search(text):
        return None
    if denied or affirmed:
        return "no" if denied else "yes"
    return _as_word(words.pop()) if len(words) == 1 else None


def _as_word(word: str) -> Literal["yes", "no"]:
    return "yes" if word.lower() == "yes" else "no"
