"""From a prompt to a model's tensors: the processor's own chat template, one prompt at a time, then padded batches."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from rap_plugin.rollout import Prompt
from rap_plugin.samples.sample import IMAGE


@dataclass(frozen=True, slots=True)
class Prepared:
    """One prompt as the processor gives it, on the CPU, unpadded; L tokens, image tokens included."""

    ids: Tensor
    """(L,) token ids."""
    positions: Tensor
    """(axes, L) positions: one axis, or three where the model has multimodal rotary positions."""
    next_position: int
    """The position of the first response token on every axis."""
    aligned: dict[str, Tensor] = field(default_factory=dict)
    """Further (L,) inputs, one number a token, such as token types."""
    visual: dict[str, Tensor] = field(default_factory=dict)
    """Pixels and what describes them; the first axis counts patches, tiles or images."""

    @property
    def length(self) -> int:
        return len(self.ids)


def chat_messages(prompt: Prompt) -> list[dict[str, Any]]:
    """The prompt as chat messages, its `<image>` placeholders replaced by the images in order."""
    texts = prompt.text.split(IMAGE)
    if len(texts) - 1 != len(prompt.images):
        raise ValueError(f"{len(texts) - 1} {IMAGE} placeholders for {len(prompt.images)} images")
    content: list[dict[str, Any]] = []
    for at, text in enumerate(texts):
        if at:
            image = prompt.images[at - 1]
            content.append({"type": "image", "image": image if image.mode == "RGB" else image.convert("RGB")})
        if text:
            content.append({"type": "text", "text": text})
    system = [{"role": "system", "content": [{"type": "text", "text": prompt.system}]}] if prompt.system else []
    return [*system, {"role": "user", "content": content}]


def prepare(prompt: Prompt, processor: Any, model: Any) -> Prepared:
    """Runs the processor on one prompt. Raises whatever the processor raises; nothing is ever truncated."""
    return prepare_messages(chat_messages(prompt), processor, model)


def prepare_messages(
    messages: Sequence[Mapping[str, Any]], processor: Any, model: Any, options: Mapping[str, Any] | None = None
) -> Prepared:
    """The same for ready chat messages with their images inside; `options` go to the chat template."""
    inputs = processor.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt", **(options or {})
    )
    ids = inputs.pop("input_ids")[0]
    inputs.pop("attention_mask", None)
    aligned, visual = {}, {}
    for name, value in inputs.items():
        if value is None:
            continue
        value = torch.as_tensor(value)
        if value.shape == (1, len(ids)) and not value.is_floating_point():
            aligned[name] = value[0]
        else:
            visual[name] = value
    positions = _positions(ids, aligned, visual, model)
    return Prepared(ids, positions, int(positions.max()) + 1, aligned, visual)


def _positions(ids: Tensor, aligned: dict[str, Tensor], visual: dict[str, Tensor], model: Any) -> Tensor:
    """Positions of a prompt's tokens, (1, L), or (3, L) from the model where it has multimodal rotary positions."""
    inner = getattr(model, "model", model)
    text = torch.arange(len(ids))[None]
    rope_index = getattr(inner, "get_rope_index", None)
    if rope_index is None:
        return text
    if not visual:
        return text.expand(3, -1)
    known = inspect.signature(rope_index).parameters
    given = {name: value for name, value in visual.items() if name in known}
    given |= {name: value[None] for name, value in aligned.items() if name in known}
    positions, _ = rope_index(input_ids=ids[None], attention_mask=torch.ones_like(ids)[None], **given)
    return positions[:, 0]


@dataclass(frozen=True, slots=True)
class Batch:
    """B prompts, padded in front to P tokens, on the model's device."""

    inputs: dict[str, Tensor]
    """What the model's forward takes: input_ids (B, P), attention_mask (B, P), position_ids, visual inputs."""
    starts: list[int]
    """Index of each prompt's first token."""
    next_positions: Tensor
    """(B,) position of the first response token."""


class Unlike(ValueError):
    """These prompts' visual inputs have shapes that do not go into one batch."""


def collate(prompts: Sequence[Prepared], pad: int, model: Any, takes_positions: bool) -> Batch:
    """Pads prompts in front and joins their visual inputs in order; raises Unlike where those do not fit together."""
    device, dtype = model.device, model.dtype
    width = max(prompt.length for prompt in prompts)
    inputs = {
        "input_ids": _left_padded([prompt.ids for prompt in prompts], width, pad),
        "attention_mask": _left_padded([torch.ones_like(prompt.ids) for prompt in prompts], width, 0),
    }
    for name in sorted({name for prompt in prompts for name in prompt.aligned}):
        none = torch.zeros(0, dtype=torch.long)
        rows = [prompt.aligned.get(name, none) for prompt in prompts]
        inputs[name] = _left_padded(rows, width, 0)
    for name in sorted({name for prompt in prompts for name in prompt.visual}):
        parts = [prompt.visual[name] for prompt in prompts if name in prompt.visual]
        if any(part.ndim != parts[0].ndim or part.shape[1:] != parts[0].shape[1:] for part in parts):
            raise Unlike(f"{name} has different shapes")
        joined = torch.cat(parts)
        inputs[name] = joined.to(dtype) if joined.is_floating_point() else joined
    if takes_positions:
        axes = [_left_padded([prompt.positions[axis] for prompt in prompts], width, 0) for axis in _axes(prompts)]
        inputs["position_ids"] = axes[0] if len(axes) == 1 else torch.stack(axes)
    return Batch(
        {name: value.to(device) for name, value in inputs.items()},
        [width - prompt.length for prompt in prompts],
        torch.tensor([prompt.next_position for prompt in prompts], device=device),
    )


def _axes(prompts: Sequence[Prepared]) -> range:
    return range(len(prompts[0].positions))


def _left_padded(rows: Sequence[Tensor], width: int, pad: int) -> Tensor:
    out = torch.full((len(rows), width), pad, dtype=rows[0].dtype)
    for at, row in enumerate(rows):
        if len(row):
            out[at, width - len(row) :] = row
    return out
