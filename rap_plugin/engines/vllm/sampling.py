"""Samples rollouts with vLLM, and their attention in the same pass: prompts go in at any time, and out when they are done.

A prompt is rendered once and added once per wanted rollout, side by side, each with the seed of `rollout_seed`: the
scheduler then shares the prompt's prefill and the vision encoder's output between them through the prefix cache,
as `SamplingParams(n=M)` does, whose children are such requests too; but any subset of the rollouts draws the
same, and no seed is another's plus one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from rap_plugin.engines.vllm.rendering import RenderedPrompt, render
from rap_plugin.engines.vllm.running import COLLECT, FinishedRequest, RunningVLLM
from rap_plugin.errors import one_line
from rap_plugin.rollout import Attention, Request, Response, Sampling, rollout_seed


@dataclass(slots=True)
class SampledRollout:
    """One wanted rollout, and what became of it."""

    response: Response
    """An engine error until vLLM has answered."""
    attention: Attention | None = None
    """None where it was not seen, or not wanted."""


@dataclass(slots=True)
class SampledPrompt:
    """One prompt at work."""

    ticket: int
    rollouts: list[SampledRollout]
    open: int = 0
    """Rollouts that have not ended, or whose attention was not asked for yet."""


class RolloutStream:
    """The prompts at work in one vLLM. With `measure`, the capture must run."""

    def __init__(self, vllm: RunningVLLM) -> None:
        self._vllm = vllm
        self._count = 0
        self._running: dict[str, tuple[SampledPrompt, SampledRollout]] = {}
        """Queued or at work, by vLLM's key."""
        self._measured: set[str] = set()
        """Of those, the ones whose attention is captured."""
        self._ended: dict[str, tuple[SampledPrompt, SampledRollout]] = {}
        """Ended, and their attention not reduced yet."""
        self._done: list[SampledPrompt] = []

    def submit(self, request: Request, sampling: Sampling, *, measure: bool) -> int:
        """Renders a prompt and queues its rollouts; returns its ticket."""
        self._count += 1
        rendered = render(self._vllm, request.prompt, sampling)
        prompt = SampledPrompt(
            self._count, [SampledRollout(_without_answer(rendered, rollout)) for rollout in request.rollouts]
        )
        if isinstance(rendered, RenderedPrompt):
            for wanted in prompt.rollouts:
                self._queue(request, rendered, sampling, prompt, wanted, measure=measure)
        if not prompt.open:
            self._done.append(prompt)
        return prompt.ticket

    def completed(self, sampling: Sampling) -> list[tuple[int, list[SampledRollout]]]:
        """One step of vLLM; the prompts of which every rollout has ended, with their attention."""
        if self._vllm.busy:
            for finished in self._vllm.step():
                if finished.key in self._running:
                    self._end(finished, sampling)
        if len(self._ended) >= COLLECT or not self._vllm.busy:
            self._reduce()
        done, self._done = self._done, []
        return [(prompt.ticket, prompt.rollouts) for prompt in done]

    def _queue(
        self,
        request: Request,
        rendered: RenderedPrompt,
        sampling: Sampling,
        prompt: SampledPrompt,
        wanted: SampledRollout,
        *,
        measure: bool,
    ) -> None:
        """Queues one rollout; one that vLLM does not take says why."""
        seed = rollout_seed(sampling.seed, request.prompt.sample_id, request.prompt.arm, wanted.response.rollout)
        # One token more than asked: the last token is then read too, and its row of attention exists.
        most = sampling.max_new_tokens + measure
        # The first token of a response is not usable: rows begin behind it.
        first_row = rendered.length + 1 if measure else None
        try:
            key = self._vllm.add(rendered.inputs, sampling, first_row=first_row, max_tokens=most, seed=seed)
        except Exception as error:
            wanted.response = replace(wanted.response, error=one_line(error))
            return
        self._running[key] = (prompt, wanted)
        prompt.open += 1
        if measure:
            self._measured.add(key)

    def _end(self, finished: FinishedRequest, sampling: Sampling) -> None:
        prompt, wanted = self._running.pop(finished.key)
        wanted.response = _answer(self._vllm, finished, wanted.response, sampling)
        if finished.key in self._measured:
            # A failed one too: what the workers keep of a request goes when it has been asked for.
            self._measured.remove(finished.key)
            self._ended[finished.key] = (prompt, wanted)
        else:
            self._close(prompt)

    def _reduce(self) -> None:
        """Has the workers reduce the attention of what has ended, some dozens of responses in one call."""
        ended, self._ended = self._ended, {}
        rows = {key: self._vllm.usable_rows(wanted.response.token_ids) for key, (_, wanted) in ended.items()}
        for key, attention in self._vllm.collect(rows).items():
            prompt, wanted = ended[key]
            if wanted.response.status == "ok":
                wanted.attention = attention
            self._close(prompt)

    def _close(self, prompt: SampledPrompt) -> None:
        prompt.open -= 1
        if not prompt.open:
            self._done.append(prompt)


def _without_answer(prompt: RenderedPrompt | Response, rollout: int) -> Response:
    """The response of a rollout that vLLM never answers."""
    if isinstance(prompt, Response):
        return replace(prompt, rollout=rollout)
    return Response(rollout, prompt_tokens=prompt.length, status="engine_error", error="vLLM gave no answer")


def _answer(vllm: RunningVLLM, finished: FinishedRequest, waiting: Response, sampling: Sampling) -> Response:
    if finished.finish_reason not in ("stop", "length"):
        return replace(waiting, error=f"vLLM ended it with {finished.finish_reason}")
    ids = finished.token_ids[: sampling.max_new_tokens]
    # An end behind the last token that was asked for belongs to the one token more.
    ended = finished.finish_reason == "stop" and len(finished.token_ids) <= sampling.max_new_tokens
    text = vllm.processor.tokenizer.decode(ids, skip_special_tokens=True)
    return Response(waiting.rollout, text, tuple(ids), "stop" if ended else "length", waiting.prompt_tokens)
