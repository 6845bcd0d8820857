"""Engine `vllm`: vLLM's offline engine in a process of its own, on GPUs or with its CPU build.

Attention is read inside vLLM's workers while responses are sampled (`capture`); a response that was not seen
then, and stored responses, get a prefill of prompt + response (`reading`). Whether the architecture can be read is known
before anything is sampled.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rap_plugin.config import ModelConfig
from rap_plugin.engines.base import not_measured
from rap_plugin.engines.facts import vision_facts, vision_tokens
from rap_plugin.engines.pixels import bound_processor, pixel_bounds
from rap_plugin.engines.turns import TurnQueue, VisionFacts
from rap_plugin.engines.vllm.loading import load_vllm, needed_length
from rap_plugin.engines.vllm.options import OPTIONS, known_dtype
from rap_plugin.engines.vllm.reading import read_attention
from rap_plugin.engines.vllm.running import RunningVLLM
from rap_plugin.engines.vllm.sampling import SampledRollout, sample
from rap_plugin.engines.vllm.turns import continue_turns
from rap_plugin.engines.weights import find_model, identify
from rap_plugin.errors import RapError
from rap_plugin.rollout import Attention, ModelIdentity, Prompt, Request, Response, Sampling

if TYPE_CHECKING:
    from rap_plugin.engines.hf.engine import HFEngine

BATCH_SIZE = 512
"""Responses handed over at a time: enough that the scheduler's running batch stays full."""


def open_vllm(config: ModelConfig) -> VLLMEngine:
    """Opens `config.id`, a folder or a hub id; vLLM itself starts with the first call that needs it."""
    return VLLMEngine(config)


