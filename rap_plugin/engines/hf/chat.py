"""From a prompt to a model's tensors: the processor's own chat template, one prompt at a time."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from torch import Tensor

from rap_plugin.engines.hf.together import NOT_SHOWN, Piece, read_together
from rap_plugin.rollout import Prompt
from rap_plugin.samples.sample import IMAGE


@dataclass(frozen=True, slots=True)
class ModelInputs:
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


def prepare(prompt: Prompt, processor: Any, model: Any) -> ModelInputs:
    """Runs the processor on one prompt. Raises whatever the processor raises; nothing is ever truncated."""
    return prepare_messages(chat_messages(prompt), processor, model, prompt.template_options)


def prepare_messages(
    messages: Sequence[Mapping[str, Any]], processor: Any, model: Any, options: Mapping[str, Any] | None = None
) -> ModelInputs:
    """The same for ready chat messages with their images inside; `options` go to the chat template."""
    inputs = processor.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt", **(options or {})
    )
    ids, aligned, visual = inputs["input_ids"][0], {}, {}
    for name, value in inputs.items():
        if value is None or name in NOT_SHOWN:
            continue
        value = torch.as_tensor(value)
        if value.shape == (1, len(ids)) and not value.is_floating_point():
            aligned[name] = value[0]
        else:
            visual[name] = value
    return with_positions((ids, aligned, visual), model)


def prepare_together(
    prompts: Sequence[Prompt], processor: Any, model: Any, known: dict[str, bool]
) -> list[ModelInputs] | None:
    """`prepare` for several prompts in one call; None where each is to be prepared by itself. See `together` on `known`."""
    if len({repr(prompt.template_options) for prompt in prompts}) > 1:
        return None

    def many() -> Any:
        return processor.apply_chat_template(
            [chat_messages(prompt) for prompt in prompts],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": True},
            **prompts[0].template_options,
        )

    def one(at: int) -> Piece:
        made = prepare(prompts[at], processor, model)
        return made.ids, made.aligned, made.visual

    pieces = read_together(known, "prompts", processor, [prompt.images for prompt in prompts], many, one)
    return None if pieces is None else [with_positions(piece, model) for piece in pieces]


def with_positions(piece: Piece, model: Any) -> ModelInputs:
    """The same tensors with the positions of their tokens."""
    positions = positions_of(*piece, model)
    return ModelInputs(piece[0], positions, int(positions.max()) + 1, *piece[1:])


def positions_of(ids: Tensor, aligned: dict[str, Tensor], visual: dict[str, Tensor], model: Any) -> Tensor:
    """Positions of a prompt's tokens, (1, L), or (axes, L) from the model where it has multimodal rotary positions."""
    text = torch.arange(len(ids))[None]
    rope_index = getattr(getattr(model, "model", None), "get_rope_index", None) or getattr(
        model, "get_rope_index", None
    )
    if rope_index is None:
        return text
    if not visual:
        return text.expand(_rotary_axes(model), -1)
    known = _parameters(getattr(rope_index, "__func__", rope_index))
    given = {name: value for name, value in visual.items() if name in known}
    given |= {name: value[None] for name, value in aligned.items() if name in known}
    positions, _ = rope_index(input_ids=ids[None], attention_mask=torch.ones_like(ids)[None], **given)
    return positions[:, 0]


@cache
def _parameters(function: Callable[..., Any]) -> frozenset[str]:
    return frozenset(inspect.signature(function).parameters)


def _rotary_axes(model: Any) -> int:
    """Time, height and width, or as many axes as the rotary dimensions are shared out over."""
    rope = getattr(model.config.get_text_config(), "rope_parameters", None) or {}
    return max(3, len(rope.get("mrope_section") or ()))


def image_tokens(inputs: ModelInputs, processor: Any, model: Any) -> int:
    """How many of a prompt's tokens stand for images; 0 where the model's image token is not known."""
    if not inputs.visual:
        return 0
    for owner, name in (
        (model.config, "image_token_id"),
        (model.config, "image_token_index"),
        (processor, "image_token_id"),
    ):
        token = getattr(owner, name, None)
        if isinstance(token, int):
            return int((inputs.ids == token).sum())
    return 0
