"""Engine `hf`: any vision-language model of Transformers' AutoModelForImageTextToText, in this process.

Draws are a function of `rollout_seed` and the model's logits. The logits of one row still move in their last bits
with the shape of the batch (kernels sum in another order), so another batch size can change a draw that sits on
an edge: rare in float32, less so in bfloat16.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from rap_plugin.config import ModelConfig
from rap_plugin.engines.base import not_measured
from rap_plugin.engines.facts import vision_facts
from rap_plugin.engines.pixels import bound_processor, pixel_bounds, processor_bounds, resized, too_many_tokens
from rap_plugin.engines.turns import TurnQueue, VisionFacts
from rap_plugin.engines.weights import find_model, identify
from rap_plugin.errors import RapError, one_line
from rap_plugin.evidence.variants import Variant
from rap_plugin.rollout import (
    Attention,
    ModelIdentity,
    Prompt,
    Request,
    Response,
    Sampling,
    TokenAttention,
    rollout_seed,
)

try:
    from rap_plugin.engines.hf import chat, decoding, loading, paths, turns
    from rap_plugin.engines.hf.batching import BatchRunner, ResponseJob, by_prompt
    from rap_plugin.engines.hf.chat import ModelInputs
    from rap_plugin.engines.hf.memory import release_memory
    from rap_plugin.engines.hf.states import prompt_states
    from rap_plugin.engines.hf.tokens import token_attention
    from rap_plugin.engines.hf.watch import HangWatch
except ImportError as missing:
    raise RapError(
        f"engine hf needs torch and transformers ({missing}); install them with: pip install 'rap-plugin[hf]'"
    ) from None

T = TypeVar("T")

BATCH_SIZE = {"cuda": 128, "mps": 32, "cpu": 16}
"""Responses decoded together by default; the engine halves what does not fit."""

SMALL_MODEL, SMALL_BATCH = 50_000_000, 128
"""Parameters up to which a decoding step is mostly overhead: such models take more rows at once, on any device."""

UNSEEN = "the model did not show the keys of its last layer"

FORCED_TOKENS = 2**15
"""Response tokens in one teacher-forced forward: bounds its activations."""


def open_hf(config: ModelConfig) -> HFEngine:
    """Opens `config.id`, a folder or a hub id, without loading its weights. Raises RapError where that cannot work."""
    return HFEngine(config)


class HFEngine:
    """Both arms, M rollouts each, and their attention; see `engines.base.Engine` for the contract."""

    name = "hf"
    measures_attention = True
    _resize_to: tuple[int, int] | None = None
    """(least, most) pixels of an image, where the processor has no bounds of its own to be set."""

    def __init__(self, config: ModelConfig) -> None:
        if config.options:
            raise RapError(f"engine hf takes no model.options (got {', '.join(sorted(config.options))}); remove them")
        self._config = config
        self.answer_within_s = 7200.0
        self._watch = HangWatch()
        self._device = loading.pick_device(config.device)
        self._dtype = loading.pick_dtype(config.dtype, self._device)
        folder = find_model(config.id, config.revision, code=config.trust_remote_code)
        self._folder = folder
        self.identity: ModelIdentity = replace(
            identify(config.id, folder), dtype=str(self._dtype).removeprefix("torch.")
        )
        self._processor = loading.load_processor(config, folder)
        bounds = pixel_bounds(config)
        if bounds is not None and not bound_processor(self._processor.image_processor, config):
            self._resize_to = bounds
        self._start(config.batch_size)

    def _start(self, batch_size: int | None) -> None:
        self._loaded: loading.LoadedModel | None = None
        usual = SMALL_BATCH if self.identity.parameters <= SMALL_MODEL else BATCH_SIZE.get(self._device.type, 32)
        self.batch_size: int = batch_size or usual
        self._batches = BatchRunner(self.batch_size, self._device)
        self.prepare_prompt: Callable[[Prompt, Any, Any], ModelInputs] = chat.prepare
        """From (prompt, processor, network) to tensors; a host that makes its prompts itself sets its own."""

    @property
    def processor(self) -> Any:
        """What turns prompts into tensors and tokens into text; a host may have one of its own."""
        return self._processor

    @processor.setter
    def processor(self, processor: Any) -> None:
        self._processor = processor

    # -- the contract ---------------------------------------------------------------------------------------------

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[list[Response]]:
        """Samples every wanted rollout; one list per request, in order."""
        return [[response for response, _ in row] for row in self._sample(requests, sampling, measure=False)]

    def generate_with_attention(
        self, requests: Sequence[Request], sampling: Sampling
    ) -> list[list[tuple[Response, Attention]]]:
        """`generate`, with attention measured from the queries and keys of the same pass."""
        rows = self._sample(requests, sampling, measure=True)
        later: list[tuple[int, list[int]]] = []
        for at, row in enumerate(rows):
            missing = [n for n, (response, seen) in enumerate(row) if response.status == "ok" and seen is None]
            if missing:
                later.append((at, missing))
        # A last layer whose cache forgets keys cannot be measured on the way: those get a pass of their own.
        again = [(requests[at].prompt, [rows[at][n][0].token_ids for n in missing]) for at, missing in later]
        for (at, missing), found in zip(later, self.attention(again, sampling), strict=True):
            for n, attention in zip(missing, found, strict=True):
                rows[at][n] = (rows[at][n][0], attention)
        return [[(response, seen or not_measured(response.error)) for response, seen in row] for row in rows]

    def attention(
        self, prompts: Sequence[tuple[Prompt, Sequence[Sequence[int]]]], sampling: Sampling
    ) -> list[list[Attention]]:
        """Measures given responses, teacher-forced; one list per prompt, one entry per response."""
        if not prompts:
            return []
        model = self._model()
        if model.last_layer.reason:
            return [[not_measured(model.last_layer.reason) for _ in responses] for _, responses in prompts]
        found, reasons = self._forced(prompts, sampling, paths.measure)
        return [
            [
                not_measured(reasons.get((at, n), UNSEEN)) if statistics is None else Attention(statistics)
                for n, statistics in enumerate(row)
            ]
            for at, row in enumerate(found)
        ]

    def token_attention(
        self, prompts: Sequence[tuple[Prompt, Sequence[Sequence[int]]]], sampling: Sampling, variant: Variant
    ) -> list[list[TokenAttention | None]]:
        """`attention` token by token; None for a response that cannot be measured."""
        if not prompts or self._model().last_layer.reason:
            return [[None] * len(responses) for _, responses in prompts]
        found, _ = self._forced(prompts, sampling, partial(paths.measure_tokens, variant=variant))
        decode, end_ids = self._processor.tokenizer.decode, self._model().end_ids
        return [
            [
                None if shares is None else token_attention(ids, shares, end_ids, decode)
                for ids, shares in zip(responses, row, strict=True)
            ]
            for (_, responses), row in zip(prompts, found, strict=True)
        ]

    def _forced(
        self,
        prompts: Sequence[tuple[Prompt, Sequence[Sequence[int]]]],
        sampling: Sampling,
        measure: Callable[[loading.LoadedModel, Any], list[list[T | None]]],
    ) -> tuple[list[list[T | None]], dict[tuple[int, int], str]]:
        """What `measure` says of every response, and by (prompt, response) why it could not."""
        out: list[list[T | None]] = [[None] * len(responses) for _, responses in prompts]
        reasons: dict[tuple[int, int], str] = {}
        jobs: list[ResponseJob] = []
        for at, (prompt, responses) in enumerate(prompts):
            prepared = self._prepare(prompt, sampling)
            if isinstance(prepared, Response):
                reasons |= {(at, n): prepared.error for n in range(len(responses))}
            else:
                jobs += [ResponseJob(at, n, prepared) for n in range(len(responses))]

        def run(batch: Sequence[ResponseJob]) -> None:
            groups = by_prompt(batch)
            given = [(group[0].inputs, [prompts[job.prompt][1][job.response] for job in group]) for group in groups]
            for group, found in zip(groups, measure(self._model(), given), strict=True):
                for job, one in zip(group, found, strict=True):
                    out[job.prompt][job.response] = one

        def fail(job: ResponseJob, reason: str) -> None:
            reasons[job.prompt, job.response] = reason

        def tokens(job: ResponseJob) -> int:
            return job.inputs.length + len(prompts[job.prompt][1][job.response])

        with self._watched():
            self._batches.run(jobs, tokens, run, fail, cap=FORCED_TOKENS)
        return out, reasons

    def prompt_states(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[NDArray[np.float32] | None]:
        """The model's own state (D,) at the end of each prompt; None where no prompt can be made, or read."""
        out: list[NDArray[np.float32] | None] = [None] * len(prompts)
        prepared = [self._prepare(prompt, sampling) for prompt in prompts]
        jobs = [ResponseJob(at, 0, one) for at, one in enumerate(prepared) if not isinstance(one, Response)]

        def run(batch: Sequence[ResponseJob]) -> None:
            for job, state in zip(batch, prompt_states(self._model(), [job.inputs for job in batch]), strict=True):
                out[job.prompt] = state.numpy()

        def fail(job: ResponseJob, reason: str) -> None:
            out[job.prompt] = None

        with self._watched():
            self._batches.run(jobs, lambda job: job.inputs.length, run, fail, cap=FORCED_TOKENS)
        return out

    def continue_turns(self, queue: TurnQueue, sampling: Sampling, stops: Sequence[str]) -> None:
        """Writes turns on until the queue is empty; see `engines.turns.ContinuesTurns`."""
        model = self._model()
        with self._watched():
            turns.continue_turns(model, self._processor, self._prepare_all, self._batches, queue, sampling, stops)

    def vision(self) -> VisionFacts:
        """How the model sees images, from its files."""
        return vision_facts(self._settings(), self._processor)

    def _settings(self) -> Any:
        return loading.model_settings(self._config, self._folder)

    def attention_problem(self, sampling: Sampling) -> str:
        """Why the model's last layer cannot be seen, empty where it can; told without the weights where that is possible."""
        known = None if self._loaded is not None else self._problem_of_class()
        return self._model().last_layer.reason if known is None else known

    def _problem_of_class(self) -> str | None:
        return loading.attention_problem(self._config, self._folder)

    def close(self) -> None:
        """Lets the weights go, and takes back the one name that was registered with Transformers."""
        if self._loaded is not None:
            self._loaded.last_layer.remove()
            self._loaded = None
            release_memory(self._device)

    # -- sampling -------------------------------------------------------------------------------------------------

    def _sample(
        self, requests: Sequence[Request], sampling: Sampling, *, measure: bool
    ) -> list[list[tuple[Response, Attention | None]]]:
        if not requests:
            return []
        model = self._model()
        decode = self._processor.tokenizer.decode
        out: list[dict[int, tuple[Response, Attention | None]]] = [{} for _ in requests]
        jobs: list[ResponseJob] = []
        for at, request in enumerate(requests):
            prepared = self._prepare(request.prompt, sampling)
            if isinstance(prepared, Response):
                for rollout in request.rollouts:
                    out[at][rollout] = (_for_rollout(prepared, rollout), None)
            else:
                jobs += [ResponseJob(at, rollout, prepared) for rollout in request.rollouts]

        def run(batch: Sequence[ResponseJob]) -> None:
            groups = by_prompt(batch)
            given = []
            for group in groups:
                prompt = requests[group[0].prompt].prompt
                seeds = [rollout_seed(sampling.seed, prompt.sample_id, prompt.arm, job.response) for job in group]
                given.append((group[0].inputs, seeds))
            drawn = paths.sample(model, given, sampling, measure)
            for group, rows in zip(groups, drawn, strict=True):
                for job, row in zip(group, rows, strict=True):
                    out[job.prompt][job.response] = _answer(job, row, decode)

        def fail(job: ResponseJob, reason: str) -> None:
            out[job.prompt][job.response] = (_failed(job, reason), None)

        def tokens(job: ResponseJob) -> int:
            return job.inputs.length + sampling.max_new_tokens

        with self._watched():
            self._batches.run(jobs, tokens, run, fail)
        return [[rows[rollout] for rollout in request.rollouts] for request, rows in zip(requests, out, strict=True)]

    def _prepare_all(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[ModelInputs | Response]:
        """`_prepare` for each, in one call of the processor where that gives the same."""
        made: Sequence[ModelInputs | None] | None = None
        if self.prepare_prompt is chat.prepare:
            model = self._model()
            bounded = [self._bounded(prompt) for prompt in prompts]
            made = chat.prepare_together(bounded, self._processor, model.network, model.reads_together)
        made = made or [None] * len(prompts)
        return [self._prepare(prompt, sampling, one) for prompt, one in zip(prompts, made, strict=True)]

    def _bounded(self, prompt: Prompt) -> Prompt:
        if self._resize_to is None:
            return prompt
        return replace(prompt, images=tuple(resized(image, self._resize_to) for image in prompt.images))

    def _prepare(
        self, prompt: Prompt, sampling: Sampling, prepared: ModelInputs | None = None
    ) -> ModelInputs | Response:
        """The prompt's tensors, where they are not `prepared`, or the response that says why there are none."""
        sizes = [image.size for image in prompt.images]
        try:
            if prepared is None:
                prepared = self.prepare_prompt(self._bounded(prompt), self._processor, self._model().network)
        except Exception as error:
            return Response(0, status="engine_error", error=f"the processor failed: {one_line(error)}")
        if prepared.length > sampling.max_prompt_tokens:
            of_images = chat.image_tokens(prepared, self._processor, self._model().network)
            bounds = processor_bounds(getattr(self._processor, "image_processor", None))
            most = None if bounds is None else bounds[1]
            reason = too_many_tokens(prepared.length, of_images, sampling.max_prompt_tokens, sizes, most)
            return Response(0, prompt_tokens=prepared.length, status="overlong", error=reason)
        return prepared

    def _model(self) -> loading.LoadedModel:
        if self._loaded is None:
            self._loaded = loading.load_model(self._config, self._folder, self._processor, self._device, self._dtype)
            self._loaded.network.register_forward_pre_hook(self._watch.hear)
        return self._loaded

    def _watched(self) -> AbstractContextManager[None]:
        return self._watch.at_work(self.answer_within_s)


class LoadedEngine(HFEngine):
    """The same over a network in memory that belongs to the caller, who may go on training it after `close`.

    The network is sampled as it is: in eval mode if the caller has put it there, with its own weights at this moment,
    which `identity` is a hash of. Who keeps no evidence of it leaves that out (`hashed`): all weights are read for it.
    """

    def __init__(
        self, network: Any, processor: Any, name: str, batch_size: int | None = None, *, hashed: bool = True
    ) -> None:
        self._network, self._processor, self._device = network, processor, network.device
        self.identity = loading.identify_loaded(name, network, hashed=hashed)
        self._start(batch_size)

    def _watched(self) -> AbstractContextManager[None]:
        return nullcontext()  # the process is the caller's

    def _problem_of_class(self) -> str | None:
        return None  # the network is there

    def _settings(self) -> Any:
        return self._network.config

    def _model(self) -> loading.LoadedModel:
        if self._loaded is None:
            self._loaded = loading.describe_model(self._network, self._processor)
        return self._loaded


def _answer(
    job: ResponseJob, row: decoding.SampledResponse, decode: Callable[..., str]
) -> tuple[Response, Attention | None]:
    if row.error:
        return _failed(job, row.error), None
    said = row.token_ids[:-1] if row.finish == "stop" else row.token_ids
    text = decode(said, skip_special_tokens=True)
    response = Response(job.response, text, tuple(row.token_ids), row.finish, job.inputs.length)
    return response, None if row.statistics is None else Attention(row.statistics)


def _failed(job: ResponseJob, reason: str) -> Response:
    return Response(job.response, prompt_tokens=job.inputs.length, status="engine_error", error=reason)


def _for_rollout(response: Response, rollout: int) -> Response:
    return Response(rollout, prompt_tokens=response.prompt_tokens, status=response.status, error=response.error)
