"""How a benchmark's problem becomes a prompt, in the same way for all benchmarks."""

from __future__ import annotations

import hashlib
from typing import Literal

from rap_plugin.evaluation.item import Kind

Form = Literal["reasoned", "direct"]

THINK = "First think about it inside <think> </think>, step by step. Then give the final answer in \\boxed{{}}{what}."
WHAT: dict[Kind, str] = {
    "choice": ": the letter of the option, nothing else",
    "yes_no": ": yes or no",
    "number": "",
    "maths": "",
    "wanted": "",
    "covered": ": the covered texts, as they stand in the image",
}


def prompt_text(question: str, kind: Kind, form: Form = "reasoned", direct: str | None = None) -> str:
    """The question and an instruction on its own line: to think and box the answer, or the official `direct` one.

    The same text goes with and without the images, so that only the images differ between the two.
    """
    if form == "direct":
        if direct is None:
            raise ValueError("this benchmark has no direct form")
        return f"{question}\n{direct}"
    return f"{question}\n{THINK.format(what=WHAT[kind])}"


def without_form(text: str) -> str:
    """A prompt without the reasoned form's instruction at its end: for models that answer in a form of their own."""
    for what in WHAT.values():
        text = text.removesuffix(f"\n{THINK.format(what=what)}")
    return text


PROMPT_HASH = hashlib.sha256("\0".join((THINK, *WHAT.values())).encode()).hexdigest()[:12]
"""Hash of the words of the reasoned form; recorded with every result."""
