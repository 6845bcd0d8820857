"""What a model makes of a prompt before it says anything: the state of its last token behind the last layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from rap_plugin.engines.hf.chat import ModelInputs
from rap_plugin.engines.hf.decoding import prefill
from rap_plugin.engines.hf.loading import LoadedModel
from rap_plugin.engines.hf.padding import pad_prompts


def prompt_states(model: LoadedModel, prompts: Sequence[ModelInputs]) -> Tensor:
    """(N, D) what the output embedding is given at the last token of each prompt, as float32 on the CPU. One prefill."""
    seen: list[Tensor] = []

    def keep(module: Any, given: tuple[Tensor, ...]) -> None:
        seen.append(given[0][:, -1])

    batches = [prompts] if model.pads else [[prompt] for prompt in prompts]
    handle = model.network.get_output_embeddings().register_forward_pre_hook(keep)
    try:
        with torch.inference_mode():
            for batch in batches:
                prefill(model, pad_prompts(batch, model.pad_id, model.network, model.takes_positions))
    finally:
        handle.remove()
    return torch.cat(seen).float().cpu()
