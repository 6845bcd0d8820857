"""From lmms-eval's messages to a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rap_plugin.errors import RapError
from rap_plugin.rollout import Prompt
from rap_plugin.samples.sample import IMAGE


def first_turn(name: str, messages: Sequence[dict[str, Any]], model: str) -> Prompt:
    """The first user turn as a prompt: images where they stand, the system message beside it."""
    text, system, images = [], "", []
    for message in messages:
        content = message["content"]
        for part in [{"type": "text", "text": content}] if isinstance(content, str) else content:
            if message["role"] == "system":
                system += part.get("text", "")
            elif part["type"] == "image":
                images.append(part["url"])
                text.append(IMAGE + "\n")
            elif part["type"] == "text":
                text.append(part["text"].replace(IMAGE, ""))
            else:
                raise RapError(f"{name}: --model {model} takes images and text, not {part['type']}")
    return Prompt(name, "image" if images else "blind", "".join(text), tuple(images), system)
