"""Where is the answer in a response? \\boxed{}, <answer> tags, "the answer is", or the plain text.

Everything here is linear in the length of the text: tokens are found with patterns that cannot backtrack
far, and braces are matched with a stack.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from typing import Literal

from rap_plugin.grading.reading.base import Reading, never_raises, read, unread

TAIL_CHARS = 64_000
"""Answers are looked for in the last 64,000 characters of a response; no training set-up answers later."""

LINE_CHARS = 2_000
"""Of an unmarked line only its last 2,000 characters are read."""

How = Literal["boxed", "tag", "phrase", "whole", "line", "none"]

# \x08oxed is what a response holds after "\boxed" went through a non-raw string literal once.
_BRACES = re.compile(r"(\\{1,2}(?:boxed|fbox)\s{0,8}\{|\x08oxed\s{0,8}\{)|\\.|([{}])", re.DOTALL)
_OPEN_BOX = re.compile(r"\\(?:boxed|fbox)\b|\x08oxed\b")
_BARE_BOXED = re.compile(r"\\boxed\s{0,8}([^\s{}\\$]{1,200})")
_TAG = re.compile(r"<(/?)answer>", re.IGNORECASE)
_THINK_END = re.compile(r"</think(?:ing)?>", re.IGNORECASE)
_PHRASE = re.compile(
    r"(?P<final>\bfinal[ \t]{1,3})?"
    r"(?:\b(?:answers?|correct[ \t]{1,3}(?:option|choice)|best[ \t]{1,3}(?:option|choice))\b"
    r"(?:[ \t]{1,3}(?:to|for)\b[^.:\n]{0,80}?)?"
    r"[ \t*_]{0,6}(?:(?:\bis\b|\bare\b|\bwould be\b|\bshould be\b|\bmust be\b)[ \t]{0,3}[:：]?|[:：=])"
    r"|(?<=final[ \t])answers?[*_:： \t]{0,6}\n"
    r"|答案(?:是|为|為|[:：])"
    r"|^[ \t]{0,3}####(?!#))[*_ \t]{0,6}",
    re.IGNORECASE | re.MULTILINE,
)
_SENTENCE_END = re.compile(r"[.!?。！？][*_\"'”’)]{0,3}(?=\s+[\"'“(*_]{0,3}[A-Z]|\s*$)|[。！？]")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as written, and how it was marked."""

    text: str
    how: How

    @property
    def marked(self) -> bool:
        """The response itself says that this is its answer."""
        return self.how in ("boxed", "tag", "phrase")


@dataclass(frozen=True, slots=True)
class Phrase:
    """What follows one "the answer is": up to the end of the line, or the next line when that is empty."""

    text: str
    start: int
    final: bool


def tail(response: str) -> str:
    """The part of a response in which answers are looked for."""
    return response[-TAIL_CHARS:]


def split_thought(response: str) -> tuple[str, str]:
    """(thought, rest): the rest is what follows the last `</think>`. A thought that was opened and never
    closed leaves no rest; without any think tag everything is rest."""
    ends = list(_THINK_END.finditer(response))
    if ends:
        return response[: ends[-1].start()], response[ends[-1].end() :]
    if response.lstrip()[:7].lower() == "<think>":
        return response, ""
    return "", response


def _boxed_spans(text: str) -> tuple[int, int] | None:
    """(start, end) of the content of the \\boxed{} that closes last and is not empty."""
    stack: list[int] = []
    found: tuple[int, int] | None = None
    for match in _BRACES.finditer(text):
        if match.group(1):
            stack.append(match.end())
        elif match.group(2) == "{":
            stack.append(-1)
        elif match.group(2) == "}" and stack:
            start = stack.pop()
            if start >= 0 and text[start : match.start()].strip():
                found = (start, match.start())
    return found


def _unwrap_boxed(content: str) -> str:
    # Boxes in boxes are rare and deeper ones are hostile: four levels, then the text stays as it is.
    for _ in range(4):
        span = _boxed_spans(content)
        if span is None:
            break
        content = content[span[0] : span[1]]
    return content.strip()


def _find_boxed(text: str) -> tuple[str, int] | None:
    span = _boxed_spans(text)
    if span is not None:
        return _unwrap_boxed(text[span[0] : span[1]]), span[1]
    bare = None
    for bare in _BARE_BOXED.finditer(text):  # noqa: B007  (only the last one counts)
        pass
    return (bare.group(1), bare.end()) if bare else None


