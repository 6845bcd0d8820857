"""The part of a response that can hold its answer: after the thought, before invented follow-ups and courtesies."""

from __future__ import annotations

import re

from rap_plugin.grading.reading.plain import sentences

TAIL_CHARS = 64_000
"""Answers are looked for in the last 64,000 characters of a response; no training set-up answers later."""

# Qwen, DeepSeek and GLM write <think>; Kimi-VL, Sky-T1 and a few prompts have marks of their own.
_THINK_END = re.compile(r"</(?:think(?:ing)?|reasoning|thought)>|◁/think▷|<\|end_of_thought\|>", re.IGNORECASE)
_THINK_BEGIN = re.compile(r"\s{0,100}(?:<think(?:ing)?>|◁think▷|<\|begin_of_thought\|>)", re.IGNORECASE)
_FOLLOW_UP = re.compile(
    r"\n[ \t*#]{0,6}(?:(?:question|problem|example|exercise)(?: \d{1,3})?|human|user|q\d{0,3}|问题|問題)[ \t*]{0,4}[:：]",
    re.IGNORECASE,
)
# What a model's template puts after its turn; some servers leave it in.
_TURN_END = re.compile(
    r"</s>|<\|(?:im_end|endoftext|eot_id|end|end_of_text|eom_id)\|>|<end_of_turn>|<eos>|<｜end▁of▁sentence｜>"
)
_COURTESY = re.compile(
    r"^\W*(?:i )?(?:really )?hope (?:this|that|it|my)\b|\blet me know\b|\bfeel free\b|^\W*(?:is|was) there anything else"
    r"|\b(?:glad|happy|here) to (?:help|assist|explain)\b|^\W*(?:do|would|did|can|could|shall|should|may) (?:you|i|we)\b"
    r"[^.]{0,200}\?|^\W*(?:thank you|thanks|good luck|you're welcome|you are welcome|cheers|best regards|have a (?:nice|great))\b"
    r"|^\W*(?:any|if you have (?:any )?)(?: other| more| further)?\s?questions?\b|\bany (?:other|more|further) questions\b"
    r"|^\W*(?:does|did) (?:this|that) (?:help|make sense|answer)|\bplease (?:ask|don't hesitate|do not hesitate)\b"
    r"|希望.{0,12}(?:帮助|幫助)|如果.{0,20}(?:问题|疑问|問題).{0,20}|(?:谢谢|不客气|祝你)",
    re.IGNORECASE,
)
# A word of every courtesy: most texts hold none, and their sentences need not be found.
_COURTEOUS = re.compile(
    r"hope|let me know|feel free|anything else|\b(?:glad|happy|here) to|\b(?:do|would|did|can|could|shall|should|may) (?:you|i|we)\b|thank|luck|welcome"
    r"|cheers|regards|have a|question|\b(?:does|did) th|please|希望|如果|谢谢|不客气|祝你",
    re.IGNORECASE,
)
_CUT_BOX = re.compile(r"\\(?:boxed|fbox)\s?\{[^}]{0,2000}$")
_OPENING = re.compile(
    r"^\W*(?:sure|certainly|of course|okay|ok|great question|understood|i understand|i see(?= the image| it\b|[,.!:])(?: the image| it)?|absolutely|"
    r"no problem|alright|got it)\b[^.!?\n]{0,80}?(?:[.!:]|,? (?:i can|let me|let's|here)[^.!?\n]{0,80}[.!:])\s*",
    re.IGNORECASE,
)


def cut_box(response: str, start: int, end: int) -> bool:
    """Whether a text ends inside a box: an answer that was cut off."""
    return "box" in response and bool(_CUT_BOX.search(response, max(start, end - 2_100), end))


def thought_end(response: str) -> int | None:
    """Where the text after the thought begins: after the last `</think>` or its like; 0 without a thought; None when a thought was
    opened and never closed."""
    if "<" not in response and "◁" not in response:
        return 0
    last = None
    for last in _THINK_END.finditer(response):  # noqa: B007  (only the last one counts)
        pass
    if last is not None:
        return last.end()
    return None if _THINK_BEGIN.match(response) else 0


def without_courtesies(plain: str, start: int, end: int) -> tuple[int, int]:
    """The span without "Sure, I can help" at its start and "I hope this helps!" at its end."""
    tail_start = max(start, end - 600)
    if tail_start > start:
        line = plain.find("\n", tail_start, end)
        tail_start = line if line >= 0 else tail_start
    courteous = _COURTEOUS.search(plain, tail_start, end)
    for sentence in reversed(list(sentences(plain[tail_start:end], tail_start)) if courteous else []):
        if not _COURTESY.search(sentence.text):
            break
        if sentence.start > start:
            end = sentence.start
    opening = _OPENING.match(plain[start : start + 200])
    if opening and opening.end() < len(plain[start:end].rstrip()):
        start += opening.end()
    return start, end


def body_span(response: str, plain: str) -> tuple[int, int] | None:
    """(start, end) of the text in which an unmarked answer can stand; None for a thought that never ended.

    Base models go on after their answer with questions of their own ("Question: .."): these are not the response.
    """
    offset = max(0, len(response) - TAIL_CHARS)
    begin = thought_end(response[offset:])
    if begin is None:
        return None
    start, end = offset + begin, len(response)
    for turn_end in _TURN_END.finditer(response, start) if "<" in response else ():
        if response[start : turn_end.start()].strip():
            end = turn_end.start()
            break
    for follow_up in _FOLLOW_UP.finditer(plain, start, end) if "\n" in plain else ():
        if plain[start : follow_up.start()].strip():
            end = follow_up.start()
            break
    return without_courtesies(plain, start, end)
