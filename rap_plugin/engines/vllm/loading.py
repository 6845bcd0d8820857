"""Starts vLLM for one model: processor, end tokens, and vLLM's own `LLM`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from rap_plugin.config import ModelConfig
from rap_plugin.engines.chat_template import require_ending
from rap_plugin.engines.pixels import narrowed, pixel_bounds, processor_bounds
from rap_plugin.engines.vllm.options import context_length, engine_arguments
from rap_plugin.engines.vllm.processes import EngineProcesses, children
from rap_plugin.engines.vllm.running import RunningVLLM
from rap_plugin.errors import RapError, one_line
from rap_plugin.rollout import Sampling


def needed_length(config: ModelConfig, folder: Path, sampling: Sampling) -> int:
    """max_model_len for prompts and responses of these lengths, at most what the model has."""
    if config.options.get("max_model_len"):
        return int(config.options["max_model_len"])
    # One token for the row of the last one, one because vLLM wants room for a token behind every prompt.
    needed = sampling.max_prompt_tokens + sampling.max_new_tokens + 2
    return min(needed, context_length(folder) or needed)


def load_vllm(config: ModelConfig, folder: Path, length: int) -> RunningVLLM:
    """Starts vLLM for sequences of at most `length` tokens. Raises RapError where it cannot start."""
    # vLLM reports its start from three processes; VLLM_LOGGING_LEVEL=INFO brings that back.
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    try:
        from transformers import AutoProcessor
        from vllm import LLM
        from vllm.platforms import current_platform
    except ImportError as missing:
        raise RapError(
            f"engine vllm cannot import vLLM ({one_line(missing)}); install it with: pip install 'rap-plugin[vllm]'"
        ) from None
    device = current_platform.device_type
    if config.device not in ("auto", device):
        raise RapError(f"engine vllm runs on {device} here, not on {config.device}; set model.device to auto")
    try:
        processor = AutoProcessor.from_pretrained(str(folder), trust_remote_code=config.trust_remote_code)
        if not getattr(processor, "chat_template", None):
            raise RapError(f"{config.id}: has no chat template; use an instruction-tuned model")
        require_ending(config.id, processor.chat_template)
        bounds = processor_bounds(getattr(processor, "image_processor", None))
        pixels = None if bounds is None or pixel_bounds(config) is None else narrowed(bounds, config)
        before = children()
        llm = LLM(**engine_arguments(config, str(folder), length, device, pixels))
    except RapError:
        raise
    except Exception as error:
        reason = one_line(first_cause(error))
        raise RapError(f"{config.id}: vLLM cannot start it ({reason}); see model.options, or engine hf") from error
    processes = EngineProcesses([*(children() - before)])
    return RunningVLLM(llm, processes, config, device, length, processor, end_tokens(folder, processor))


def end_tokens(folder: Path, processor: Any) -> frozenset[int]:
    """The tokens that end a response: the tokeniser's own and those of generation_config.json."""
    from transformers import GenerationConfig

    try:
        ends = GenerationConfig.from_pretrained(str(folder)).eos_token_id
    except OSError:
        ends = None
    found = {processor.tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])}
    return frozenset(token for token in found if token is not None)


def first_cause(error: BaseException) -> BaseException:
    """What vLLM said first: its engine process reports failures as a message that names another."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error
