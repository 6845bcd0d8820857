"""The prompts of the modality gap (arXiv 2510.22836): the facts of a diagram in words beside it, or in the diagram alone."""

from __future__ import annotations

from collections.abc import Sequence

from rap_plugin.samples.sample import IMAGE

LOOK = "Use the information in the image to answer the question."


def text_prompt(facts: Sequence[str], question: str) -> str:
    """The question after the facts in words; an image stands beside it all the same."""
    return f"{', '.join(facts)}, answer the question: {question}" if facts else f"Answer the question: {question}"


def image_prompt(question: str) -> str:
    """The question after the instruction to look: the facts stand in the image alone."""
    return f"{LOOK} {question}"


def facts_prompt(question: str, facts: Sequence[str]) -> str:
    """`text_prompt` of a question with placeholders: images in front stay there, others in the question."""
    marks, rest = split_marks(question)
    return marks + text_prompt(facts, rest)


def split_marks(question: str) -> tuple[str, str]:
    """(the placeholders in front of a question, the rest of it)."""
    rest = question
    while rest.startswith(IMAGE):
        rest = rest[len(IMAGE) :].lstrip()
    return IMAGE * (question.count(IMAGE) - rest.count(IMAGE)), rest
