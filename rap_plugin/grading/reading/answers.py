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
from rap_plugin.grading.reading.body import TAIL_CHARS, body_span, thought_end

LINE_CHARS = 2_000
"""Of an unmarked line only its last 2,000 characters are read."""

How = Literal["boxed", "tag", "phrase", "whole", "line", "none"]

# \x08oxed is what a response holds after "\boxed" went through a non-raw string literal once.
_BRACES = re.compile(r"(\\{1,2}(?:boxed|fbox)\s{0,8}\{|\x08oxed\s{0,8}\{)|\\.|([{}])", re.DOTALL)
_OPEN_BOX = re.compile(r"\\(?:boxed|fbox)\b|\x08oxed\b")
_BARE_BOXED = re.compile(r"\\boxed\s{0,8}([^\s{}\\$]{1,200})")
# LLaVA-CoT concludes in <CONCLUSION>, GLM-V between two marks of a box.
_TAG = re.compile(
    r"<(?P<close>/?)(?:(?:final_?)?answer|final|conclusion|option|choice)>|<\|(?:begin|(?P<end>end))_of_box\|>",
    re.IGNORECASE,
)
_PHRASE = re.compile(
    r"(?P<final>\bfinal[ \t]{1,3})?"
    r"(?:\b(?:answers?(?:[ \t]{1,3}(?:option|choice|letter|value))?|correct[ \t]{1,3}(?:option|choice)|best[ \t]{1,3}(?:option|choice)"
    r"|final[ \t]{1,3}(?:value|number|result|integer|total|numerical[ \t]{1,3}(?:value|answer)|integer[ \t]{1,3}(?:value|answer)))\b"
    r"(?:[ \t]{1,3}(?:to|for)\b[^.:\n]{0,80}?)?"
    r"[ \t*_]{0,6}(?:(?:\bis\b|\bare\b|\bwould be\b|\bshould be\b|\bmust be\b)[ \t]{0,3}[:：]?|[:：=])"
    r"|(?<=final[ \t])answers?[*_:： \t]{0,6}\n"
    r"|答案(?:是|为|為|[:：])"
    r"|^[ \t]{0,3}####(?!#))[*_ \t]{0,6}",
    re.IGNORECASE | re.MULTILINE,
)
# "Here's how I got the answer:" announces a derivation.
_ANNOUNCED = re.compile(
    r"\b(?:how (?:i|we|you|to)\b[^.\n]{0,40}|(?:here(?:'s| is)|below is) (?:a|an|the) (?:\w+ ){0,2}(?:detailed|complete|full|explan\w+|step\S*)[^.\n]{0,30})$",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!?。！？][*_\"'”’)]{0,3}(?=\s+[\"'“(*_]{0,3}[A-Z]|\s*$)|[。！？]")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as written, and how it was marked."""

    text: str
    how: How
    start: int = 0
    end: int = 0
    """it stands at response[start:end]"""

    @property
    def marked(self) -> bool:
        """The response itself says that this is its answer."""
        return self.how in ("boxed", "tag", "phrase")


@dataclass(frozen=True, slots=True)
class Phrase:
    """What follows one "the answer is": up to the end of the line, or the next line when that is empty."""

    text: str
    start: int
    """where the phrase itself begins"""
    text_start: int
    """where the text that follows it begins"""
    final: bool


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


def _find_boxed(text: str) -> Answer | None:
    if "box" not in text and "oxed" not in text:
        return None
    span = _boxed_spans(text)
    if span is not None:
        return Answer(_unwrap_boxed(text[span[0] : span[1]]), "boxed", *span)
    bare = None
    for bare in _BARE_BOXED.finditer(text):  # noqa: B007  (only the last one counts)
        pass
    return Answer(bare.group(1), "boxed", *bare.span(1)) if bare else None


def extract_boxed(response: str) -> str | None:
    """Content of the last closed, non-empty `\\boxed{..}` (or `\\fbox{..}`, `\\boxed 5`), nested boxes
    unwrapped; None when there is none. An unclosed box is a cut-off answer and does not count."""
    found = _find_boxed(response[-TAIL_CHARS:])
    return found.text if found else None


def _find_tag(text: str) -> Answer | None:
    if "<" not in text:
        return None
    opened: int | None = None
    closed: tuple[int, int] | None = None
    for match in _TAG.finditer(text):
        if not (match["close"] or match["end"]):
            opened = match.end()
        elif opened is not None:
            if text[opened : match.start()].strip():
                closed = (opened, match.start())
            opened = None
    # Engines cut at the stop string "</answer>" and drop it: an answer that only lacks its end counts.
    if closed is None and opened is not None and 0 < len(text[opened:].strip()) <= 400:
        closed = (opened, len(text))
    if closed is None:
        return None
    start, end = _stripped(text, *closed)
    return Answer(text[start:end], "tag", start, end)


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    inner = text[start:end]
    return start + len(inner) - len(inner.lstrip()), end - len(inner) + len(inner.rstrip())


def extract_answer_tag(response: str) -> str | None:
    """Content of the last non-empty `<answer>..</answer>`; a last tag cut off at its end counts when no
    tag was closed. None when there is none."""
    found = _find_tag(response[-TAIL_CHARS:])
    return found.text if found else None


def find_phrases(text: str) -> list[Phrase]:
    """The last 16 "the answer is ..", "Answer: ..", "correct option is ..", "#### .." in order."""
    phrases = []
    for match in deque(_PHRASE.finditer(text), maxlen=16):
        start = match.end()
        end = text.find("\n", start, start + LINE_CHARS)
        if _ANNOUNCED.search(text[max(0, match.start() - 80) : match.start()]):
            continue
        if end >= 0 and not text[start:end].strip(" \t*_:"):
            start = end + len(text[end : end + LINE_CHARS]) - len(text[end : end + LINE_CHARS].lstrip())
            end = text.find("\n", start, start + LINE_CHARS)
        start, end = _stripped(text, start, end if end >= 0 else min(len(text), start + LINE_CHARS))
        if start < end:
            phrases.append(Phrase(text[start:end], match.start(), start, match.group("final") is not None))
    return phrases


def first_sentence(text: str) -> str:
    """The text up to its first full stop that ends a sentence ("C. 12 cm" and "3.5" go on)."""
    match = _SENTENCE_END.search(text)
    return text[: match.start()] if match else text


def strip_marks(text: str) -> str:
    """Without the emphasis, quotes and full stop around it."""
    stripped = text.strip().strip('*_`"“”').strip()
    return stripped[:-1].rstrip() if stripped.endswith((".", "。")) else stripped


def _marked_in(response: str, start: int, end: int) -> Answer | None:
    """The later of the last box and the last tag between two positions."""
    text = response[start:end]
    boxed, tag = _find_boxed(text), _find_tag(text)
    if tag and (boxed is None or tag.end > boxed.end):
        found = Answer(_unwrap_boxed(tag.text), "tag", tag.start, tag.end)
    elif boxed:
        found = boxed
    else:
        return None
    return Answer(found.text, found.how, start + found.start, start + found.end)


def find_marked(response: str) -> Answer | None:
    """The answer in a box or a tag: after the thought, else inside it when nothing follows the thought."""
    if "<" not in response and "box" not in response and "oxed" not in response:
        return None
    offset = max(0, len(response) - TAIL_CHARS)
    begin = thought_end(response[offset:])
    body = body_span(response, response)
    if begin is None or body is None:
        return _marked_in(response, offset, len(response))
    found = _marked_in(response, body[0], body[1]) or _marked_in(response, offset + begin, len(response))
    if found is None and begin and not response[body[0] : body[1]].strip():
        return _marked_in(response, offset, offset + begin)
    return found


def _lines(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """The spans of the lines that hold something."""
    spans = []
    for line in text[start:end].splitlines(keepends=True):
        if line.strip():
            spans.append((start, start + len(line)))
        start += len(line)
    return spans


def find_answer(response: str) -> Answer:
    """The answer of a response and how it was found.

    What follows `</think>` goes first: there the later of the last \\boxed{} and the last <answer>, then the
    last "the answer is". Then a box or tag inside the thought. Then the text after the thought itself: the
    whole of it when it is one line, else its last line. Closing courtesies and questions that the response asks itself
    are left out. A thought that never ended and a box that was never closed or holds nothing have no plain answer.
    """
    body = body_span(response, response)
    offset = max(0, len(response) - TAIL_CHARS)
    if body is None:
        return _marked_in(response, offset, len(response)) or Answer("", "none")
    start, end = body
    marked = _marked_in(response, start, end) or _marked_in(response, start, len(response))
    if marked:
        return marked
    phrases = find_phrases(response[start:end])
    if phrases:
        last = phrases[-1]
        sentence = first_sentence(last.text)
        begin = start + last.text_start
        return Answer(strip_marks(sentence), "phrase", begin, begin + len(sentence))
    marked = _marked_in(response, offset, start)
    if marked:
        return marked
    lines = _lines(response, start, end)
    if not lines or _OPEN_BOX.search(response[slice(*lines[-1])]):
        return Answer("", "none")
    begin, finish = max(lines[-1][0], lines[-1][1] - LINE_CHARS), lines[-1][1]
    return Answer(strip_marks(response[begin:finish]), "whole" if len(lines) == 1 else "line", begin, finish)


@never_raises
def read_final_answer(response: str) -> Reading[str]:
    """The answer's own text, whatever it is about."""
    answer = find_answer(response)
    return read(answer.text, (answer.start, answer.end), answer.how) if answer.text else unread("no answer found")


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
