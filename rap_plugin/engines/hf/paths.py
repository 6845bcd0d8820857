"""The way that fits a model: prompts padded into one batch, each prompt alone, or the model's own `generate`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from rap_plugin.engines import ace
from rap_plugin.engines.hf.chat import ModelInputs
from rap_plugin.engines.hf.decoding import SampledResponse, sample_batch
from rap_plugin.engines.hf.forced import teacher_forced
from rap_plugin.engines.hf.loading import LoadedModel
from rap_plugin.engines.hf.own_generate import measure_prompt, sample_prompt
from rap_plugin.rollout import Sampling

T = TypeVar("T")

Prompts = Sequence[tuple[ModelInputs, Sequence[T]]]
"""Each prompt with one thing for every response of it: its seed, or its tokens."""


def sample(model: LoadedModel, group: Prompts[int], sampling: Sampling, measure: bool) -> list[list[SampledResponse]]:
    """Draws one rollout per seed of every prompt."""
    limits = {"temperature": sampling.temperature, "top_p": sampling.top_p}
    if model.own_generate:
        return [
            sample_prompt(model, prompt, seeds, **limits, max_new_tokens=sampling.max_new_tokens, measure=measure)
            for prompt, seeds in group
        ]
    drawn: list[list[SampledResponse]] = []
    for part in _batches(model, group):
        drawn += sample_batch(model, part, **limits, max_new_tokens=sampling.max_new_tokens, measure=measure)
    return drawn


def measure(model: LoadedModel, group: Prompts[Sequence[int]]) -> list[list[ace.Statistics | None]]:
    """Attention statistics of responses that are there already; None where the model did not show its last layer."""
    if model.own_generate:
        return [measure_prompt(model, prompt, responses) for prompt, responses in group]
    found: list[list[ace.Statistics | None]] = []
    for part in _batches(model, group):
        found += [list(rows) for rows in teacher_forced(model, part)]
    return found


def _batches(model: LoadedModel, group: Prompts[T]) -> Iterator[Prompts[T]]:
    if model.pads:
        yield group
    else:
        yield from ([one] for one in group)
