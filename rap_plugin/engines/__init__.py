"""Engines: what samples a model and measures its attention. Factories load their libraries when called."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rap_plugin.config import ModelConfig
    from rap_plugin.engines.base import Engine


def open_hf(config: ModelConfig) -> Engine:
    """Transformers, in this process: any vision-language model of AutoModelForImageTextToText."""
    # Read once, when torch is first imported: by default its CPU threads spin while they wait, which on a machine that
    # does anything else too multiplies the processor time (measured on 2 busy cores: 17.4 s against 2.5 s a batch).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from rap_plugin.engines.hf import engine

    return engine.open_hf(config)


def open_vllm(config: ModelConfig) -> Engine:
    """vLLM's offline engine, on a GPU or its CPU build."""
    from rap_plugin.engines.vllm import engine

    return engine.open_vllm(config)


def open_openai(config: ModelConfig) -> Engine:
    """Any OpenAI-compatible server; it shows no attention."""
    from rap_plugin.engines import openai

    return openai.open_openai(config)


BUILTIN_ENGINES = {"hf": open_hf, "vllm": open_vllm, "openai": open_openai}
