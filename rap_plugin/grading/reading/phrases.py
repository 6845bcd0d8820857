"""Phrases that more than one reader looks for."""

from __future__ import annotations

import re

PREMISE = re.compile(
    r"\W*(?:if|when|given that|assuming that|as shown in|without|since|because)\b(?! i (?:had|have) to)"
    r"[^,;.]{3,240}(?:,\s+and\b[^,;.]{3,240}){0,2},\s+",
    re.IGNORECASE,
)
"""What a sentence takes as given before it says something: "If the trees died, .."."""

CONCLUSION = re.compile(r"[,;]\s+(?:and\s+)?(?:so|hence|thus|therefore)\b,?\s+(?!that\b)", re.IGNORECASE)
"""Inside a sentence: what follows is what it comes to."""

_CORRECTS = re.compile(
    r"\b(?:wait|actually|correction|on (?:second thoughts?|reflection|closer (?:look|inspection))|let me correct|i was wrong|sorry|oops|scratch that|i meant?|my mistake"
    r"|(?:double|re)[- ]?check\w*|look(?:ing)? (?:again|closer)|second look|corrected|hmm+|no,(?=\s(?:it|the|that|this|wait|actually|(?-i:[A-J]))\b))",
    re.IGNORECASE,
)


def corrects(text: str) -> bool:
    """Whether a text takes back what stood before it ("wait", "actually")."""
    return bool(_CORRECTS.search(text))
