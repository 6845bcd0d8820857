"""Finds the last decoder layer's attention in a vLLM worker, or says why it cannot be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


class UnreadableAttention(Exception):
    """The last layer's attention is not one that `engines.ace` computes: the message says why."""


@dataclass(frozen=True, slots=True)
class LastAttention:
    """The last decoder layer's attention in one worker."""

    name: str
    """As vLLM's forward context knows it."""
    layer: Any
    """vLLM's `Attention` module."""
    cache_group: int
    """Which of the worker's KV cache groups holds its keys."""


def find_last_layer(worker: Any) -> LastAttention | None:
    """The last decoder layer's attention; None on pipeline ranks that hold other layers.

    Raises UnreadableAttention where its attention is not plain causal softmax attention over a plain cache.
    """
    from vllm.distributed import get_pp_group
    from vllm.model_executor.layers.attention import Attention
    from vllm.model_executor.models.utils import extract_layer_index

    config = worker.vllm_config
    parallel = config.parallel_config
    if config.speculative_config is not None:
        raise UnreadableAttention("speculative decoding mixes drafts into the batch")
    if getattr(parallel, "decode_context_parallel_size", 1) > 1:
        raise UnreadableAttention("context parallelism splits a sequence's keys over ranks")
    if getattr(parallel, "prefill_context_parallel_size", 1) > 1:
        raise UnreadableAttention("context parallelism splits a sequence's keys over ranks")
    if config.kv_transfer_config is not None:
        raise UnreadableAttention("keys that a KV connector brings are not seen")
    if not get_pp_group().is_last_rank:
        return None
    groups = worker.model_runner.kv_cache_config.kv_cache_groups
    of_group = {name: at for at, group in enumerate(groups) for name in group.layer_names}
    last = worker.model_config.hf_text_config.num_hidden_layers - 1
    layers = config.compilation_config.static_forward_context
    named = [name for name in of_group if name in layers and extract_layer_index(name) == last]
    if len(named) != 1:
        raise UnreadableAttention(f"layer {last}, the last, has {len(named)} attention caches instead of one")
    name = named[0]
    layer = layers[name]
    kind = f"{name} is {type(layer).__name__}"
    if type(layer) is not Attention or str(layer.attn_type) not in ("decoder", "AttentionType.DECODER"):
        raise UnreadableAttention(f"{kind}, not plain decoder attention")
    impl = layer.impl
    if layer.sliding_window is not None:
        raise UnreadableAttention(f"{kind} with a sliding window, whose keys are dropped on the way")
    if layer.has_sink or getattr(impl, "sinks", None) is not None:
        raise UnreadableAttention(f"{kind} with attention sinks")
    if getattr(impl, "alibi_slopes", None) is not None:
        raise UnreadableAttention(f"{kind} with ALiBi")
    if layer.kv_sharing_target_layer_name is not None:
        raise UnreadableAttention(f"{kind} that shares the cache of another layer")
    if layer.kv_cache_torch_dtype != worker.model_config.dtype or layer.query_quant is not None:
        raise UnreadableAttention(
            f"{kind} with a {layer.kv_cache_dtype} cache, whose keys are not the ones it was given"
        )
    return LastAttention(name, layer, of_group[name])
