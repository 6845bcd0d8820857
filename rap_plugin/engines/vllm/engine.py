"""Engine `vllm`: vLLM's offline engine in a process of its own, on GPUs or with its CPU build.

A prompt is rendered once and added once per wanted rollout, side by side, each with the seed of `rollout_seed`: the
scheduler then shares the prompt's prefill and the vision encoder's output between them through the prefix cache,
as `SamplingParams(n=M)` does, whose children are such requests too; but any subset of the rollouts draws the
same, and no seed is another's plus one.

Attention is read inside vLLM's workers while responses are sampled (`vllm_capture`); a response that was not seen
then, and stored responses, get a prefill of prompt + response. Where the architecture cannot be read, the `hf` engine
measures, and a warning says so.
"""

from __future__ import annotations

import gc
import importlib.util
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rap_plugin.config import ModelConfig
from rap_plugin.engines.base import Engine
from rap_plugin.engines.vllm.options import OPTIONS, context_length, engine_arguments
from rap_plugin.engines.weights import find_model, identify
from rap_plugin.errors import RapError, one_line
from rap_plugin.evidence.variants import STATISTIC_COLUMNS
from rap_plugin.rollout import Attention, ModelIdentity, Prompt, Request, Response, Sampling, rollout_seed

log = logging.getLogger(__name__)

BATCH_SIZE = 512
"""Responses handed over at a time: enough that the scheduler's running batch stays full."""

COLLECT = 64
"""Ended responses whose attention is reduced in one call, while others are still sampled."""


def open_vllm(config: ModelConfig) -> VLLMEngine:
    """Opens `config.id`, a folder or a hub id; vLLM itself starts with the first call that needs it."""
    return VLLMEngine(config)


@dataclass
class _Job:
    """One rendered prompt with the responses that are wanted or given."""

    at: int
    inputs: dict[str, Any]
    prompt: Prompt
    length: int


@dataclass
class _Ended:
    """A request that vLLM has finished, by its key."""

    token_ids: list[int]
    stopped: bool