class VLLMEngine:
    """Both arms, M rollouts each, and their attention; see `engines.base.Engine` for the contract."""

    name = "vllm"
    measures_attention = True

    def __init__(self, config: ModelConfig) -> None:
        unknown = sorted(set(config.options) - set(OPTIONS))
        if unknown:
            raise RapError(f"engine vllm has no option {unknown[0]!r} in model.options; known: {', '.join(OPTIONS)}")
        if importlib.util.find_spec("vllm") is None:
            raise RapError("engine vllm needs vLLM; install it with: pip install 'rap-plugin[vllm]'")
        pixel_bounds(config)  # a least above the most is said now
        self._config = config
        self._folder = find_model(config.id, config.revision, code=config.trust_remote_code)
        self.identity: ModelIdentity = replace(identify(config.id, self._folder), dtype=known_dtype(config))
        self.batch_size: int = config.batch_size or BATCH_SIZE
        self._running: RunningVLLM | None = None
        self._asleep = False
        self._copy: HFEngine | None = None

    # -- the contract ---------------------------------------------------------------------------------------------

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[list[Response]]:
        """Samples every wanted rollout; one list per request, in order."""
        if not requests:
            return []
        rows = sample(self._start(sampling), requests, sampling, measure=False)
        return [[sampled.response for sampled in row] for row in rows]

    def generate_with_attention(
        self, requests: Sequence[Request], sampling: Sampling
    ) -> list[list[tuple[Response, Attention]]]:
        """`generate`, with attention read from the same forward passes."""
        if not requests:
            return []
        vllm = self._start(sampling)
        readable = not vllm.start_capture()
        rows = sample(vllm, requests, sampling, measure=readable)
        self._measure_unseen(requests, rows, sampling)
        return [
            [(sampled.response, sampled.attention or not_measured(sampled.response.error)) for sampled in row]
            for row in rows
        ]

    def attention(
        self, prompts: Sequence[tuple[Prompt, Sequence[Sequence[int]]]], sampling: Sampling
    ) -> list[list[Attention]]:
        """Measures given responses with a prefill each; one list per prompt, one entry per response."""
        if not prompts:
            return []
        vllm = self._start(sampling)
        unreadable = vllm.start_capture()
        if not unreadable:
            return read_attention(vllm, prompts, sampling)
        if self._config.options.get("second_copy"):
            return self._second_copy().attention(prompts, sampling)
        return [[not_measured(unreadable) for _ in responses] for _, responses in prompts]

    def continue_turns(self, queue: TurnQueue, sampling: Sampling, stops: Sequence[str]) -> None:
        """Writes turns on until the queue is empty; see `engines.turns.ContinuesTurns`."""
        vllm = self._start(sampling)
        banned = vision_tokens(vllm.processor, self._settings())
        continue_turns(vllm, queue, sampling, stops, self.batch_size, banned)

    def vision(self) -> VisionFacts:
        """How the model sees images, from its files."""
        from transformers import AutoProcessor

        processor = AutoProcessor.from_pretrained(str(self._folder), trust_remote_code=self._config.trust_remote_code)
        bound_processor(processor.image_processor, self._config)
        return vision_facts(self._settings(), processor)

    def _settings(self) -> Any:
        from rap_plugin.engines.hf.loading import model_settings

        return model_settings(self._config, self._folder)

    def attention_problem(self, sampling: Sampling) -> str:
        """Starts vLLM; why attention cannot be measured, empty where it can."""
        unreadable = self._start(sampling).start_capture()
        if unreadable and self._config.options.get("second_copy"):
            return self._second_copy().attention_problem(sampling)
        return f"{unreadable}; or set model.options.second_copy=true" if unreadable else ""

    def close(self) -> None:
        """Ends vLLM's processes and gives its memory back."""
        if self._copy is not None:
            self._copy.close()
            self._copy = None
        if self._running is not None:
            self._running.stop()
            self._running = None
        self._asleep = False

    # -- sharing a GPU --------------------------------------------------------------------------------------------

    def sleep(self) -> None:
        """Moves the weights to the CPU and frees the GPU until `wake` (or the next call). Needs option `sleep`."""
        if self._running is None or self._asleep:
            return
        if not self._config.options.get("sleep"):
            raise RapError("engine vllm was opened without model.options.sleep=true; set it to let the engine sleep")
        self._running.stop_capture()
        self._running.llm.sleep(level=1)
        self._asleep = True

    def wake(self) -> None:
        """Takes the GPU's memory back; without `sleep` before, nothing happens."""
        if self._running is not None and self._asleep:
            self._running.llm.wake_up()
            self._asleep = False

    # -- inside ---------------------------------------------------------------------------------------------------

    def _start(self, sampling: Sampling) -> RunningVLLM:
        """vLLM, started for prompts and responses of these lengths."""
        if self._running is not None and self._running.stopped:
            self.close()
        self.wake()
        length = needed_length(self._config, self._folder, sampling)
        if self._running is not None and self._running.length < length:
            self.close()
        if self._running is None:
            self._running = load_vllm(self._config, self._folder, length)
        return self._running

    def _measure_unseen(
        self, requests: Sequence[Request], rows: Sequence[Sequence[SampledRollout]], sampling: Sampling
    ) -> None:
        """Measures responses whose attention was not seen while they were sampled, in a pass of their own."""
        unseen = [
            (request.prompt, [one for one in row if one.response.status == "ok" and one.attention is None])
            for request, row in zip(requests, rows, strict=True)
        ]
        unseen = [(prompt, row) for prompt, row in unseen if row]
        given = [(prompt, [one.response.token_ids for one in row]) for prompt, row in unseen]
        for (_, row), found in zip(unseen, self.attention(given, sampling), strict=True):
            for one, attention in zip(row, found, strict=True):
                one.attention = attention

    def _second_copy(self) -> HFEngine:
        """Engine hf over the same weights, which measures where vLLM's attention cannot be read."""
        if self._copy is None:
            from rap_plugin.engines.hf.engine import open_hf

            self._copy = open_hf(self._config.model_copy(update={"options": {}, "engine": "hf"}))
        return self._copy
