"""Attention of given responses: vLLM reads prompt + response once, and the capture keeps the rows on the way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rap_plugin.engines.base import not_measured
from rap_plugin.engines.vllm.rendering import RenderedPrompt, render
from rap_plugin.engines.vllm.running import AttentionCollector, RunningVLLM
from rap_plugin.errors import one_line
from rap_plugin.rollout import Attention, Prompt, Response, Sampling


@dataclass(slots=True)
class GivenResponse:
    """One response whose attention is to be measured. Equal responses of one prompt share it."""

    prompt: RenderedPrompt
    token_ids: tuple[int, ...]
    """Up to the last usable token."""
    attention: Attention | None = None
    """None until it was seen."""
    error: str = "vLLM did not show this response's attention"


def read_attention(
    vllm: RunningVLLM, prompts: Sequence[tuple[Prompt, Sequence[Sequence[int]]]], sampling: Sampling
) -> list[list[Attention]]:
    """Measures given responses; one list per prompt, one entry per response. The capture must run."""
    rows: list[list[GivenResponse | Attention]] = []
    by_prompt: list[list[GivenResponse]] = []
    for prompt, responses in prompts:
        rendered = render(vllm, prompt, sampling)
        distinct: dict[tuple[int, ...], GivenResponse] = {}
        row = [_prepare(vllm, rendered, ids) for ids in responses]
        rows.append([distinct.setdefault(one.token_ids, one) if isinstance(one, GivenResponse) else one for one in row])
        by_prompt.append(list(distinct.values()))
    for group in _that_fit(vllm, by_prompt):
        # First with the prefix cache, which shares a prompt between its responses; responses that begin alike share
        # more than the prompt, and their rows are not computed again: those follow without the cache.
        for use_cache in (True, False):
            _read(vllm, [one for one in group if one.attention is None], sampling, use_cache=use_cache)
    return [[_result(one) for one in row] for row in rows]


def _that_fit(vllm: RunningVLLM, by_prompt: Sequence[Sequence[GivenResponse]]) -> Iterator[list[GivenResponse]]:
    """Responses in groups whose queries and keys the workers can keep at a time; prompts stay together."""
    group: list[GivenResponse] = []
    taken = 0
    for one in (one for responses in by_prompt for one in responses):
        needed = vllm.needed_rows(one.prompt.length, len(one.token_ids))
        if needed > vllm.room:
            one.error = "prompt and response alone need more than model.options.attention_gb"
            continue
        if group and taken + needed > vllm.room:
            yield group
            group, taken = [], 0
        group.append(one)
        taken += needed
    if group:
        yield group


def _prepare(vllm: RunningVLLM, prompt: RenderedPrompt | Response, ids: Sequence[int]) -> GivenResponse | Attention:
    """The response as it is read, or what is known about its attention without reading it."""
    if isinstance(prompt, Response):
        return not_measured(prompt.error)
    usable = vllm.usable_rows(tuple(ids))
    if usable < 2:
        return not_measured("")
    stop = usable + 1
    if prompt.length + stop >= vllm.length:
        return not_measured("prompt and response fill the model's context")
    return GivenResponse(prompt, tuple(ids[:stop]))


def _read(vllm: RunningVLLM, responses: Sequence[GivenResponse], sampling: Sampling, *, use_cache: bool) -> None:
    """One prefill for every response; those that were seen get their attention."""
    greedy = replace(sampling, temperature=0.0, top_p=1.0)
    parameters: dict[str, Any] = {"max_tokens": 1, "skip_reading_prefix_cache": None if use_cache else True}
    running: dict[str, GivenResponse] = {}
    salts: dict[int, str] = {}
    for one in responses:
        inputs = dict(one.prompt.inputs)
        inputs["prompt_token_ids"] = [*one.prompt.inputs["prompt_token_ids"], *one.token_ids]
        # A name of its own per prompt keeps blocks that sampling has left in the cache out of this pass.
        inputs["cache_salt"] = salts.setdefault(id(one.prompt), vllm.new_key())
        try:
            key = vllm.add(inputs, greedy, first_row=one.prompt.length + 1, **parameters)
        except Exception as error:
            one.error = one_line(error)
        else:
            running[key] = one
    collector = AttentionCollector(vllm)
    for finished in vllm.finished():
        if finished.key in running:
            collector.add(finished.key, len(running[finished.key].token_ids) - 1)
    collector.flush()
    for key, attention in collector.found.items():
        running[key].attention = attention


def _result(one: GivenResponse | Attention) -> Attention:
    if isinstance(one, Attention):
        return one
    return one.attention or not_measured(one.error)
