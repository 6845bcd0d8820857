"""A response that repeats its prompt: the options and numbers in the repetition are the prompt's, not the response's."""

from __future__ import annotations

import re
from functools import lru_cache

from rap_plugin.evaluation.item import BenchmarkItem
from rap_plugin.evaluation.prompts import THINK, WHAT

MIN_CHARS = 12
"""A shorter question can be a part of an answer ("What is x?")."""
MAX_CHARS = 4_000
"""A longer question is looked for exactly as it is."""


def without_echo(item: BenchmarkItem, response: str) -> str:
    """The response with spaces in the place of every repetition of its question and instruction, as long as it was."""
    for text in (item.question, THINK.format(what=WHAT[item.kind])):
        if len(text) >= MIN_CHARS and text[:8].split(maxsplit=1)[0] in response:
            response = _pattern(text).sub(lambda match: " " * len(match.group()), response)
    return response


@lru_cache(maxsize=256)
def _pattern(text: str) -> re.Pattern[str]:
    """The words of a text with any white space between them; line ends of the response stay as they are."""
    words = text[:MAX_CHARS].split()
    return re.compile(r"\s{1,20}".join(map(re.escape, words)) if len(text) <= MAX_CHARS else re.escape(text))
