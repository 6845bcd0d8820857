"""A response as plain text of the same length, and its sentences: every position is a position of the response."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_WIDE = {chr(0xFF01 + n): chr(0x21 + n) for n in range(94)} | {"　": " ", "【": "[", "】": "]", "〔": "[", "〕": "]"}
_WIDE |= {"、": ",", "“": '"', "”": '"', "’": "'", "‘": "'", "–": "-", "—": "-", "−": "-", "⇒": "→", "➡": "→"}
_WIDE |= {"\u00a0": " ", "\u200b": " ", "\ufeff": " ", "\t": " ", "\r": " ", "\u2003": " ", "\u202f": " "}
_WIDE |= {"•": " ", "▪": " ", "‣": " ", "►": " ", "✓": " ", "✔": " ", "✅": " ", "●": " "}
_WIDE = {wide: plain for wide, plain in _WIDE.items() if wide not in "。"}
_TABLE = str.maketrans(_WIDE)
_COMMAND = re.compile(
    r"\\{1,2}(?:text(?:bf|it|rm|sf|tt)?|math(?:bf|rm|it|sf|tt)|mbox|boxed|fbox|underline|bm|boldsymbol|emph)\s?\{"
    r"|\x08oxed\{|\\(?:left|right)(?![A-Za-z])|\\[()\[\],;:! ]|\\\\|</?(?:b|i|em|strong|u|br|p)\s?/?>"
)
_ARROW = re.compile(r"[-=]{1,2}>")
# "Answer = B" gives a letter, no equation.
_ASSIGNED = re.compile(r"\b(?:answer|ans|option|choice)\b\s{0,3}=(?=\s{0,3}[(\[]?\s?[A-Ja-j]\b)", re.IGNORECASE)
_QUOTED = re.compile(r"(?<![A-Za-z0-9])'([A-J])'(?![A-Za-z0-9])")
_MARKS = re.compile(
    r"[*`$\"{}~]|<(?=[A-J]>)|(?<=<[A-J])>|\\(?=\s|$)|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|^[ ]{0,4}[#>]{1,6}",
    re.MULTILINE,
)
# "(b)" and "option b" name an option as "(B)" does; "f(b)" and "the answer is a dog" do not.
_SMALL = re.compile(
    r"(?<![\w)\]])[(\[]\s?([a-j])\s?[)\]]|\b[Oo]ption\s([b-j])(?![\w'])|^[ ]{0,8}([a-j])[ ]{0,4}(?:[.):]\s?)?$"
    r"|\b(?:answer(?:\sis)?|choose|pick|select)[ :]{1,3}([b-j])(?=[ ]{0,4}(?:[.,;)]|$))|^[ ]{0,8}([a-j])[.)](?=\s)",
    re.MULTILINE,
)

_ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:e\.g|i\.e|etc|vs|cf|approx|fig|eq|no|st|mr|mrs|ms|dr|[A-Za-z])$", re.IGNORECASE
)
_END = re.compile(r"[.!?]+[\")\]]{0,3}(?=\s|$)|[。！？]+|\n+")
# The answer to "Which planet is shown?" is C.
_GOES_ON = re.compile(r"\s+(?:is|are|was|would be|should be|must be)\s")
_ITEM_MARK = re.compile(r"^[\s\-(\[]{0,6}(?:option |answer[: ]{1,2})?[A-Ja-j0-9]{1,2}$", re.IGNORECASE)

MAX_SENTENCE = 1_000
"""A longer sentence is cut at a space: what follows stays linear in the length of a response."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a plain text: `plain[start:end]`."""

    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


def _blank(match: re.Match[str]) -> str:
    return " " * len(match.group())


def plain_text(response: str) -> str:
    """The response without markup, full-width forms as ASCII, option letters in upper case; as long as it was."""
    # Most short responses hold none of these signs.
    text = response.translate(_TABLE)
    if ">" in text:
        text = _ARROW.sub(lambda m: "→" + " " * (len(m.group()) - 1), text)
    if "\\" in text or "<" in text or "\x08" in text:
        text = _COMMAND.sub(_blank, text)
    if "=" in text:
        text = _ASSIGNED.sub(lambda m: m.group().replace("=", ":"), text)
    if "'" in text:
        text = _QUOTED.sub(lambda m: f" {m.group(1)} ", text)
    text = _MARKS.sub(" ", text)
    return _SMALL.sub(lambda m: m.group().replace(m.group(m.lastindex or 0), m.group(m.lastindex or 0).upper()), text)


def sentences(text: str, start: int = 0) -> Iterator[Sentence]:
    """The sentences of a plain text, each on one line, without the white space around them."""
    begin = 0
    for match in [*_END.finditer(text), None]:
        stop = match.end() if match else len(text)
        if match and match.group()[0] == "?" and _GOES_ON.match(text, match.end()):
            continue
        if match and match.group()[0] == ".":
            before = text[begin : match.start()]
            if _ITEM_MARK.match(before) or (_ABBREVIATION.search(before[-8:]) and not _ends_a_clause(text, match)):
                continue
        while stop - begin > MAX_SENTENCE:
            cut = text.rfind(" ", begin + 1, begin + MAX_SENTENCE)
            cut = cut if cut > begin else begin + MAX_SENTENCE
            yield from _sentence(text[begin:cut], start + begin)
            begin = cut
        yield from _sentence(text[begin:stop], start + begin)
        begin = stop


def _sentence(part: str, start: int) -> Iterator[Sentence]:
    stripped = part.strip()
    if stripped:
        yield Sentence(stripped, start + len(part) - len(part.lstrip()))


def _ends_a_clause(text: str, match: re.Match[str]) -> bool:
    # "The answer is B. It .." ends there; "B. text" and "Dr. Who" go on.
    after = text[match.end() :].lstrip(" ")[:2]
    return (
        after[:1] in ("", "\n") or bool(re.search(r"\s[A-J]$|\)$", text[max(0, match.start() - 3) : match.start()]))
    ) and (not text[match.end() : match.end() + 1].strip())
