"""The other prompt of a row on its way to verl's actor: an agent loop that tokenises it beside the response.

    actor_rollout_ref.rollout.agent.agent_loop_config_path="$(rap path verl-contrastive-agent)"
    actor_rollout_ref.rollout.agent.default_agent_loop=rap_contrastive +data.rap.contrastive=k3

Sampling is verl's own single turn. What its actor needs for the contrastive loss goes along in `extra_fields`, which stay with a response
up to the training step (`contrastive_engine.py`). verl imports this file itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from verl.experimental.agent_loop.agent_loop import AgentLoopOutput, AgentLoopWorker, register
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop

from rap_plugin.verl_hooks.options import contrastive_of

FIELD = "rap_contrastive"
"""In `extra_fields`: {loss, ids, position_ids}; ids is None for a row without the other prompt."""


@register(FIELD)
class ContrastiveAgentLoop(SingleTurnAgentLoop):  # type: ignore[misc]
    """`SingleTurnAgentLoop`, whose responses know the other prompt of their row."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.contrastive, self.other_key = contrastive_of(self.data_config.get("rap") or {})

    async def run(self, sampling_params: dict[str, Any], **kwargs: Any) -> AgentLoopOutput:
        output = await super().run(sampling_params, **kwargs)
        note: dict[str, Any] = {"loss": asdict(self.contrastive), "ids": None, "position_ids": None}
        other = kwargs.get(self.other_key)
        if other is not None and len(other):
            messages = with_images(list(other), list(kwargs["raw_prompt"]))
            images = (output.multi_modal_data or {}).get("images")
            ids = await self.ct_build_initial_tokens(messages, images=images)
            note |= {"ids": ids, "position_ids": self._positions(output, ids)}
        output.extra_fields[FIELD] = note
        return output

    def _positions(self, output: AgentLoopOutput, ids: Sequence[int]) -> torch.Tensor:
        """Position ids of the other prompt and the response, by the functions with which verl's worker makes its own."""
        tokens = torch.tensor([*ids, *output.response_ids])
        # Both functions of the worker read only the processor and the tokenizer, which a loop has as well.
        pixels = AgentLoopWorker._compute_multi_modal_inputs(self, output, tokens)
        mask = torch.ones_like(tokens)[None]
        found: torch.Tensor = AgentLoopWorker._compute_position_ids(self, tokens[None], mask, pixels)
        return found.squeeze(0)


def with_images(messages: Sequence[Mapping[str, Any]], sampled: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Messages with `<image>` in their texts -> messages of parts, with the images of the sampled prompt in their order."""
    images = iter(_images_of(sampled))
    made = []
    for message in messages:
        content: Any = message["content"]
        if isinstance(content, str) and "<image>" in content:
            pieces = [piece for piece in re.split("(<image>)", content) if piece]
            content = [next(images) if piece == "<image>" else {"type": "text", "text": piece} for piece in pieces]
        made.append({**message, "content": content})
    return made


def _images_of(messages: Sequence[Mapping[str, Any]]) -> Iterator[Any]:
    for message in messages:
        if isinstance(message["content"], list):
            yield from (part for part in message["content"] if part.get("type") == "image")
