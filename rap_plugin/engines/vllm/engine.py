"""Engine `vllm`: vLLM's offline engine in a process of its own, on GPUs or with its CPU build.

Attention is read inside vLLM's workers while responses are sampled (`capture`); a response that was not seen
then, and stored responses, get a prefill of prompt + response (`reading`). Whether the architecture can be read is known
before anything is sampled.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rap_plugin.config import ModelConfig
from rap_plugin.engines.base import not_measured, sample_all
from rap_plugin.engines.facts import vision_facts, vision_tokens
from rap_plugin.engines.pixels import bound_processor, pixel_bounds
from rap_plugin.engines.turns import TurnQueue, VisionFacts
from rap_plugin.engines.vllm.loading import load_vllm, needed_length
from rap_plugin.engines.vllm.options import OPTIONS, known_dtype
from rap_plugin.engines.vllm.reading import read_attention
from rap_plugin.engines.vllm.running import ANSWER_WITHIN_S, RunningVLLM
from rap_plugin.engines.vllm.sampling import RolloutStream
from rap_plugin.engines.vllm.turns import continue_turns
from rap_plugin.engines.weights import find_model, identify
from rap_plugin.errors import RapError
from rap_plugin.rollout import Attention, ModelIdentity, Prompt, Request, Response, Sampling

if TYPE_CHECKING:
    from rap_plugin.engines.hf.engine import HFEngine

BATCH_SIZE, CPU_BATCH_SIZE = 512, 128
"""Responses at work and waiting by default, on a GPU and on a CPU: enough that the scheduler's running batch stays full.

A waiting prompt holds its processed images: tens of megabytes for a picture of a million pixels.
"""


def open_vllm(config: ModelConfig) -> VLLMEngine:
    """Opens `config.id`, a folder or a hub id; vLLM itself starts with the first call that needs it."""
    return VLLMEngine(config)


class VLLMEngine:
    """Both arms, M rollouts each, and their attention; see `engines.base.Engine` for the contract."""

    name = "vllm"
    measures_attention = True
    lanes = 1

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
        self.answer_within_s = ANSWER_WITHIN_S
        self._running: RunningVLLM | None = None
        self._stream: RolloutStream | None = None
        self._sampling = Sampling()
        self._asleep = False
        self._copy: HFEngine | None = None

    # -- the contract ---------------------------------------------------------------------------------------------

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[list[Response]]:
        """Samples every wanted rollout; one list per request, in order."""
        if not requests:
            return []
        return [[response for response, _ in row] for row in sample_all(self, requests, sampling, measure=False)]

    def generate_with_attention(
        self, requests: Sequence[Request], sampling: Sampling
    ) -> list[list[tuple[Response, Attention]]]:
        """`generate`, with attention read from the same forward passes, or from a pass of its own where it was not seen."""
        if not requests:
            return []
        rows = sample_all(self, requests, sampling, measure=True)
        unseen = [
            (at, [n for n, (response, seen) in enumerate(row) if response.status == "ok" and seen is None])
            for at, row in enumerate(rows)
        ]
        unseen = [(at, places) for at, places in unseen if places]
        given = [(requests[at].prompt, [rows[at][n][0].token_ids for n in places]) for at, places in unseen]
        for (at, places), found in zip(unseen, self.attention(given, sampling), strict=True):
            for n, attention in zip(places, found, strict=True):
                rows[at][n] = (rows[at][n][0], attention)
        return [[(response, seen or not_measured(response.error)) for response, seen in row] for row in rows]

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
        self._stream = None
        self._asleep = False

    # -- streaming ------------------------------------------------------------------------------------------------

    def begin(self, sampling: Sampling) -> None:
        """Starts vLLM for prompts and responses of these lengths."""
        self._start(sampling)

    def prepare(self, request: Request) -> None:
        """Nothing: vLLM's processor has a cache that wants prompts in the order in which they are added."""

    def submit(self, lane: int, request: Request, prepared: None, sampling: Sampling, *, measure: bool) -> Hashable:
        """Queues the rollouts of one prompt."""
        vllm = self._start(sampling)
        self._sampling = sampling
        if self._stream is None:
            self._stream = RolloutStream(vllm)
        return self._stream.submit(request, sampling, measure=measure and not vllm.start_capture())

    def completed(self) -> list[tuple[Hashable, list[tuple[Response, Attention | None]]]]:
        """One step of vLLM, and the prompts that it has ended."""
        if self._stream is None:
            return []
        done = self._stream.completed(self._sampling)
        return [(ticket, [(one.response, one.attention) for one in rollouts]) for ticket, rollouts in done]

    def abandon(self) -> None:
        """Drops what is queued; vLLM stays up."""
        self._stream = None
        if self._running is not None:
            self._running.drop_requests()

    # -- sharing a GPU --------------------------------------------------------------------------------------------

    def sleep(self) -> None:
        """Moves the weights to the CPU and frees the GPU until `wake` (or the next call). Needs option `sleep`."""
        if self._running is None or self._asleep:
            return
        if not self._config.options.get("sleep"):
            raise RapError("engine vllm was opened without model.options.sleep=true; set it to let the engine sleep")
        self._running.sleep()
        self._asleep = True

    def wake(self) -> None:
        """Takes the GPU's memory back; without `sleep` before, nothing happens."""
        if self._running is not None and self._asleep:
            self._running.wake()
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
            if self._running.device == "cpu":
                self.batch_size = self._config.batch_size or CPU_BATCH_SIZE
        self._running.answer_within_s = self.answer_within_s
        return self._running

    def _second_copy(self) -> HFEngine:
        """Engine hf over the same weights, which measures where vLLM's attention cannot be read."""
        if self._copy is None:
            from rap_plugin.engines.hf.engine import open_hf

            self._copy = open_hf(self._config.model_copy(update={"options": {}, "engine": "hf"}))
        return self._copy
