"""Lets a Transformers model run as it is, and shows what goes into its last text layer's attention.

One attention module gets a configuration of its own that names a function of ours, which calls the same SDPA
kernel as every other layer and hands the post-rotary queries and keys on. Masks are made from the model's
own configuration, so they stay those of SDPA. `remove` puts everything back.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

UNKNOWN = ("s_aux", "sinks", "position_bias", "head_mask")
"""Arguments of attention functions that change the weights in ways `ace` does not compute."""


@dataclass(frozen=True, slots=True)
class LayerInputs:
    """What one attention call was given: query (N, H, q, d) and key (N, Hkv, k, d), post-rotary, cache included."""

    query: Tensor
    key: Tensor
    scaling: float
    sliding_window: int | None
    softcap: float | None


Sink = Callable[[LayerInputs], None]


class LastLayer:
    """The last text layer's attention of `model`; `reason` says why it cannot be seen, empty where it can."""

    def __init__(self, model: nn.Module) -> None:
        self.sink: Sink | None = None
        self.calls = 0
        self.module, self.reason = find_last_attention(model)
        self._name = f"rap_last_layer_{id(self):x}"
        if self.module is None:
            return
        from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

        self._functions = ALL_ATTENTION_FUNCTIONS
        self._kernel = ALL_ATTENTION_FUNCTIONS["sdpa"]
        self._config = self.module.config
        own = copy.copy(self._config)
        own._attn_implementation = self._name
        # Set on the shared mapping under a name of our own, and taken off again in `remove`.
        self._functions[self._name] = self._attend
        self.module.config = own

    @contextmanager
    def showing(self, sink: Sink) -> Iterator[None]:
        """Within this block every call of the layer goes to `sink`, and `calls` counts them."""
        self.sink, self.calls = sink, 0
        try:
            yield
        finally:
            self.sink = None

    def remove(self) -> None:
        """Puts the module's configuration back and takes our name off the shared mapping."""
        if self.module is not None:
            self.module.config = self._config
            self._functions.pop(self._name, None)
            self.module = None

    def _attend(
        self, module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, **options: Any
    ) -> Any:
        result = self._kernel(module, query, key, value, attention_mask, **options)
        if self.sink is not None:
            self.calls += 1
            for name in UNKNOWN:
                if options.get(name) is not None:
                    self.reason = f"its attention uses {name}, which is not part of the computation"
            if not self.reason:
                scaling = options.get("scaling")
                self.sink(
                    LayerInputs(
                        query,
                        key,
                        float(query.shape[-1] ** -0.5 if scaling is None else scaling),
                        options.get("sliding_window"),
                        options.get("softcap"),
                    )
                )
        return result


def find_last_attention(model: nn.Module) -> tuple[nn.Module | None, str]:
    """The self-attention of the language model's last layer, or None and the reason."""
    kind = type(model).__name__
    config: Any = model.config
    text = config.get_text_config()
    wanted = int(getattr(text, "num_hidden_layers", 0))
    if getattr(config, "is_encoder_decoder", False):
        return None, f"{kind}: an encoder-decoder model has no self-attention from response to prompt"
    stacks = [
        module
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and name.rpartition(".")[2] == "layers" and len(module) == wanted > 0
    ]
    # The vision tower may have as many layers: only the text model's attention shares the text configuration.
    for stack in stacks:
        for module in stack[-1].modules():
            if getattr(module, "layer_idx", None) == wanted - 1 and _same_config(getattr(module, "config", None), text):
                if getattr(module, "q_proj", None) is None and getattr(module, "qkv_proj", None) is None:
                    continue
                if getattr(text, "_attn_implementation", None) != "sdpa":
                    return None, f"{kind}: runs {text._attn_implementation} attention, not sdpa"
                return module, ""
    return None, f"{kind}: the last layer's attention was not found in this architecture"


def _same_config(found: Any, text: Any) -> bool:
    return found is not None and type(found) is type(text) and found.num_hidden_layers == text.num_hidden_layers
