"""Samples rollouts with vLLM, and their attention in the same pass.

A prompt is rendered once and added once per wanted rollout, side by side, each with the seed of `rollout_seed`: the
scheduler then shares the prompt's prefill and the vision encoder's output between them through the prefix cache,
as `SamplingParams(n=M)` does, whose children are such requests too; but any subset of the rollouts draws the
same, and no seed is another's plus one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rap_plugin.engines.vllm.rendering import RenderedPrompt, render
from rap_plugin.engines.vllm.running import AttentionCollector, FinishedRequest, RunningVLLM
from rap_plugin.errors import one_line
from rap_plugin.rollout import Attention, Request, Response, Sampling, rollout_seed


@dataclass(slots=True)
class SampledRollout:
    """One wanted rollout, and what became of it."""

    response: Response
    """An engine error until vLLM has answered."""
    attention: Attention | None = None
    """None where it was not seen, or not wanted."""


def sample(
    vllm: RunningVLLM, requests: Sequence[Request], sampling: Sampling, *, measure: bool
) -> list[list[SampledRollout]]:
    """Samples every wanted rollout; one list per request, in order. `measure` needs a capture that runs."""
    rows: list[list[SampledRollout]] = []
    running: dict[str, SampledRollout] = {}
    for request in requests:
        prompt = render(vllm, request.prompt, sampling)
        row = [SampledRollout(_without_answer(prompt, rollout)) for rollout in request.rollouts]
        rows.append(row)
        if isinstance(prompt, RenderedPrompt):
            for wanted in row:
                _submit(vllm, request, prompt, sampling, wanted, running, measure=measure)
    collector = AttentionCollector(vllm)
    for finished in vllm.finished():
        done = running.get(finished.key)
        if done is None:
            continue
        done.response = _answer(vllm, finished, done.response, sampling)
        if measure:
            # A failed one too: what the workers keep of a request goes when it has been asked for.
            collector.add(finished.key, vllm.usable_rows(done.response.token_ids))
    collector.flush()
    for key, attention in collector.found.items():
        if running[key].response.status == "ok":
            running[key].attention = attention
    return rows


def _without_answer(prompt: RenderedPrompt | Response, rollout: int) -> Response:
    """The response of a rollout that vLLM never answers."""
    if isinstance(prompt, Response):
        return replace(prompt, rollout=rollout)
    return Response(rollout, prompt_tokens=prompt.length, status="engine_error", error="vLLM gave no answer")


def _submit(
    vllm: RunningVLLM,
    request: Request,
    prompt: RenderedPrompt,
    sampling: Sampling,
    wanted: SampledRollout,
    running: dict[str, SampledRollout],
    *,
    measure: bool,
) -> None:
    """Queues one rollout and notes it in `running`; one that vLLM does not take says why."""
    seed = rollout_seed(sampling.seed, request.prompt.sample_id, request.prompt.arm, wanted.response.rollout)
    # One token more than asked: the last token is then read too, and its row of attention exists.
    most = sampling.max_new_tokens + measure
    # The first token of a response is not usable: rows begin behind it.
    first_row = prompt.length + 1 if measure else None
    try:
        key = vllm.add(prompt.inputs, sampling, first_row=first_row, max_tokens=most, seed=seed)
    except Exception as error:
        wanted.response = replace(wanted.response, error=one_line(error))
    else:
        running[key] = wanted


def _answer(vllm: RunningVLLM, finished: FinishedRequest, waiting: Response, sampling: Sampling) -> Response:
    if finished.finish_reason not in ("stop", "length"):
        return replace(waiting, error=f"vLLM ended it with {finished.finish_reason}")
    ids = finished.token_ids[: sampling.max_new_tokens]
    # An end behind the last token that was asked for belongs to the one token more.
    ended = finished.finish_reason == "stop" and len(finished.token_ids) <= sampling.max_new_tokens
    text = vllm.processor.tokenizer.decode(ids, skip_special_tokens=True)
    return Response(waiting.rollout, text, tuple(ids), "stop" if ended else "length", waiting.prompt_tokens)
