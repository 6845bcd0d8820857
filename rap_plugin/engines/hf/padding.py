"""Prompts of different lengths side by side: padded in front, their visual inputs joined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rap_plugin.engines.hf.chat import ModelInputs


@dataclass(frozen=True, slots=True)
class PaddedBatch:
    """B prompts, padded in front to P tokens, on the model's device."""

    inputs: dict[str, Tensor]
    """What the model's forward takes: input_ids (B, P), attention_mask (B, P), position_ids, visual inputs."""
    starts: list[int]
    """Index of each prompt's first token."""
    next_positions: Tensor
    """(B,) position of the first response token."""


class ShapesDiffer(ValueError):
    """These prompts' visual inputs have shapes that do not go into one batch."""


def pad_prompts(prompts: Sequence[ModelInputs], pad: int, model: Any, takes_positions: bool) -> PaddedBatch:
    """Pads prompts in front and joins their visual inputs in order; raises ShapesDiffer where those do not fit together."""
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
            raise ShapesDiffer(f"{name} has different shapes")
        joined = torch.cat(parts)
        inputs[name] = joined.to(dtype) if joined.is_floating_point() else joined
    if takes_positions:
        axes = [_left_padded([prompt.positions[axis] for prompt in prompts], width, 0) for axis in _axes(prompts)]
        inputs["position_ids"] = axes[0] if len(axes) == 1 else torch.stack(axes)
    return PaddedBatch(
        {name: value.to(device) for name, value in inputs.items()},
        [width - prompt.length for prompt in prompts],
        torch.tensor([prompt.next_position for prompt in prompts], device=device),
    )


def _axes(prompts: Sequence[ModelInputs]) -> range:
    return range(len(prompts[0].positions))


def _left_padded(rows: Sequence[Tensor], width: int, pad: int) -> Tensor:
    out = torch.full((len(rows), width), pad, dtype=rows[0].dtype)
    for at, row in enumerate(rows):
        if len(row):
            out[at, width - len(row) :] = row
    return out