def extract_boxed(response: str) -> str | None:
    """Content of the last closed, non-empty `\\boxed{..}` (or `\\fbox{..}`, `\\boxed 5`), nested boxes
    unwrapped; None when there is none. An unclosed box is a cut-off answer and does not count."""
    found = _find_boxed(tail(response))
    return found[0] if found else None


def _find_tag(text: str) -> tuple[str, int] | None:
    opened: int | None = None
    closed: tuple[str, int] | None = None
    for match in _TAG.finditer(text):
        if not match.group(1):
            opened = match.end()
        elif opened is not None:
            content = text[opened : match.start()].strip()
            if content:
                closed = (content, match.start())
            opened = None
    # Engines cut at the stop string "</answer>" and drop it: an answer that only lacks its end counts.
    if closed is None and opened is not None and 0 < len(text[opened:].strip()) <= 400:
        return text[opened:].strip(), len(text)
    return closed


def extract_answer_tag(response: str) -> str | None:
    """Content of the last non-empty `<answer>..</answer>`; a last tag cut off at its end counts when no
    tag was closed. None when there is none."""
    found = _find_tag(tail(response))
    return found[0] if found else None


def find_phrases(text: str) -> list[Phrase]:
    """The last 16 "the answer is ..", "Answer: ..", "correct option is ..", "#### .." in order."""
    phrases = []
    for match in deque(_PHRASE.finditer(text), maxlen=16):
        end = text.find("\n", match.end(), match.end() + LINE_CHARS)
        line = text[match.end() : end if end >= 0 else match.end() + LINE_CHARS]
        if not line.strip(" \t*_:") and end >= 0:
            rest = text[end : end + LINE_CHARS].lstrip()
            line = rest.split("\n", 1)[0]
        if line.strip():
            phrases.append(Phrase(line.strip(), match.start(), match.group("final") is not None))
    return phrases


def first_sentence(text: str) -> str:
    """The text up to its first full stop that ends a sentence ("C. 12 cm" and "3.5" go on)."""
    match = _SENTENCE_END.search(text)
    return text[: match.start()] if match else text


def strip_marks(text: str) -> str:
    """Without the emphasis, quotes and full stop around it."""
    stripped = text.strip().strip('*_`"“”').strip()
    return stripped[:-1].rstrip() if stripped.endswith((".", "。")) else stripped


def _marked_answer(text: str) -> Answer | None:
    boxed, tag = _find_boxed(text), _find_tag(text)
    if tag and (boxed is None or tag[1] > boxed[1]):
        return Answer(_unwrap_boxed(tag[0]), "tag")
    return Answer(boxed[0], "boxed") if boxed else None


def find_answer(response: str) -> Answer:
    """The answer of a response and how it was found.

    What follows `</think>` goes first: there the later of the last \\boxed{} and the last <answer>, then the
    last "the answer is". Then a box or tag inside the thought. Then the text after the thought itself: the
    whole of it when it is one line, else its last line. A thought that never ended and a box that was never
    closed or holds nothing have no plain answer.
    """
    thought, rest = split_thought(tail(response))
    marked = _marked_answer(rest)
    if marked:
        return marked
    phrases = find_phrases(rest)
    if phrases:
        return Answer(strip_marks(first_sentence(phrases[-1].text)), "phrase")
    marked = _marked_answer(thought)
    if marked:
        return marked
    lines = [line for line in rest.splitlines() if line.strip()]
    if not lines or _OPEN_BOX.search(lines[-1]):
        return Answer("", "none")
    return Answer(strip_marks(lines[-1][-LINE_CHARS:]), "whole" if len(lines) == 1 else "line")


@never_raises
def read_final_answer(response: str) -> Reading[str]:
    """The answer's own text, whatever it is about."""
    answer = find_answer(response)
    return read(answer.text, None, answer.how) if answer.text else unread("no answer found")


def final_answer(response: str) -> str | None:
    """The text of `find_answer`, or None when the response holds no answer."""
    return find_answer(response).text or None


def well_formatted(response: str) -> bool:
    """The whole response is `<think>..</think> .. \\boxed{..}`: it opens with the thought, closes it, and
    boxes an answer afterwards (the format half of RAP's released reward)."""
    text = response.strip()
    if not text.startswith("<think>"):
        return False
    end = text.find("</think>")
    return end >= 0 and _boxed_spans(text[end:]) is not None