@dataclass
class _Running:
    """vLLM as it was started."""

    llm: Any
    length: int
    """max_model_len."""
    processor: Any
    end_ids: frozenset[int]
    reason: str = ""
    """Why attention cannot be read in vLLM; empty where it can."""
    started: bool = False
    """Whether workers are capturing."""
    known: dict[str, str] = field(default_factory=dict)


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
        self._config = config
        self._folder = find_model(config.id, config.revision, code=config.trust_remote_code)
        self.identity: ModelIdentity = identify(config.id, self._folder)
        self.batch_size: int = config.batch_size or BATCH_SIZE
        self._running: _Running | None = None
        self._asleep = False
        self._count = 0
        self._fallback: Engine | None = None

    # -- the contract ---------------------------------------------------------------------------------------------

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> list[list[Response]]:
        """Samples every wanted rollout; one list per request, in order."""
        return [[response for response, _ in row] for row in self._sample(requests, sampling, measure=False)]

    def generate_with_attention(
        self, requests: Sequence[Request], sampling: Sampling
    ) -> list[list[tuple[Response, Attention]]]:
        """`generate`, with attention read from the same forward passes."""
        rows = self._sample(requests, sampling, measure=True)
        later = [
            (at, n)
            for at, row in enumerate(rows)
            for n, (response, seen) in enumerate(row)
            if response.status == "ok" and seen is None
        ]
        again: list[tuple[Prompt, list[Sequence[int]]]] = []
        for at in sorted({at for at, _ in later}):
            again.append((requests[at].prompt, [rows[at][n][0].token_ids for was, n in later if was == at]))
        flat = [seen for row in self.attention(again, sampling) for seen in row]
        for (at, n), seen in zip(later, flat, strict=True):
            rows[at][n] = (rows[at][n][0], seen)
        return [[(response, seen or _not_measured(response.error)) for response, seen in row] for row in rows]

    def attention(
        self, prompts: Sequence[tuple[Prompt, Sequence[Sequence[int]]]], sampling: Sampling
    ) -> list[list[Attention]]:
        """Measures given responses with a prefill each; one list per prompt, one entry per response."""
        if not prompts:
            return []
        running = self._start(sampling)
        self._capture(running)
        if running.reason:
            return self._hf(running.reason).attention(prompts, sampling)
        return _Reading(self, running, prompts, sampling).run()

    def close(self) -> None:
        """Ends vLLM's processes and gives its memory back."""
        if self._fallback is not None:
            self._fallback.close()
            self._fallback = None
        running, self._running = self._running, None
        self._asleep = False
        if running is not None:
            shutdown = getattr(running.llm.llm_engine.engine_core, "shutdown", None)
            del running
            if shutdown is not None:
                shutdown()
            gc.collect()

    # -- sharing a GPU --------------------------------------------------------------------------------------------

    def sleep(self) -> None:
        """Moves the weights to the CPU and frees the GPU until `wake` (or the next call). Needs option `sleep`."""
        if self._running is None or self._asleep:
            return
        if not self._config.options.get("sleep"):
            raise RapError("engine vllm was opened without model.options.sleep=true; set it to let the engine sleep")
        self._release_capture(self._running)
        self._running.llm.sleep(level=1)
        self._asleep = True

    def wake(self) -> None:
        """Takes the GPU's memory back; without `sleep` before, nothing happens."""
        if self._running is not None and self._asleep:
            self._running.llm.wake_up()
            self._asleep = False

    # -- sampling -------------------------------------------------------------------------------------------------

    def _sample(
        self, requests: Sequence[Request], sampling: Sampling, *, measure: bool
    ) -> list[list[tuple[Response, Attention | None]]]:
        if not requests:
            return []
        running = self._start(sampling)
        if measure:
            self._capture(running)
        track = measure and not running.reason
        out: list[dict[int, tuple[Response, Attention | None]]] = [{} for _ in requests]
        waiting: dict[str, tuple[int, int, _Job]] = {}
        for at, request in enumerate(requests):
            job = self._render(running, at, request.prompt, sampling)
            if isinstance(job, Response):
                for rollout in request.rollouts:
                    out[at][rollout] = (_for_rollout(job, rollout), None)
                continue
            for rollout in request.rollouts:
                # One token more than asked: the last token is then read too, and its row of attention exists.
                params = self._params(
                    sampling,
                    max_tokens=sampling.max_new_tokens + track,
                    seed=rollout_seed(sampling.seed, request.prompt.sample_id, request.prompt.arm, rollout),
                )
                key = self._key()
                try:
                    self._add(running, key, job.inputs, params, first=job.length + 1 if track else None)
                except Exception as error:
                    out[at][rollout] = (_failed(rollout, job.length, error), None)
                else:
                    waiting[key] = (at, rollout, job)
        spans: dict[str, int] = {}
        seen: dict[str, Attention | None] = {}
        for key, ended in self._ended(running):
            if key not in waiting:
                continue
            at, rollout, job = waiting[key]
            ids = ended.token_ids[: sampling.max_new_tokens]
            stopped = ended.stopped and len(ended.token_ids) <= sampling.max_new_tokens
            text = running.processor.tokenizer.decode(ids, skip_special_tokens=True)
            out[at][rollout] = (Response(rollout, text, tuple(ids), "stop" if stopped else "length", job.length), None)
            if track:
                spans[key] = _usable(ids, running.end_ids)
                if len(spans) >= COLLECT:
                    seen |= self._collect(running, spans)
                    spans = {}
        seen |= self._collect(running, spans)
        for key, (at, rollout, job) in waiting.items():
            if rollout not in out[at]:
                out[at][rollout] = (_failed(rollout, job.length, "vLLM gave no answer"), None)
            elif key in seen:
                out[at][rollout] = (out[at][rollout][0], seen[key])
        return [[rows[rollout] for rollout in request.rollouts] for request, rows in zip(requests, out, strict=True)]

    def _render(self, running: _Running, at: int, prompt: Prompt, sampling: Sampling) -> _Job | Response:
        """The prompt as vLLM takes it, images processed; or the response that says why it cannot be sampled."""
        from rap_plugin.engines.hf import chat

        limit = min(sampling.max_prompt_tokens, running.length - 1)
        try:
            messages = chat.chat_messages(prompt)
            text = running.processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
            tokenizer = running.processor.tokenizer
            start = tokenizer.bos_token
            ids = tokenizer.encode(text, add_special_tokens=not (start and text.startswith(start)))
            if len(ids) > limit:
                return _overlong(len(ids), sampling, running)
            given: dict[str, Any] = {"prompt_token_ids": ids}
            if prompt.images:
                images = [part["image"] for message in messages for part in message["content"] if "image" in part]
                given["multi_modal_data"] = {"image": images}
            inputs = dict(running.llm.renderer.render_cmpl([given])[0])
        except Exception as error:
            return Response(0, status="engine_error", error=f"the processor failed: {one_line(error)}")
        length = len(inputs["prompt_token_ids"])
        if length > limit:
            return _overlong(length, sampling, running)
        return _Job(at, inputs, prompt, length)

    def _params(self, sampling: Sampling, **options: Any) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        # Text is decoded here, once per response, from exactly the tokens that are kept.
        return SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
            **options,
        )

    def _key(self) -> str:
        self._count += 1
        return f"rap-{self._count}"

    def _add(self, running: _Running, key: str, inputs: Mapping[str, Any], params: Any, *, first: int | None) -> None:
        if first is not None:
            from rap_plugin.engines.vllm.capture import REQUEST

            params.extra_args = {REQUEST: [key, first]}
        running.llm.llm_engine.add_request(key, dict(inputs), params)

    def _ended(self, running: _Running) -> Iterator[tuple[str, _Ended]]:
        """Runs the engine until every request has ended."""
        engine = running.llm.llm_engine
        try:
            while engine.has_unfinished_requests():
                for output in engine.step():
                    if output.finished:
                        answer = output.outputs[0]
                        yield output.request_id, _Ended(list(answer.token_ids), answer.finish_reason == "stop")
        except KeyboardInterrupt:
            self._forget(running)
            raise
        except Exception as error:
            raise self._stopped(error) from error

    @staticmethod
    def _forget(running: _Running) -> None:
        """Drops what is queued, so that the engine can be closed or used again."""
        engine = running.llm.llm_engine
        engine.abort_request(list(engine.output_processor.request_states), internal=True)

    # -- attention ------------------------------------------------------------------------------------------------

    def _capture(self, running: _Running) -> None:
        """Starts capturing in the workers, once; notes the reason where that cannot be."""
        if running.started or running.reason:
            return
        # Keys of blocks that are cached already were never mirrored.
        running.llm.reset_prefix_cache()
        answers = self._ask(running, "rap_attention_start")
        running.reason = next((answer["reason"] for answer in answers if answer["reason"]), "")
        if running.reason:
            self._ask(running, "rap_attention_stop")
        running.started = not running.reason

    def _release_capture(self, running: _Running) -> None:
        if running.started:
            self._ask(running, "rap_attention_stop")
            running.started = False

    def _ask(self, running: _Running, method: str, *args: Any) -> list[Any]:
        """Calls a method of `CaptureExtension` on all workers."""
        try:
            return list(running.llm.collective_rpc(method, args=args))
        except Exception as error:
            raise self._stopped(error) from error

    def _stopped(self, error: Exception) -> RapError:
        """vLLM's processes are gone or in an unknown state: ends them."""
        self.close()
        return RapError(f"vLLM stopped ({one_line(error)}); start the command again, stored rollouts are kept")

    def _collect(self, running: _Running, spans: Mapping[str, int]) -> dict[str, Attention | None]:
        """Attention of ended requests by key; None where it was not seen and another pass is needed."""
        if not spans:
            return {}
        short = {key: Attention(dict.fromkeys(STATISTIC_COLUMNS)) for key, rows in spans.items() if rows < 2}
        wanted = [[key, rows] for key, rows in spans.items()]
        answers = self._ask(running, "rap_attention_collect", wanted)
        found = next((answer for answer in answers if answer), ["no worker holds the last layer"] * len(wanted))
        seen: dict[str, Attention | None] = {}
        for key, measured in zip(spans, found, strict=True):
            if isinstance(measured, str):
                log.debug("attention of %s: %s", key, measured)
                running.known[key] = measured
            seen[key] = None if isinstance(measured, str) else Attention(measured)
        return seen | short

    def _hf(self, reason: str) -> Engine:
        """The engine that measures where vLLM's attention cannot be read: the same weights, a second time."""
        if self._fallback is None:
            log.warning("vLLM's attention cannot be read (%s); engine hf measures it with a second copy", reason)
            from rap_plugin.engines.hf.engine import open_hf

            self._fallback = open_hf(self._config.model_copy(update={"options": {}, "engine": "hf"}))
        return self._fallback

    # -- starting -------------------------------------------------------------------------------------------------

    def _start(self, sampling: Sampling) -> _Running:
        """vLLM, started for prompts and responses of these lengths."""
        self.wake()
        limit = context_length(self._folder)
        # One token for the row of the last one, one because vLLM wants room for a token behind every prompt.
        wanted = sampling.max_prompt_tokens + sampling.max_new_tokens + 2
        length = int(self._config.options.get("max_model_len") or (min(wanted, limit) if limit else wanted))
        if self._running is not None and self._running.length < length:
            self.close()
        if self._running is None:
            self._running = self._load(length)
        return self._running

    def _load(self, length: int) -> _Running:
        # vLLM reports its start from three processes; VLLM_LOGGING_LEVEL=INFO brings that back.
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        try:
            from transformers import AutoProcessor, GenerationConfig
            from vllm import LLM
            from vllm.platforms import current_platform
        except ImportError as missing:
            raise RapError(
                f"engine vllm cannot import vLLM ({one_line(missing)}); install it with: pip install 'rap-plugin[vllm]'"
            ) from None
        config, device = self._config, current_platform.device_type
        if config.device not in ("auto", device):
            raise RapError(f"engine vllm runs on {device} here, not on {config.device}; set model.device to auto")
        where = str(self._folder)
        try:
            processor = AutoProcessor.from_pretrained(where, trust_remote_code=config.trust_remote_code)
            if not getattr(processor, "chat_template", None):
                raise RapError(f"{config.id}: has no chat template; use an instruction-tuned model")
            llm = LLM(**engine_arguments(config, where, length, device))
        except RapError:
            raise
        except Exception as error:
            raise RapError(
                f"{config.id}: vLLM cannot start it ({_cause(error)}); see model.options, or engine hf"
            ) from error
        try:
            ends = GenerationConfig.from_pretrained(where).eos_token_id
        except OSError:
            ends = None
        both = {processor.tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])}
        return _Running(llm, length, processor, frozenset(token for token in both if token is not None))


