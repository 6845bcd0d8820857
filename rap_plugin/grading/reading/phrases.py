"""Phrases that more than one reader looks for."""

from __future__ import annotations

import re

PREMISE = re.compile(
    r"\W*(?:if|when|given that|assuming that|as shown in|without|since|because)\b(?! i (?:had|have) to)"
    r"[^,;.]{3,240}(?:,\s+and\b[^,;.]{3,240}){0,2},\s+",
    re.IGNORECASE,
)
"""What a sentence takes as given before it says something: "If the trees died, .."."""
