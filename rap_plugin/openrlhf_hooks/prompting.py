"""Prompts as OpenRLHF builds them, and the same prompt without its images for the blind arm."""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from rap_plugin.executors.prompts import without_placeholders
from rap_plugin.rollout import Prompt

PROMPT_VERSION = 1
"""Raised when the text of a blind prompt changes for the same arguments."""

IMAGE_PARTS = frozenset(("image", "image_url", "input_image"))
"""Values of `type` that a chat message's image part has."""

WRAPPERS = (
    ("<|vision_start|>", "<|vision_end|>"),  # Qwen2-VL and later
    ("<img>", "</img>"),  # InternVL
    ("<start_of_image>", "<end_of_image>"),  # Gemma 3
    ("<|image_start|>", "<|image_end|>"),  # Llama 4
)
"""Tokens around an image token that have no meaning without it."""


@dataclass(frozen=True)
class OpenRLHFPrompts:
    """Everything that makes a row of the dataset a prompt: the run's arguments and its processor."""

    processor: Any
    input_key: str
    label_key: str
    image_key: str
    input_template: str | None
    chat: bool

    @staticmethod
    def of(args: SimpleNamespace, processor: Any) -> OpenRLHFPrompts:
        """The prompts of a training run."""
        data = args.data
        return OpenRLHFPrompts(
            processor,
            data.input_key,
            data.label_key,
            data.image_key,
            data.input_template,
            bool(data.apply_chat_template),
        )

    def hash(self, agent: str | None = None) -> str:
        """16 hexadecimal digits that change with the prompts, or with the agent file that answers them."""
        content = {
            "recipe": PROMPT_VERSION,
            "input_template": self.input_template,
            "chat_template": getattr(self.processor, "chat_template", None) if self.chat else None,
            "agent": hashlib.sha256(Path(agent).read_bytes()).hexdigest() if agent else None,
        }
        text = json.dumps(content, sort_keys=True, default=str)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def build(self, row: Mapping[str, Any], prompt: Prompt) -> tuple[str, Any, Any]:
        """(prompt text, label, images) of one arm, each as the trainer would hand it to the engines.

        In the image arm the images are the row's own values; in the blind arm those of `prompt` (the intervention),
        or none, and then the prompt is built from the row without its image places.
        """
        if prompt.arm == "image":
            text, label = self._preprocess(row)
            return text, label, row.get(self.image_key)
        if prompt.images:
            text, label = self._preprocess(row)
            return text, label, list(prompt.images)
        if self.chat:
            text, label = self._preprocess({**row, self.input_key: without_images(row[self.input_key])})
        else:
            text, label = self._preprocess(row)
            text = without_image_tokens(text, getattr(self.processor, "image_token", None))
        return text, label, None

    def _preprocess(self, row: Mapping[str, Any]) -> tuple[str, Any]:
        from openrlhf.datasets.prompts_dataset import preprocess_data

        template = self.processor.apply_chat_template if self.chat else None
        text, label = preprocess_data(row, self.input_template, self.input_key, self.label_key, template)
        return text, label


def without_images(chat: Any) -> Any:
    """A chat (messages, or a text) with its image parts and `<image>` tags taken out."""
    if isinstance(chat, str):
        return without_placeholders(chat)
    messages = copy.deepcopy(chat)
    for message in messages:
        content = message.get("content")
        if isinstance(content, str):
            message["content"] = without_placeholders(content)
        elif isinstance(content, list):
            message["content"] = [
                part for part in content if not (isinstance(part, Mapping) and part.get("type") in IMAGE_PARTS)
            ]
    return messages


def without_image_tokens(text: str, token: str | None) -> str:
    """A ready-made prompt with the model's image tokens taken out, and what stands around them."""
    if not token:
        return without_placeholders(text)
    core = f"(?:{re.escape(token)})+"
    for front, back in WRAPPERS:
        text = re.sub(rf"{re.escape(front)}\s*{core}\s*{re.escape(back)}\n?", "", text)
    return re.sub(rf"{core}\n?", "", text)
