"""What engine `vllm` can be told, and the arguments that vLLM is started with."""

from __future__ import annotations

import contextlib
import json
import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rap_plugin.config import ModelConfig

CPU_CACHE_GB = 2.0
"""KV cache on a CPU, where vLLM's own default is nearly all memory of the machine."""

CPU_STEP_TOKENS = 4096
"""Tokens read in one step on a CPU."""

GPU_SHARE = 0.88
"""Of a GPU's memory for vLLM (its own default is 0.92): the rest holds the mirror of keys and the queries kept."""

KEPT_GB = 2.0
"""Per rank, for the queries and keys of responses that are sampled or not yet reduced."""

_SPELLED = {name: name for name in ("float32", "bfloat16", "float16")} | {"float": "float32", "half": "float16"}
"""vLLM's names of number formats as the evidence has them."""

OPTIONS: dict[str, str] = {
    "tensor_parallel_size": "GPUs that share each layer (default 1)",
    "gpu_memory_utilization": f"share of each GPU's memory for vLLM (default {GPU_SHARE})",
    "kv_cache_gb": f"size of the KV cache in GB; default: what the GPU has left, or {CPU_CACHE_GB:g} on a CPU",
    "max_model_len": "longest prompt + response; default: what the sampling settings need, at most what the model has",
    "max_num_seqs": "responses decoded together (default: vLLM's)",
    "max_num_batched_tokens": "tokens read in one step (default: vLLM's)",
    "enforce_eager": "true: no compilation and no CUDA graphs; starts faster, samples slower (default false; CPU: true)",
    "attention_gb": f"GB per GPU for the queries and keys of ACE; responses beyond it are read again (default {KEPT_GB:g})",
    "second_copy": "true: engine hf measures attention where vLLM cannot, with a copy of the weights (default false)",
    "sleep": "true: `sleep` gives the GPU's memory to others until `wake` (default false)",
    "engine_args": "mapping of further arguments of vLLM's EngineArgs, taken as they are",
}
"""Names in `model.options`, with what they mean."""


def engine_arguments(
    config: ModelConfig, folder: str, length: int, device: str, pixels: tuple[int, int] | None = None
) -> dict[str, Any]:
    """Arguments of vLLM's `LLM` for this configuration.

    `pixels` are the least and most of an image, where they are configured and the model's processor bounds them.
    """
    options = config.options
    arguments: dict[str, Any] = {
        "model": folder,
        "dtype": resolve_dtype(config, device),
        "max_model_len": length,
        "trust_remote_code": config.trust_remote_code,
        "tensor_parallel_size": int(options.get("tensor_parallel_size", 1)),
        "enforce_eager": bool(options.get("enforce_eager", device == "cpu")),
        "enable_prefix_caching": True,
        "worker_extension_cls": "rap_plugin.engines.vllm.capture.CaptureExtension",
        # The model itself is sampled: a repository's top_k or penalties are not part of the method.
        "generation_config": "auto",
        "seed": 0,
    }
    if device == "cpu":
        if "VLLM_CPU_KVCACHE_SPACE" not in os.environ:
            arguments["kv_cache_memory_bytes"] = int(CPU_CACHE_GB * 2**30)
        # Small blocks: the last, unfinished block of a prompt is computed by each of its rollouts.
        arguments["block_size"] = 32
        arguments |= whole_prompts(length)
    else:
        arguments["gpu_memory_utilization"] = float(options.get("gpu_memory_utilization", GPU_SHARE))
        # Attention is called between graphs, where it can be read; a full graph would hide it while decoding.
        arguments["compilation_config"] = {"cudagraph_mode": "PIECEWISE"}
    if options.get("kv_cache_gb"):
        arguments["kv_cache_memory_bytes"] = int(float(options["kv_cache_gb"]) * 2**30)
    for name in ("max_num_seqs", "max_num_batched_tokens"):
        if options.get(name):
            arguments[name] = int(options[name])
    if options.get("sleep"):
        arguments["enable_sleep_mode"] = device != "cpu"
    given = dict(options.get("engine_args") or {})
    if pixels is not None:
        bounds = {"min_pixels": pixels[0], "max_pixels": pixels[1]}
        given["mm_processor_kwargs"] = {**(given.get("mm_processor_kwargs") or {}), **bounds}
    return arguments | given


def resolve_dtype(config: ModelConfig, device: str) -> str:
    """The number format that vLLM gets for this configuration."""
    if config.dtype != "auto":
        return config.dtype
    return "float32" if device == "cpu" else "bfloat16"


def known_dtype(config: ModelConfig) -> str:
    """The number format that responses will be sampled in, told without starting vLLM; "" where `engine_args` leave it to
    vLLM. Its CPU build says what it is in its name or version."""
    given = str((config.options.get("engine_args") or {}).get("dtype", ""))
    if given:
        return _SPELLED.get(given.removeprefix("torch."), "")
    # The CPU build comes as version 0.29.0+cpu of `vllm`, or as a distribution of its own.
    for distribution in ("vllm", "vllm-cpu"):
        with contextlib.suppress(PackageNotFoundError):
            built_for = "cpu" if "cpu" in distribution + version(distribution) else "cuda"
            return resolve_dtype(config, built_for)
    return ""


def whole_prompts(length: int) -> dict[str, Any]:
    """Arguments with which vLLM's CPU build reads no prompt in parts; `length` is max_model_len.

    vLLM 0.29 rewinds a seeded generator after a part of a prompt, which PyTorch's CPU generator cannot do: the engine dies
    with the first batch of seeded prompts that does not fit into one step.
    """
    return {"enable_chunked_prefill": False, "max_num_batched_tokens": max(length, CPU_STEP_TOKENS)}


def context_length(folder: Path) -> int | None:
    """max_position_embeddings of the text model in config.json, None where it does not say."""
    try:
        settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    for part in (settings.get("text_config") or {}, settings.get("llm_config") or {}, settings):
        if isinstance(part.get("max_position_embeddings"), int):
            return int(part["max_position_embeddings"])
    return None
