"""A prompt as vLLM takes it: the chat template's tokens, with the images processed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rap_plugin.engines.vllm.running import RunningVLLM
from rap_plugin.errors import one_line
from rap_plugin.rollout import Prompt, Response, Sampling


@dataclass(frozen=True, slots=True)
class RenderedPrompt:
    """What vLLM is given for one prompt, once for all of its rollouts."""

    inputs: dict[str, Any]
    length: int
    """Tokens, those of the images included."""


def render(vllm: RunningVLLM, prompt: Prompt, sampling: Sampling) -> RenderedPrompt | Response:
    """The prompt's inputs, or the response that says why it cannot be sampled."""
    from rap_plugin.engines.hf import chat

    limit = min(sampling.max_prompt_tokens, vllm.length - 1)
    try:
        messages = chat.chat_messages(prompt)
        text = vllm.processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        tokenizer = vllm.processor.tokenizer
        start = tokenizer.bos_token
        ids = tokenizer.encode(text, add_special_tokens=not (start and text.startswith(start)))
        if len(ids) > limit:  # before minutes are spent on its images
            return _overlong(len(ids), sampling, vllm)
        given: dict[str, Any] = {"prompt_token_ids": ids}
        if prompt.images:
            images = [part["image"] for message in messages for part in message["content"] if "image" in part]
            given["multi_modal_data"] = {"image": images}
        inputs = dict(vllm.llm.renderer.render_cmpl([given])[0])
    except Exception as error:
        return Response(0, status="engine_error", error=f"the processor failed: {one_line(error)}")
    length = len(inputs["prompt_token_ids"])
    return RenderedPrompt(inputs, length) if length <= limit else _overlong(length, sampling, vllm)


def _overlong(length: int, sampling: Sampling, vllm: RunningVLLM) -> Response:
    if length > sampling.max_prompt_tokens:
        reason = f"the prompt has {length} tokens, max_prompt_tokens is {sampling.max_prompt_tokens}"
    else:
        reason = f"the prompt has {length} tokens, the model's context is {vllm.length}"
    return Response(0, prompt_tokens=length, status="overlong", error=reason)