class _Reading:
    """One `attention` call: a prefill of prompt + response each, its rows captured on the way."""

    def __init__(
        self,
        engine: VLLMEngine,
        running: _Running,
        prompts: Sequence[tuple[Prompt, Sequence[Sequence[int]]]],
        sampling: Sampling,
    ) -> None:
        self.engine = engine
        self.running = running
        self.prompts = prompts
        self.sampling = sampling

    def run(self) -> list[list[Attention]]:
        out: list[list[Attention | None]] = [[None] * len(responses) for _, responses in self.prompts]
        jobs: list[tuple[_Job, dict[tuple[int, ...], list[int]]]] = []
        for at, (prompt, responses) in enumerate(self.prompts):
            job = self.engine._render(self.running, at, prompt, self.sampling)
            # Equal responses are measured once.
            distinct: dict[tuple[int, ...], list[int]] = {}
            for n, ids in enumerate(responses):
                stop = _usable(ids, self.running.end_ids) + 1
                if isinstance(job, Response):
                    out[at][n] = _not_measured(job.error)
                elif stop - 1 < 2:
                    out[at][n] = Attention(dict.fromkeys(STATISTIC_COLUMNS))
                elif job.length + stop >= self.running.length:
                    out[at][n] = _not_measured("prompt and response fill the model's context")
                else:
                    distinct.setdefault(tuple(ids[:stop]), []).append(n)
            if isinstance(job, _Job) and distinct:
                jobs.append((job, distinct))
        # First with the prefix cache, which shares a prompt between its responses; responses that begin alike share
        # more than the prompt, and their rows are not computed again: those follow without the cache.
        for shared in (True, False):
            jobs = self._pass(jobs, out, shared)
        for job, distinct in jobs:
            for n in (n for found in distinct.values() for n in found):
                out[job.at][n] = out[job.at][n] or _not_measured("vLLM did not show this response's attention")
        return [[seen or _not_measured("not measured") for seen in row] for row in out]

    def _pass(
        self, jobs: list[tuple[_Job, dict[tuple[int, ...], list[int]]]], out: list[list[Attention | None]], shared: bool
    ) -> list[tuple[_Job, dict[tuple[int, ...], list[int]]]]:
        """One prefill for every response; returns what was not seen."""
        engine, running = self.engine, self.running
        greedy = replace(self.sampling, temperature=0.0, top_p=1.0)
        waiting: dict[str, tuple[_Job, tuple[int, ...], list[int]]] = {}
        spans: dict[str, int] = {}
        for job, distinct in jobs:
            salt = engine._key()
            for ids, found in distinct.items():
                inputs = dict(job.inputs)
                inputs["prompt_token_ids"] = [*job.inputs["prompt_token_ids"], *ids]
                # A name of its own keeps blocks that sampling has left in the cache out of this pass.
                inputs["cache_salt"] = salt
                params = engine._params(greedy, max_tokens=1, skip_reading_prefix_cache=None if shared else True)
                key = engine._key()
                try:
                    engine._add(running, key, inputs, params, first=job.length + 1)
                except Exception as error:
                    for n in found:
                        out[job.at][n] = _not_measured(one_line(error))
                else:
                    waiting[key] = (job, ids, found)
        missed: dict[int, tuple[_Job, dict[tuple[int, ...], list[int]]]] = {}

        def take() -> None:
            for key, seen in engine._collect(running, spans).items():
                job, ids, found = waiting[key]
                for n in found:
                    out[job.at][n] = seen
                if seen is None:
                    missed.setdefault(job.at, (job, {}))[1][ids] = found
            spans.clear()

        for key, _ in engine._ended(running):
            if key in waiting:
                spans[key] = len(waiting[key][1]) - 1
                if len(spans) >= COLLECT:
                    take()
        take()
        return list(missed.values())


