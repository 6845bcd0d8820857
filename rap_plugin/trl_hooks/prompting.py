"""Prompts as TRL's trainers build them from a row, and the same prompt without its images for the blind arm."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rap_plugin.errors import RapError
from rap_plugin.hosts.pool import row_numbers
from rap_plugin.rollout import Prompt
from rap_plugin.samples.sample import IMAGE

if TYPE_CHECKING:
    from rap_plugin.engines.hf.chat import ModelInputs

PROMPT_VERSION = 1
"""Raised when the prompt of the same row changes: old evidence is then not mixed in."""

IMAGE_COLUMNS = ("images", "image")
"""Where TRL looks for images, in its order."""

HEAD = 8
"""Rows that are looked at before anything is sampled."""


@dataclass
class TRLPrompts:
    """Everything that makes a row a prompt."""

    dataset: Any
    image_column: str
    template_options: Mapping[str, Any] = field(default_factory=dict)
    """The trainer's `chat_template_kwargs`."""
    run: Path | None = None
    """The run directory, whose store knows the row of each sample once the pool is read."""
    rows: Mapping[str, int] = field(default_factory=dict)
    """Row number by sample id; read from `run` at the first prompt where it is empty."""

    def hash(self, processor: Any) -> str:
        """16 hexadecimal digits that change with the prompts of the same questions."""
        content = {
            "recipe": PROMPT_VERSION,
            "trl": True,
            "chat_template": getattr(processor, "chat_template", None),
            "options": dict(self.template_options),
            # A sample is its question, images and answer; the system message is no part of its identity.
            "system": sorted(_system_messages(self.dataset["prompt"])),
        }
        text = json.dumps(content, sort_keys=True, default=str)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def prepare(self, prompt: Prompt, processor: Any, network: Any) -> ModelInputs:
        """The tensors of one arm: the row's own images, those of the intervention, or none."""
        from rap_plugin.engines.hf import chat

        if not self.rows and self.run is not None:
            self.rows = row_numbers(self.run)
        messages = chat_of(self.dataset[self.rows[prompt.sample_id]], self.image_column)
        if prompt.arm == "blind":
            messages = with_images(messages, list(prompt.images))
        return chat.prepare_messages(messages, processor, network, self.template_options)


def read_prompts(dataset: Any, template_options: Mapping[str, Any] | None = None) -> TRLPrompts:
    """The prompts of a data set in a shape that TRL's GRPOTrainer and RLOOTrainer train a vision-language model on.

    Raises RapError where TRL would refuse it later, with what to change.
    """
    require_rows(dataset)
    columns = dataset.column_names
    column = next((name for name in IMAGE_COLUMNS if name in columns), None)
    if column is None:
        raise RapError(
            f"the data set has no column images or image, and the selection is about images; columns: {', '.join(columns)}"
        )
    _check_head(dataset.with_format(None))
    return TRLPrompts(dataset.with_format(None), column, dict(template_options or {}))


def require_rows(dataset: Any) -> None:
    """Raises RapError for what is no data set of rows with a prompt."""
    import datasets

    if not isinstance(dataset, datasets.Dataset):
        raise RapError(
            f"the data set is a {type(dataset).__name__}; give one datasets.Dataset (a split; for a stream, its first rows)"
        )
    if not len(dataset):
        raise RapError("the data set has no rows")
    if "prompt" not in dataset.column_names and dataset.format["type"] != "custom":
        raise RapError(
            f"the data set has no column prompt, which TRL reads; columns: {', '.join(dataset.column_names)}"
        )


def chat_of(row: Mapping[str, Any], image_column: str) -> list[dict[str, Any]]:
    """The row's prompt as messages of parts with its images inside, as `GRPOTrainer` makes it.

    Raises ValueError where the images do not fill the prompt's image places, as TRL does.
    """
    from trl import prepare_multimodal_messages

    value = row[image_column]
    images = [] if value is None else value if isinstance(value, list) else [value]
    messages: list[dict[str, Any]] = prepare_multimodal_messages(
        row["prompt"], images=[_picture(one) for one in images]
    )
    return messages


def with_images(messages: list[dict[str, Any]], images: list[Any]) -> list[dict[str, Any]]:
    """The messages with their images replaced in order, or without their image parts where there are no `images`."""
    rest = iter(images)
    replaced = []
    for message in messages:
        parts = [
            {**part, "image": next(rest)} if part["type"] == "image" else part
            for part in message["content"] or ()
            if images or part["type"] != "image"
        ]
        replaced.append({**message, "content": parts})
    return replaced


def without_images(prompt: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row's prompt as messages of parts, its image places left out."""
    messages = []
    for message in prompt:
        content = message.get("content") or []
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else list(content)
        messages.append({**message, "content": parts})
    return with_images(messages, [])


def _check_head(dataset: Any) -> None:
    for prompt in dataset["prompt"][: min(HEAD, len(dataset))]:
        if isinstance(prompt, str):
            raise RapError(
                "the column prompt holds texts, and TRL trains with images on conversations only; "
                "map it to [{'role': 'user', 'content': text}]"
            )
        for message in prompt or ():
            if isinstance(message.get("content"), str) and IMAGE in message["content"]:
                raise RapError(
                    f"the column prompt holds {IMAGE} as text, and TRL puts the images in front itself; take it out, "
                    "or write parts: [{'type': 'image'}, {'type': 'text', 'text': ..}]"
                )


def _system_messages(prompts: Any) -> set[str]:
    return {
        json.dumps(message.get("content"), sort_keys=True, default=str)
        for prompt in prompts
        for message in prompt or ()
        if message.get("role") == "system"
    }


def _picture(value: Any) -> Any:
    """A picture from what `datasets` gives: PIL where the column is an Image, else {bytes, path}."""
    if not isinstance(value, Mapping):
        return value
    from rap_plugin.samples.images import image_bytes, open_image

    return open_image(image_bytes(value, Path.cwd(), allow_urls=False))
