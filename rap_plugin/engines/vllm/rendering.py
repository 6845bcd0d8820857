"""A prompt as vLLM takes it: the chat template's tokens, with the images processed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rap_plugin.engines.pixels import narrowed, pixel_bounds, processor_bounds, resized, too_many_tokens
from rap_plugin.engines.vllm.running import RunningVLLM
from rap_plugin.errors import one_line
from rap_plugin.rollout import Prompt, Response, Sampling

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class RenderedPrompt:
    """What vLLM is given for one prompt, once for all of its rollouts."""

    inputs: dict[str, Any]
    length: int
    """Tokens, those of the images included."""


def render(vllm: RunningVLLM, prompt: Prompt, sampling: Sampling) -> RenderedPrompt | Response:
    """The prompt's inputs, or the response that says why it cannot be sampled."""
    limit = min(sampling.max_prompt_tokens, vllm.length - 1)
    try:
        ids, images = prompt_tokens(vllm, prompt)
        if len(ids) > limit:  # before minutes are spent on its images
            return _overlong(vllm, prompt, ids, sampling)
        rendered = process(vllm, ids, images)
    except Exception as error:
        return Response(0, status="engine_error", error=f"the processor failed: {one_line(error)}")
    if rendered.length > limit:
        return _overlong(vllm, prompt, rendered.inputs["prompt_token_ids"], sampling)
    return rendered


def prompt_tokens(vllm: RunningVLLM, prompt: Prompt) -> tuple[list[int], list[Image]]:
    """The chat template's tokens, one mark for each image, and the images as they are handed over."""
    from rap_plugin.engines.hf import chat

    messages = chat.chat_messages(_resized(vllm, prompt))
    text = vllm.processor.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=False, **prompt.template_options
    )
    tokenizer = vllm.processor.tokenizer
    start = tokenizer.bos_token
    ids = tokenizer.encode(text, add_special_tokens=not (start and text.startswith(start)))
    images = [part["image"] for message in messages for part in message["content"] if "image" in part]
    return ids, images


def process(vllm: RunningVLLM, ids: list[int], images: Sequence[Image]) -> RenderedPrompt:
    """vLLM's own processing: each image's mark becomes as many tokens as the image takes. Raises what vLLM raises."""
    given: dict[str, Any] = {"prompt_token_ids": ids}
    if images:
        given["multi_modal_data"] = {"image": list(images)}
    inputs = dict(vllm.llm.renderer.render_cmpl([given])[0])
    return RenderedPrompt(inputs, len(inputs["prompt_token_ids"]))


def _resized(vllm: RunningVLLM, prompt: Prompt) -> Prompt:
    """The prompt with its images within the configured pixels, where the processor does not see to that."""
    bounds = pixel_bounds(vllm.config)
    if bounds is None or processor_bounds(getattr(vllm.processor, "image_processor", None)) is not None:
        return prompt
    return replace(prompt, images=tuple(resized(image, bounds) for image in prompt.images))


def _overlong(vllm: RunningVLLM, prompt: Prompt, ids: Sequence[int], sampling: Sampling) -> Response:
    if len(ids) <= sampling.max_prompt_tokens:
        reason = f"the prompt has {len(ids)} tokens, the model's context is {vllm.length}"
        return Response(0, prompt_tokens=len(ids), status="overlong", error=reason)
    image_token = getattr(vllm.processor, "image_token_id", None)
    bounds = processor_bounds(getattr(vllm.processor, "image_processor", None))
    reason = too_many_tokens(
        len(ids),
        sum(token == image_token for token in ids),
        sampling.max_prompt_tokens,
        [image.size for image in prompt.images],
        None if bounds is None else narrowed(bounds, vllm.config)[1],
    )
    return Response(0, prompt_tokens=len(ids), status="overlong", error=reason)