# -- plain functions ----------------------------------------------------------------------------------------------


def _usable(ids: Sequence[int], end_ids: frozenset[int]) -> int:
    """Usable rows of a response: see `ace.usable_span`."""
    from rap_plugin.engines.ace import usable_span

    first, stop = usable_span(ids, end_ids)
    return stop - first


def _overlong(length: int, sampling: Sampling, running: _Running) -> Response:
    if length > sampling.max_prompt_tokens:
        reason = f"the prompt has {length} tokens, max_prompt_tokens is {sampling.max_prompt_tokens}"
    else:
        reason = f"the prompt has {length} tokens, the model's context is {running.length}"
    return Response(0, prompt_tokens=length, status="overlong", error=reason)


def _for_rollout(response: Response, rollout: int) -> Response:
    return Response(rollout, prompt_tokens=response.prompt_tokens, status=response.status, error=response.error)


def _failed(rollout: int, prompt_tokens: int, error: BaseException | str) -> Response:
    reason = error if isinstance(error, str) else one_line(error)
    return Response(rollout, prompt_tokens=prompt_tokens, status="engine_error", error=reason)


def _not_measured(reason: str) -> Attention:
    return Attention(dict.fromkeys(STATISTIC_COLUMNS), reason)


def _cause(error: BaseException) -> str:
    """What vLLM said first: its engine process reports failures as a message that names another."""
    while error.__cause__ is not None:
        error = error.__cause__
    return one_line(error)
