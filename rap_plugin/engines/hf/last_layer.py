"""Lets a Transformers model run as it is, and shows what goes into its last text layer's attention.

One attention module gets a configuration of its own that names a function of ours, which calls the same kernel
(SDPA where the model has it) as every other layer and hands the post-rotary queries and keys on. Masks are made from the model's
own configuration, so they stay those of that kernel. `remove` puts everything back.
"""

from __future__ import annotations

import copy
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

UNKNOWN = ("s_aux", "sinks", "position_bias", "head_mask")
"""Arguments of attention functions that change the weights in ways `ace` does not compute."""

SOFTMAX_KINDS = {"full_attention", "sliding_attention", "chunked_attention"}
"""Kinds of layers with a softmax over keys, one for every token; others hand a state from token to token."""

UNKNOWN_PARTS = ("sinks", "relative_attention_bias", "indexer")
"""The same as parts of an attention module: known before anything is sampled."""


@dataclass(frozen=True, slots=True)
class LayerInputs:
    """What one attention call was given: query (N, H, q, d) and key (N, Hkv, k, d), post-rotary, cache included."""

    query: Tensor
    key: Tensor
    scaling: float
    sliding_window: int | None
    softcap: float | None


Sink = Callable[[LayerInputs], None]

TELLING_KEYS = 8
"""Keys that a row must see before it can tell one softmax from another."""

TOLERANCE = 0.05
"""Relative difference to the kernel's result in bfloat16, whatever the length; another softmax is far outside."""


class LastLayer:
    """The last text layer's attention of `model`; `reason` says why it cannot be seen, empty where it can."""

    def __init__(self, model: nn.Module) -> None:
        self.sink: Sink | None = None
        self.calls = 0
        self.module, self.reason = find_last_attention(model)
        self._agreed = False
        """The kernel's result was once what the softmax of queries and keys gives."""
        self._name = f"rap_last_layer_{id(self):x}"
        if self.module is None:
            return
        from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

        self._functions = ALL_ATTENTION_FUNCTIONS
        self._kernel = _kernel_of(self.module, ALL_ATTENTION_FUNCTIONS)
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
                scaling = float(query.shape[-1] ** -0.5 if scaling is None else scaling)
                seen = LayerInputs(query, key, scaling, options.get("sliding_window"), options.get("softcap"))
                self._compare(seen, value, result[0])
                if not self.reason:
                    self.sink(seen)
        return result

    def _compare(self, seen: LayerInputs, value: Tensor, result: Tensor) -> None:
        """Once: whether the weights that `ace` computes, times the values, give what the kernel gave.

        So that what an architecture does in the mask or in the kernel, and no argument names, is not measured wrongly.
        """
        if self._agreed or seen.key.shape[2] - seen.query.shape[2] < TELLING_KEYS:
            return
        # One sequence after the other, so that little is copied; the first is the longest, without padding, as a rule.
        self._agreed = any(_error_of_first_row(seen, value, result, n) < TOLERANCE for n in range(len(result)))
        if not self._agreed:
            self.reason = "its attention is not the softmax of the last layer's queries and keys"


def _error_of_first_row(seen: LayerInputs, value: Tensor, result: Tensor, n: int) -> float:
    """Relative error of the first query's result in sequence n; small where nothing of that sequence is padding."""
    last = seen.key.shape[2] - seen.query.shape[2] + 1
    first = 0 if seen.sliding_window is None else max(0, last - seen.sliding_window)
    keys, values = seen.key[n, :, first:last].float(), value[n, :, first:last].float()
    query = seen.query[n, :, 0].float().unflatten(0, (len(keys), -1))  # (key heads, queries of each, size)
    scores = query @ keys.transpose(1, 2) * seen.scaling
    if seen.softcap:
        scores = seen.softcap * torch.tanh(scores / seen.softcap)
    expected = (torch.softmax(scores, dim=-1) @ values).flatten(0, 1)
    got = result[n, 0].float().reshape(expected.shape)
    return float((got - expected).norm() / expected.norm().clamp_min(1e-30))


def find_last_attention(model: nn.Module) -> tuple[nn.Module | None, str]:
    """The last self-attention with a softmax in the language model, or None and the reason.

    It stands in the last layer, or, where linear attention or convolutions end the model, in the last one before them.
    """
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
    for stack in stacks:
        for at in reversed(range(wanted)):
            module = _self_attention(stack[at], text)
            if module is not None:
                reason = _unlike_softmax(module, text)
                return (None, f"{kind}: {reason}") if reason else (module, "")
            if not _is_without_self_attention(stack[at], text, at):
                break
    return None, f"{kind}: the last layer's attention was not found in this architecture"


def _self_attention(layer: nn.Module, text: Any) -> nn.Module | None:
    """What in this layer asks Transformers for an attention function, for keys of the same tokens.

    The vision tower may have as many layers: only the text model's attention shares the text configuration.
    """
    for module in layer.modules():
        if not _same_config(getattr(module, "config", None), text) or getattr(module, "layer_idx", None) is None:
            continue
        code = inspect.unwrap(type(module).forward).__code__
        if "ALL_ATTENTION_FUNCTIONS" in code.co_names and not _is_cross(module):
            return module
    return None


def _is_without_self_attention(layer: nn.Module, text: Any, at: int) -> bool:
    """Whether this layer is one of a mixed model that has no attention among tokens: linear, a convolution, to images."""
    kinds = getattr(text, "layer_types", None)
    if kinds and kinds[at] not in SOFTMAX_KINDS:
        return True
    return any(_is_cross(module) for module in layer.modules())


def _is_cross(module: nn.Module) -> bool:
    return "cross" in type(module).__name__.lower()


def _same_config(found: Any, text: Any) -> bool:
    return found is not None and type(found) is type(text) and found.num_hidden_layers == text.num_hidden_layers


def _unlike_softmax(module: Any, text: Any) -> str:
    """Why the weights of this layer are not those that `ace` computes, empty where they are."""
    kinds = getattr(text, "layer_types", None)
    kind = kinds[module.layer_idx] if kinds and module.layer_idx < len(kinds) else "full_attention"
    if kind not in ("full_attention", "sliding_attention"):
        return f"the attention of its last layer is of the kind {kind}"
    for name in UNKNOWN_PARTS:
        if getattr(module, name, None) is not None:
            return f"its last layer has {name}, which is not part of the computation"
    return ""


def _kernel_of(module: nn.Module, functions: Any) -> Callable[..., Any]:
    """The attention function that this module would call."""
    name = module.config._attn_implementation
    if name in functions:
        return functions[name]  # type: ignore[no-any-return]
    return sys.modules[type(module).__module__].eager_attention_forward  # type: ignore[no-any-return]
